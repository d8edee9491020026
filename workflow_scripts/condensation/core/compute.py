"""The machine: device, threads, precision, compilation, memory."""

import contextlib
import copy
import functools
import gc
import importlib.util
import logging
import math
import os
import platform
import re
import resource
import shutil
import sysconfig
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from condensation.core import allocator, devices, memory
from condensation.core.errors import InputError

log = logging.getLogger("condensation")

# `compile: auto` compiles where the time saved, about a quarter of the job, exceeds the time to
# compile. By device: seconds to compile, operations per second, seconds to launch a step. The CPU
# values were measured on one core. The CUDA values are guesses until benchmarks/gpu.py has run.
_COMPILING = {"cpu": 75.0, "cuda": 60.0}
_SPEED = {"cpu": 5e10, "cuda": 1e13}
_LAUNCH = {"cpu": 0.0, "cuda": 3e-3}
_SAVED = 0.25
# A pass over a smaller share than this of the images that a graph was compiled for runs uncompiled.
_ENOUGH = 0.75

# messages of the plain RuntimeError that torch's CPU allocator and CUDA's libraries raise
_NO_MEMORY = (
    *("can't allocate memory", "not enough memory", "bad_alloc", "Cannot allocate memory"),
    *("CUDA error: out of memory", "CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED"),
    *("CUDNN_STATUS_ALLOC_FAILED", "CUSOLVER_STATUS_ALLOC_FAILED"),
    "failed to map segment",  # while a library is loaded late
)

# Outputs of one layer that stay in a CPU's cache until the next layer reads them. A forward pass of
# a ConvNet took 1.0 ms per image in batches of 256 and 0.5 ms in batches of 32; with the backward
# pass 2.4 and 1.8 ms (compiled, one core of an EPYC with 32 MB of cache).
_CACHED_BYTES = 16 * 2**20
# Without gradients: images of a pass, and bytes of the outputs of its widest layer.
_SHOWN, _SHOWN_BYTES = 500, 2**30


@dataclass(frozen=True)
class Mode:
    """How the passes of a job run.

    Attributes
    ----------
    compile : use torch.compile.
    precision : ``float32``, ``tf32`` or ``bf16``, for the passes that the option
        ``compute.precision`` names.
    """

    compile: bool
    precision: str


def total_mb(device: torch.device) -> float:
    """Return the memory of the GPU or of the machine, in MB."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / 1e6
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6


def usable_mb(device: torch.device, settings: Mapping[str, Any]) -> float:
    """Return the memory that a job may use, in MB: its part of a GPU, or the limit on a CPU.

    ``settings`` is the section ``compute`` of the config.
    """
    if device.type == "cuda":
        return (settings["device_memory_mb"] or total_mb(device)) / settings["jobs_per_gpu"]
    return settings["memory_limit_mb"] or memory.DECLARED_MB


def device_named(name: str) -> torch.device:
    """Return the torch device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    If torch cannot use the GPU of this machine, ``auto`` warns and takes the CPU.

    Raises
    ------
    InputError
        If torch cannot use CUDA but the name demands it, or ``auto`` runs in a Slurm job that has
        a GPU.
    """
    if name == "cpu":
        return torch.device("cpu")
    with warnings.catch_warnings(record=True) as caught:  # torch warns about what is wrong
        warnings.simplefilter("always")
        usable = torch.cuda.is_available()
    if usable:
        return torch.device("cuda" if name == "auto" else name)
    if name != "auto":
        raise InputError(f"compute.device: {name} is set, but {_no_cuda(caught)}")
    if devices.present() and devices.usable():  # present and not hidden
        message = f"this machine has a GPU, but {_no_cuda(caught)}"
        if "SLURM_JOB_ID" in os.environ:
            raise InputError(f"{message}. `compute: {{device: cpu}}` would do without")
        log.warning("%s; running on the CPU", message)
    return torch.device("cpu")


def _no_cuda(caught: list[warnings.WarningMessage]) -> str:
    """Return why torch has no CUDA device."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a build for CPUs (see docs/gpu.md)"
    reason = " ".join(str(entry.message).splitlines()[0] for entry in caught).rstrip(". ")
    build = f"torch {torch.__version__} for CUDA {torch.version.cuda} cannot use one"
    return f"{build} ({reason})" if reason else build


