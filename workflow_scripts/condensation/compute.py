"""The machine: device, threads, precision, compilation, memory."""

import contextlib
import copy
import gc
import logging
import math
import platform
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import FlopCounterMode

from condensation.errors import InputError

log = logging.getLogger("condensation")

# Compiling takes 20 to 50 s and saves a quarter to a half of the time: at about 5e10 operations a
# second on one core, it repays itself in jobs of several minutes.
_WORTH_COMPILING = 1.5e13  # operations

_NO_MEMORY = (
    *("can't allocate memory", "not enough memory", "bad_alloc", "Cannot allocate memory"),
    "failed to map segment",  # of a library that is loaded late
)

# Of the outputs of one layer: more of them leave a CPU's cache before the next layer reads them. A
# ConvNet took 1.0 ms an image forward with 256 at a time, 0.5 with 32; with the backward pass 2.4
# and 1.8 (compiled, one core of an EPYC with 32 MB of cache).
_CACHED_BYTES = 16 * 2**20


def device_named(name: str) -> torch.device:
    """Return the torch device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises InputError if CUDA is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"compute.device: {name} is set, but torch finds no CUDA device here")
    return torch.device(name)


def worth_compiling(
    wanted: bool | str, network: torch.nn.Module, shape: tuple[int, int, int], passes: float
) -> bool:
    """Return whether to compile: as ``wanted`` says, or for ``auto`` if the job is long.

    ``passes`` is the number of images that go forward through ``network`` in
    the whole job; one that goes backward too counts for three. The answer
    depends on the job alone, never on a clock, so that a rerun computes alike.
    """
    if wanted != "auto":
        return bool(wanted)
    return operations(network, shape) * passes >= _WORTH_COMPILING


def operations(network: torch.nn.Module, shape: tuple[int, int, int]) -> int:
    """Return the multiplications and additions of one image's forward pass.

    Counted with two images: statistics of a batch cannot be made from one.
    """
    on_paper = copy.deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter:
        on_paper(torch.empty(2, *shape, device="meta"))
    return counter.get_total_flops() // 2


def images_at_once(
    network: torch.nn.Module, shape: tuple[int, int, int], device: torch.device
) -> int | None:
    """Return how many images are best passed through ``network`` together; None for all.

    On a CPU as many as its cache holds a layer's outputs of. Networks with
    statistics of a batch, which are buffers, take the batch whole.
    """
    if device.type != "cpu" or any(True for _ in network.buffers()):
        return None
    dtype = next((parameter.dtype for parameter in network.parameters()), torch.float32)
    return max(1, _CACHED_BYTES // (4 * max(1, *values_of_layers(network, shape, dtype))))


def values_of_layers(
    network: torch.nn.Module, shape: tuple[int, int, int], dtype: torch.dtype = torch.float32
) -> list[int]:
    """Return how many values each innermost module gives for one image, in the order of calls."""
    on_paper = copy.deepcopy(network).to("meta").eval()
    counts = []
    for module in on_paper.modules():
        if not any(True for _ in module.children()):
            module.register_forward_hook(
                lambda _, given, output: counts.extend(map(_values_in, pytree.tree_leaves(output)))
            )
    on_paper(torch.empty(1, *shape, device="meta", dtype=dtype))
    return counts


def _values_in(output: Any) -> int:
    return output.numel() if isinstance(output, torch.Tensor) else 0


def has_batch_norm(network: torch.nn.Module) -> bool:
    """Return whether ``network`` keeps statistics of batches."""
    return any(isinstance(module, _BatchNorm) for module in network.modules())


def fewest_at_once(network: torch.nn.Module, shape: tuple[int, int, int]) -> int:
    """Return how many images a training step needs: one, or two.

    Two where a map is a single pixel before batch norm: it has no statistics of one value.
    """
    if not has_batch_norm(network):
        return 1
    on_paper = copy.deepcopy(network).to("meta", torch.float32).train()
    try:
        on_paper(torch.empty(1, *shape, device="meta"))
    except ValueError:
        return 2
    return 1


def batches(positions: torch.Tensor, size: int, fewest: int) -> list[torch.Tensor]:
    """Return ``positions`` [..., n] in batches of ``size``, the last of what is left.

    One that would have less than ``fewest`` joins the batch before it.

    Raises InputError where there is none before it, or all are as small.
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
    """Return the size of parts to split ``count`` images into: at most ``most``.

    Equal parts where that takes no more than twice as many, for each size is compiled on its own.
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
    """Return ``function(images)``, computed for at most ``most`` of them at a time."""
    return torch.cat([function(part) for part in images.split(part_size(len(images), most))])


def compiled(function: Callable[..., Any], wanted: bool, device: torch.device) -> Callable:
    """Return ``function`` through torch.compile where wanted and possible, else as it is."""
    if not wanted:
        return function
    if device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        log.warning("no C++ compiler here: running without torch.compile")
        return function
    return torch.compile(function, dynamic=False)


def lower_precision(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Return the context in which passes run: autocast for ``bf16``, nothing for ``float32``."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def limit_memory(megabytes: int | None) -> None:
    """Make allocations beyond ``megabytes`` MiB of this process fail; None for no limit."""
    if megabytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 2**20, hard))


def make_room() -> None:
    """Free what an allocation that failed has left behind, and lift the limit: to say so."""
    gc.collect()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether ``error``, or one behind it, means that memory ran out, of host or device."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
            return True
        # torch's CPU allocator raises a plain RuntimeError
        if isinstance(error, (RuntimeError, OSError)) and any(k in str(error) for k in _NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def peak_memory_mb(device: torch.device) -> dict[str, float]:
    """Return peak resident memory of this process and, on CUDA, of the device, in MiB."""
    peak = {"peak_rss_mb": _peak_rss_kb() / 1024}
    if device.type == "cuda":
        peak["peak_cuda_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    return peak


def _peak_rss_kb() -> int:
    # ru_maxrss is handed down by the process that started this one, and may be that one's
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def description(device: torch.device) -> dict[str, Any]:
    """Return what the numbers were made on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": device.type,
        "device_name": name,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