def choose_mode(
    compile: bool | str,
    precision: str,
    network: torch.nn.Module,
    shape: tuple[int, int, int],
    device: torch.device,
    passes: float,
    steps: float,
) -> Mode:
    """Return how a job runs. ``auto`` decides by the size of the job and the device.

    Parameters
    ----------
    compile : True, False, or ``auto``: compile jobs that are long enough to repay it.
    precision : ``float32``, ``tf32`` (float32 on a CPU), ``bf16``, or ``auto``: bf16 in such long
        jobs if the processor computes it in hardware.
    shape : (channels, height, width) of an image.
    passes : forward passes of one image in the whole job. A backward pass counts for two more.
    steps : batches that the whole job launches.

    Notes
    -----
    The result depends on the job and the processor, never on a clock. A rerun on the same machine
    computes the same.
    """
    kind = device.type if device.type in _SPEED else "cpu"
    long = False
    if "auto" in (compile, precision):
        seconds = operations(network, shape) * passes / _SPEED[kind] + steps * _LAUNCH[kind]
        long = _SAVED * seconds >= _COMPILING[kind]
    if precision == "auto":
        precision = "bf16" if long and has_bf16(device) else "float32"
    if precision == "tf32" and kind != "cuda":
        precision = "float32"
    return Mode(long if compile == "auto" else bool(compile), precision)


def has_bf16(device: torch.device) -> bool:
    """Return whether the processor multiplies bfloat16 numbers in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    cpuinfo = Path("/proc/cpuinfo")
    flags = (
        re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo.read_text(), re.M)
        if cpuinfo.is_file()
        else []
    )
    return bool(flags) and bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags[0].split()))


def operations(network: torch.nn.Module, shape: tuple[int, int, int]) -> int:
    """Return the multiplications and additions of one image's forward pass.

    They are counted with two images, because batch norm needs more than one. Convolutions, linear
    layers, products of matrices and attention count.
    """
    with _Products() as products:
        _pass_once(_copy_on_cpu(network), 2, shape)
    return products.operations // 2


def _copy_on_cpu(network: torch.nn.Module) -> torch.nn.Module:
    """Return a copy to find sizes with; on the device ``meta`` torch would load its compiler."""
    return copy.deepcopy(network).to("cpu", torch.float32)


def _pass_once(network: torch.nn.Module, images: int, shape: tuple[int, int, int]) -> None:
    with torch.no_grad(), torch.random.fork_rng([]):
        network(torch.zeros(images, *shape, dtype=torch.float32))


class _Products(TorchFunctionMode):
    """Counts the operations of products; torch's own counter loads its compiler first."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Call a function of torch and count."""
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        # by position or by name, in the order of the function's signature
        tensors = [value for value in (*args, *(kwargs or {}).values()) if torch.is_tensor(value)]
        if name in ("conv1d", "conv2d", "conv3d", "linear"):
            self.operations += 2 * result.numel() * tensors[1][0].numel()
        elif name in ("matmul", "__matmul__", "bmm", "mm"):
            self.operations += 2 * result.numel() * tensors[0].shape[-1]
        elif name in ("addmm", "baddbmm"):
            self.operations += 2 * result.numel() * tensors[1].shape[-1]
        elif name == "einsum":
            self.operations += _einsum_operations(*args)
        elif name == "scaled_dot_product_attention":
            query, key, value = tensors[:3]
            tokens = query.numel() // query.shape[-1]
            self.operations += 2 * tokens * key.shape[-2] * (query.shape[-1] + value.shape[-1])
        elif name == "multi_head_attention_forward":  # [tokens, images, width]
            query, key = tensors[:2]
            tokens, width = query.numel() // query.shape[-1], query.shape[-1]
            self.operations += 8 * tokens * width**2 + 4 * tokens * len(key) * width
        return result


def _einsum_operations(equation: Any, *tensors: Any) -> int:
    """Return the operations of a product of two tensors; 0 for another number of them."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if not isinstance(equation, str) or len(tensors) != 2 or "." in equation:
        return 0
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    sizes = {
        letter: size
        for term, tensor in zip(terms, tensors, strict=True)
        for letter, size in zip(term, tensor.shape, strict=True)
    }
    return 2 * math.prod(sizes.values())


def images_at_once(
    network: torch.nn.Module, shape: tuple[int, int, int], device: torch.device
) -> int | None:
    """Return the best number of images for one pass through ``network``; None: all of them.

    On a CPU, the outputs of a layer should fit into the cache. A network with batch norm or other
    buffers takes the whole batch.
    """
    if device.type != "cpu" or has_batch_norm(network) or any(True for _ in network.buffers()):
        return None
    return max(1, _CACHED_BYTES // (4 * max(1, *values_of_layers(network, shape))))


def shown_at_once(
    network: torch.nn.Module, shape: tuple[int, int, int], device: torch.device, networks: int = 1
) -> int:
    """Return how many images each of ``networks`` takes in one pass without gradients.

    At most 500; on a CPU, what fits into its cache; never so many that the outputs of a layer need
    more than 1 GiB: of 224 pixels, the ConvNet takes 41 on a GPU.
    """
    together = images_at_once(network, shape, device)
    if together is None:
        together = _SHOWN_BYTES // (4 * max(1, *values_of_layers(network, shape)))
    return max(1, min(_SHOWN, together // networks))


def values_of_layers(network: torch.nn.Module, shape: tuple[int, int, int]) -> list[int]:
    """Return how many values each innermost module outputs for one image, in the order of calls."""
    on_cpu = _copy_on_cpu(network).eval()
    counts: list[int] = []
    for module in on_cpu.modules():
        if not any(True for _ in module.children()):
            module.register_forward_hook(
                lambda _module, _inputs, output: counts.extend(
                    map(_values_in, pytree.tree_leaves(output))
                )
            )
    _pass_once(on_cpu, 1, shape)
    return counts


def _values_in(output: Any) -> int:
    return output.numel() if isinstance(output, torch.Tensor) else 0


def has_batch_norm(network: torch.nn.Module) -> bool:
    """Return whether ``network`` takes statistics of batches."""
    return any(isinstance(module, _BatchNorm) for module in network.modules())


def keeps_batch_statistics(network: torch.nn.Module) -> bool:
    """Return whether ``network`` has batch norm that keeps running statistics for evaluation."""
    norms = (module for module in network.modules() if isinstance(module, _BatchNorm))
    return any(norm.running_mean is not None for norm in norms)


def fewest_at_once(network: torch.nn.Module, shape: tuple[int, int, int]) -> int:
    """Return the smallest batch of a training step: one image or two.

    Two if batch norm meets maps of a single pixel: one value has no variance.
    """
    if not has_batch_norm(network):
        return 1
    try:
        _pass_once(_copy_on_cpu(network).train(), 1, shape)
    except ValueError:
        return 2
    return 1


def batches(positions: torch.Tensor, size: int, fewest: int) -> list[torch.Tensor]:
    """Split ``positions`` [..., n] into batches of ``size``; the last holds the rest.

    A last batch with less than ``fewest`` positions joins the batch before it.

    Raises
    ------
    InputError
        If no batch can have ``fewest`` positions.
    """
    count = positions.shape[-1]
    if min(count, size) < fewest:
        raise InputError(
            f"batch norm of a single pixel needs {fewest} images in a training step, but there is "
            f"{min(count, size)}: raise the batch size or IPC, or take another architecture"
        )
    sizes = [min(size, count - first) for first in range(0, count, size)]
    if sizes[-1] < fewest:
        sizes[-2:] = [sizes[-2] + sizes[-1]]
    return list(positions.split(sizes, dim=-1))


def part_size(count: int, most: int | None) -> int:
    """Return the size of the parts, at most ``most``, to split ``count`` images into.

    Equal parts are preferred, up to twice as many, because each size is compiled on its own.
    """
    if most is None or count <= most:
        return count
    for size in range(most, most // 2, -1):
        if count % size == 0:
            return size
    return math.ceil(count / math.ceil(count / most))


def in_parts(
    function: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, most: int | None
) -> torch.Tensor:
    """Return ``function(images)``, computed for at most ``most`` images at a time."""
    return torch.cat([function(part) for part in images.split(part_size(len(images), most))])


def compiled(
    function: Callable[..., Any],
    compile: bool,
    device: torch.device,
    full: int | None = None,
    images_at: tuple[int, int] = (-1, 0),
) -> Callable[..., Any]:
    """Return ``function`` through torch.compile if ``compile`` is set and this machine can.

    Parameters
    ----------
    full : the most images of a pass. A pass over less than three quarters of them (the last batch
        of an epoch) runs uncompiled, because compiling its size takes longer than it saves. None
        compiles every size.
    images_at : the position of the argument that holds the images, and its batch dimension.
    """
    if not compile:
        return function
    if obstacle := compiling_obstacle(device):
        warn_once(f"running without torch.compile: {obstacle}")
        return function
    graph = torch.compile(function, dynamic=False)
    if full is None:
        return graph
    argument, dimension = images_at

    def either(*arguments: Any) -> Any:
        few = arguments[argument].shape[dimension] < _ENOUGH * full
        return (function if few else graph)(*arguments)

    return either


def compiling_obstacle(device: torch.device) -> str | None:
    """Return what torch.compile lacks on this machine, or None."""
    compilers = ("c++", "g++", "clang++") if device.type == "cpu" else ("cc", "gcc", "clang")
    if not (any(map(shutil.which, compilers)) or os.environ.get("CXX") or os.environ.get("CC")):
        return f"no C compiler ({', '.join(compilers)}) on PATH"
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if not headers.is_file():
        return f"Python's headers are not installed ({headers.name}; Debian: python3-dev)"
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    return None


@functools.cache
def warn_once(message: str) -> None:
    """Write a warning to the log unless it is there already."""
    log.warning("%s", message)


def lower_precision(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Return the context for passes: autocast for ``bf16``, else one that does nothing."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def set_up(*, precision: str = "float32", deterministic: bool = False) -> None:
    """Set the switches of torch that change results, for the whole process.

    Parameters
    ----------
    precision : ``tf32`` lets products and convolutions on CUDA use TF32 (10 bits of mantissa). All
        others keep float32. torch's default differs between products and convolutions.
    deterministic : use deterministic algorithms. torch warns once per operator that has none. Set
        it before CUDA is used.
    """
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = deterministic
    use_deterministic(deterministic, warn_only=deterministic)


def use_deterministic(deterministic: bool, warn_only: bool) -> None:
    """Call ``torch.use_deterministic_algorithms`` where it changes something.

    The call loads torch's compiler, which takes seconds.
    """
    enabled = torch.are_deterministic_algorithms_enabled()
    now = enabled, torch.is_deterministic_algorithms_warn_only_enabled()
    if now != (deterministic, warn_only):
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def limit_memory(megabytes: int | None) -> None:
    """Make allocations beyond ``megabytes`` MiB of this process fail; None for no limit."""
    if megabytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 2**20, hard))


def limit_device(jobs: int) -> None:
    """Leave this process one of ``jobs`` equal parts of the memory of its GPU, if it has one."""
    if jobs > 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(1 / jobs)


def free_memory() -> None:
    """Free unreachable memory, on the device too."""
    gc.collect()
    allocator.return_freed_memory()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def make_room() -> None:
    """Free memory after a failed allocation and lift the limit, so that it can be reported."""
    free_memory()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether ``error`` or one of its causes means that host or device memory ran out."""
    seen = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, (MemoryError, torch.cuda.OutOfMemoryError)):
            return True
        if isinstance(cause, (RuntimeError, OSError)) and any(k in str(cause) for k in _NO_MEMORY):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def peak_memory_mb(device: torch.device) -> dict[str, float]:
    """Return peak resident memory of this process and, on CUDA, of the device, in MiB."""
    peak = {"peak_rss_mb": _peak_rss_kb() / 1024}
    if device.type == "cuda":
        peak["peak_cuda_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    return peak


def _peak_rss_kb() -> int:
    # ru_maxrss is inherited and may be the peak of the parent process
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def description(device: torch.device) -> dict[str, Any]:
    """Return the device, threads and switches that the results come from."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": device.type,
        "device_name": name,
        "threads": torch.get_num_threads(),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch": str(torch.__version__),
    }
