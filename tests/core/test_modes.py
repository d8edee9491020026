"""How the passes of a job run: device, compilation, precision, memory."""

import gc
import logging
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from condensation import networks
from condensation.augmentation import dsa
from condensation.config.compute import Compute
from condensation.config.entries import DSA_OPERATORS
from condensation.config.loading import parse
from condensation.core import compute, devices, memory
from condensation.core.errors import InputError
from condensation.data.whitening import Whitening, fit
from condensation.methods import dc, dm, kip, tm
from condensation.methods.contract import Problem, finish
from condensation.methods.derivatives import values
from condensation.methods.experts import Trajectories
from condensation.planning import sizes
from condensation.training import evaluation, stacking

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
DSA = {"policy": "dsa", "operators": list(DSA_OPERATORS), "align_corners": False}
SMALL = {"network": "convnet", "width": 8, "depth": 1}


@pytest.fixture(scope="module")
def convnet():
    return networks.build({"network": "convnet", "width": 128, "depth": None}, (3, 32, 32), 10, 0)


# --- compile --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "job, passes, steps, on_cpu, on_cuda",
    [
        ("five networks at IPC 1", 5 * 3 * 1001 * 10, 5 * 1001, True, False),
        ("one network at IPC 1", 3 * 1001 * 10, 1001, False, False),
        ("DM, 20,000 iterations", 20_000 * 2590, 60_000, True, True),
        ("a million tiny steps", 1e6, 1e6, True, True),
        ("features of CIFAR-10", 4 * 50_000, 400, True, False),
    ],
)
def test_whether_to_compile_depends_on_device_and_steps(
    convnet, job, passes, steps, on_cpu, on_cuda
):
    def compiles(device):
        return compute.choose_mode(
            "auto", "float32", convnet, (3, 32, 32), device, passes, steps
        ).compile

    assert (compiles(CPU), compiles(CUDA)) == (on_cpu, on_cuda), job


def test_a_smaller_last_batch_makes_no_graph(monkeypatch):
    compiled_for = []

    def graph(function, dynamic):
        return lambda x: (compiled_for.append(len(x)), function(x))[1]

    monkeypatch.setattr(torch, "compile", graph)
    double = compute.compiled(lambda x: x * 2, True, CPU, full=256)
    for count in (256, 244, 80, 256):
        assert torch.equal(double(torch.ones(count)), torch.full((count,), 2.0))
    assert compiled_for == [256, 244, 256]


@pytest.mark.parametrize(
    "device, missing, message",
    [
        (CPU, "compiler", "no C compiler"),
        (CUDA, "compiler", "no C compiler"),
        (CPU, "headers", "python3-dev"),
        (CUDA, "headers", "python3-dev"),
        (CUDA, "triton", "triton"),
    ],
)
def test_without_its_tools_compiling_is_skipped_with_one_warning(
    monkeypatch, tmp_path, caplog, device, missing, message
):
    (tmp_path / "Python.h").touch()
    headers = tmp_path / "none" if missing == "headers" else tmp_path
    monkeypatch.setattr(compute.sysconfig, "get_path", lambda _: str(headers))
    compiler = None if missing == "compiler" else "/usr/bin/c++"
    monkeypatch.setattr(compute.shutil, "which", lambda _: compiler)
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    triton = None if missing == "triton" else object()
    monkeypatch.setattr(compute.importlib.util, "find_spec", lambda _: triton)
    compute.warn_once.cache_clear()
    for _ in range(2):
        assert compute.compiled(len, True, device) is len
    assert message in caplog.text and len(caplog.records) == 1
    compute.warn_once.cache_clear()


# --- precision ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "precision, hardware, passes, device, expected",
    [
        ("auto", True, 1e9, CPU, "bf16"),
        ("auto", True, 1e9, CUDA, "bf16"),
        ("auto", True, 1e3, CPU, "float32"),  # a short job: the default run stays what it is
        ("auto", False, 1e9, CPU, "float32"),
        ("float32", True, 1e9, CPU, "float32"),
        ("bf16", False, 1e3, CPU, "bf16"),
        ("tf32", True, 1e9, CUDA, "tf32"),
        ("tf32", True, 1e9, CPU, "float32"),
    ],
)
def test_auto_takes_bf16_in_long_jobs_where_the_processor_has_it(
    monkeypatch, convnet, precision, hardware, passes, device, expected
):
    monkeypatch.setattr(compute, "has_bf16", lambda _: hardware)
    mode = compute.choose_mode(False, precision, convnet, (3, 32, 32), device, passes, 0)
    assert mode == compute.Mode(compile=False, precision=expected)


@pytest.mark.parametrize(
    "flags, expected",
    [
        ("flags\t\t: fpu avx2 avx512_bf16 fma", True),
        ("flags\t\t: fpu avx512f amx_bf16 amx_tile", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("flags\t\t: fpu avx2 avx512f fma", False),
        ("processor\t: 0", False),
    ],
)
def test_bf16_support_is_read_from_the_processors_flags(monkeypatch, flags, expected):
    text = f"processor\t: 0\n{flags}\nbugs\t\t: spectre_bf16\n"
    monkeypatch.setattr(compute.Path, "read_text", lambda *_: text)
    assert compute.has_bf16(CPU) == expected


@pytest.mark.parametrize("precision", ["float32", "bf16", "auto", "tf32"])
def test_float32_is_float32_in_products_and_in_convolutions(precision):
    try:
        torch.backends.cudnn.allow_tf32 = precision != "tf32"  # torch's default is True
        compute.set_up(precision=precision)
        assert torch.backends.cudnn.allow_tf32 == (precision == "tf32")
        assert torch.backends.cuda.matmul.allow_tf32 == (precision == "tf32")
    finally:
        compute.set_up()


def test_deterministic_algorithms_are_on_if_the_option_is(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        compute.set_up(deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
        assert compute.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        compute.set_up()
    assert not torch.are_deterministic_algorithms_enabled()


def test_dm_augments_and_whitens_in_float32(dataset, monkeypatch):
    """The grid of a rotation in bf16 is off by whole pixels."""
    inside = []
    apply, whiten = dsa.DSA.apply, Whitening.apply

    def watched(function):
        def call(*arguments):
            inside.append(torch.is_autocast_enabled("cpu"))
            return function(*arguments)

        return call

    monkeypatch.setattr(dsa.DSA, "apply", watched(apply))
    monkeypatch.setattr(Whitening, "apply", watched(whiten))
    whitening = fit(dataset.train_images, "zca", dataset.mean, dataset.std)
    problem = Problem(replace(dataset, whitening=whitening), 2, 0, precision="bf16")
    dm.condense(
        problem,
        **{"init": "random", "features": "embedding", "iterations": 2, "lr": 0.5},
        **{"momentum": 0.5, "batch_real": 8, "augmentation": DSA, "architecture": SMALL},
    )
    assert len(inside) > 8 and not any(inside)
    assert problem.recorder.facts == {"compile": False, "precision": "bf16"}


DRAWN = {"init": "random", "features": "embedding", "iterations": 2, "momentum": 0.5}
DRAWN |= {"augmentation": {"policy": "none"}, "architecture": SMALL}
MATCHED = {"outer": 2, "inner": 1, "lr": 0.1, "batch_real": 8, "lr_network": 0.01}
MATCHED |= {"batch_network": 6, "distance": "rows", "update": "joint"}
STUDENTS = {"trajectories": "", "experts": 1, "max_start": 1, "expert_epochs": 1, "steps": 2}
STUDENTS |= {"batch_syn": None, "lr": 0.1, "lr_step": 0.0, "step_size": 0.1, "chunk": None}


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    # three classes: 8 or 3 * 8 real images, 2 or 3 * 2 synthetic images
    [
        (dm.condense, {"lr": 0.5, "batch_real": 8}, {(24, True), (6, False)}),
        (dc.condense, MATCHED, {(8, True), (2, True), (6, True), (2, False)}),
        (tm.condense, {**STUDENTS, "gradient": "exact"}, {(6, True), (6, False)}),
        (tm.condense, {**STUDENTS, "gradient": "tesla"}, {(6, True), (6, False)}),
        (tm.condense, {**STUDENTS, "gradient": "unroll"}, {(6, False)}),
    ],
    ids=["dm", "dc", "tm exact", "tm tesla", "tm unroll"],
)
def test_these_passes_are_in_bf16(dataset, monkeypatch, method, options, expected):
    """The numbers of images shown, and whether autocast is on."""
    shown = set()
    forward = torch.nn.functional.conv2d

    def watched(images, *arguments, **more):
        shown.add((len(images), torch.is_autocast_enabled("cpu")))
        return forward(images, *arguments, **more)

    start = values(networks.build(SMALL, dataset.shape, 3, 0))
    known = Trajectories([torch.stack([start, 0.9 * start])], SMALL)
    problem = Problem(dataset, 2, 0, precision="bf16", trajectories=known)
    monkeypatch.setattr(torch.nn.functional, "conv2d", watched)
    method(problem, **DRAWN, **options)
    assert shown - {(1, False)} == expected  # one image finds the sizes of outputs


# --- memory ---------------------------------------------------------------------------------------


def test_images_are_whitened_once_where_they_fit(dataset, monkeypatch):
    products = []
    whiten = Whitening.apply
    monkeypatch.setattr(
        Whitening, "apply", lambda self, x: (products.append(len(x)), whiten(self, x))[1]
    )
    whitening = fit(dataset.train_images, "zca_kip", dataset.mean, dataset.std)
    whitened = replace(dataset, whitening=whitening)
    options = {
        **{"init": "random", "features": "embedding", "iterations": 4, "lr": 0.04, "depth": 1},
        **{"batch_real": 30, "kernel": "fc_ntk", "ridge": 1e-6, "learn_labels": False},
        **{"networks": 2, "width": 12},
    }
    once = kip.condense(Problem(whitened, 2, 0), **options).images
    assert products == [6, 60]  # the start, and all images
    products.clear()
    anew = kip.condense(Problem(whitened, 2, 0, memory_mb=0.01), **options).images
    assert products == [6, 30, 30, 30, 30]
    torch.testing.assert_close(once, anew, rtol=1e-4, atol=1e-5)


def test_few_reads_whiten_only_what_is_read(dataset):
    whitening = fit(dataset.train_images, "zca", dataset.mean, dataset.std)
    problem = Problem(replace(dataset, whitening=whitening), 2, 0)
    assert problem.reader(59) == problem.real
    read = problem.reader(60)
    chosen = torch.tensor([3, 59, 3, 0])
    torch.testing.assert_close(read(chosen), problem.real(chosen))


@pytest.mark.parametrize(
    "ipc, memory_mb, expected",
    [(1, 8000, "unroll"), (10, 8000, "exact"), (10, 80_000, "unroll"), (1, 2000, "exact")],
)
def test_tm_unrolls_where_the_graph_fits(convnet, ipc, memory_mb, expected):
    """At IPC 1, 50 steps were measured at 1.6 GB; at IPC 10, 353 MiB a step."""
    outputs = sum(compute.values_of_layers(convnet, (3, 32, 32)))
    entry = {"network": "convnet", "width": 128, "depth": None}
    assert outputs == sizes.network(entry, sizes.OFFICIAL["cifar10"]).outputs
    fits = memory.unroll_fits(outputs, 10 * ipc, 50, memory_mb)
    assert ("unroll" if fits else "exact") == expected


@pytest.mark.parametrize(
    "message, expected",
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", True),
        ("CUDA error: out of memory\nCUDA kernel errors might be reported", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory", True),
        ("CUDA error: device-side assert triggered", False),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_out_of_memory_errors_are_recognised_by_their_message(message, expected):
    assert compute.is_out_of_memory(RuntimeError(message)) == expected


def test_groups_that_do_not_fit_are_halved_and_their_memory_is_freed(monkeypatch):
    class Held:
        pass

    alive, groups = [], []

    def free():
        gc.collect()
        assert all(reference() is None for reference in alive)

    monkeypatch.setattr(compute, "free_memory", free)

    def train(group):
        if len(group) > 2:
            held = Held()
            alive.append(weakref.ref(held))
            raise RuntimeError("CUDA error: out of memory")
        groups.append(group)

    assert stacking.train_in_groups([0, 1, 2, 3, 4], 5, train) == []
    assert groups == [[0, 1], [2, 3], [4]] and len(alive) == 1

    def never(group):
        raise MemoryError

    assert stacking.train_in_groups([0, 1, 2], 3, never) == [0, 1, 2]
    with pytest.raises(ValueError, match="no matter of memory"):
        stacking.train_in_groups(
            [0, 1], 2, lambda _: (_ for _ in ()).throw(ValueError("no matter of memory"))
        )


# --- the device -----------------------------------------------------------------------------------


@pytest.fixture
def gpu_that_torch_cannot_use(monkeypatch):
    def available():
        compute.warnings.warn("The NVIDIA driver on your system is too old", stacklevel=2)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", available)
    monkeypatch.setattr(devices, "present", lambda: ["0"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


@pytest.mark.parametrize(
    "build, message", [("13.0", "driver on your system is too old"), (None, "for CPUs")]
)
def test_a_gpu_that_torch_cannot_use_is_named(
    gpu_that_torch_cannot_use, monkeypatch, caplog, build, message
):
    monkeypatch.setattr(torch.version, "cuda", build)
    assert compute.device_named("auto") == CPU
    assert "running on the CPU" in caplog.text and message in caplog.text
    with pytest.raises(InputError, match=message):
        compute.device_named("cuda")
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # a cluster gave this job a GPU: it is not wasted
    with pytest.raises(InputError, match="device: cpu"):
        compute.device_named("auto")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_gpu_that_the_user_hides_is_not_named(
    gpu_that_torch_cannot_use, monkeypatch, caplog, hidden
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert compute.device_named("auto") == CPU
    assert caplog.text == ""
    assert compute.device_named("cpu") == CPU


@pytest.mark.parametrize(
    "name, present, kind",
    [
        *[("auto", [], "cpu"), ("auto", ["0"], "cuda"), ("cpu", ["0"], "cpu")],
        *[("cuda", [], "cuda"), ("cuda:1", [], "cuda")],
    ],
)
def test_the_kind_of_device_follows_the_option_and_the_gpus_present(
    monkeypatch, name, present, kind
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "present", lambda: present)
    assert devices.kind(name) == kind


def test_declared_memory_is_that_of_the_device():
    def declared(**options):
        return parse(
            {
                "datasets": {"d": {"source": "digits"}},
                "methods": {"random": {"algorithm": "random"}},
                "experiments": {"e": {"datasets": ["d"], "methods": ["random"], "ipc": [1]}},
                "compute": options,
            }
        ).compute.declared_mb

    assert declared() == memory.DECLARED_MB
    assert declared(memory_limit_mb=3000) == 3000
    assert declared(memory_limit_mb=3000, device_memory_mb=40_000) == 40_000
    assert declared(device="cpu", memory_limit_mb=3000, device_memory_mb=40_000) == 3000


def test_a_job_may_use_its_part_of_the_gpu_or_the_limit_of_the_cpu(monkeypatch):
    def usable(device, **options):
        return compute.usable_mb(torch.device(device), Compute(**options).model_dump())

    held = SimpleNamespace(total_memory=80_000e6)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: held)
    assert usable("cuda") == 80_000
    assert usable("cuda", jobs_per_gpu=4, memory_limit_mb=3000) == 20_000
    assert usable("cuda", device_memory_mb=40_000, jobs_per_gpu=2) == 20_000
    assert usable("cpu", device_memory_mb=40_000, jobs_per_gpu=2) == memory.DECLARED_MB
    assert usable("cpu", memory_limit_mb=3000) == 3000


def test_warnings_go_to_the_projects_logger(caplog):
    compute.warn_once.cache_clear()
    compute.warn_once("a line")
    assert caplog.records[0].name == "condensation"
    assert caplog.records[0].levelno == logging.WARNING


# --- what repeats to the byte on CUDA -------------------------------------------------------------

# Operators without a deterministic algorithm on CUDA: torch's list for use_deterministic_algorithms
# (2.14), by their names below Python.
WITHOUT_DETERMINISTIC = {
    *("grid_sampler_2d_backward", "grid_sampler_3d_backward", "avg_pool3d_backward"),
    *("_adaptive_avg_pool2d_backward", "adaptive_avg_pool2d_backward"),
    *("adaptive_max_pool2d_backward", "max_pool3d_with_indices_backward", "max_unpool2d"),
    *("fractional_max_pool2d_backward", "reflection_pad1d_backward", "reflection_pad2d_backward"),
    *("replication_pad1d_backward", "replication_pad2d_backward", "upsample_linear1d_backward"),
    *("upsample_bilinear2d_backward", "upsample_bicubic2d_backward", "nll_loss2d_forward"),
    *("_ctc_loss_backward", "_embedding_bag_dense_backward", "put_", "histc", "kthvalue", "median"),
    *("cumsum", "scatter_reduce", "resize_"),
}


class Operators(TorchDispatchMode):
    """Collects the names of the operators that run on numbers with a fraction."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **options or {})
        first = result[0] if isinstance(result, tuple | list) else result
        if isinstance(first, torch.Tensor) and first.is_floating_point():
            self.names.add(function.__name__.partition(".")[0])
        return result


@pytest.mark.parametrize("operators", [["scale", "rotate"], ["color", "crop", "cutout", "flip"]])
def test_only_the_gradient_of_the_warps_is_not_deterministic(problem, operators):
    policy = {"policy": "dsa", "operators": operators, "align_corners": False}
    shared = {"init": "random", "features": "embedding", "iterations": 2, "momentum": 0.5}
    shared |= {"batch_real": 8, "augmentation": policy, "architecture": SMALL}
    sgd = {"algorithm": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "decay": True}
    protocol = {"epochs": 2, "epochs_without_augmentation": None, "inclusive": True}
    with Operators() as seen:
        images = dm.condense(problem, lr=0.5, **shared)
        dc.condense(
            problem,
            **{"outer": 2, "inner": 1, "lr": 0.1, "lr_network": 0.01, "batch_network": 4},
            **{"distance": "rows", "update": "joint"},
            **shared,
        )
        evaluation.evaluate(
            *(finish(images, problem, "dm"), problem.dataset, [0]),
            **{"architecture": SMALL, "augmentation": policy, "optimizer": sgd},
            **{"protocol": protocol | {"batch_size": 4}, "device": CPU},
        )
    assert len(seen.names) > 40
    warps = {"grid_sampler_2d_backward"} if "rotate" in operators else set()
    assert seen.names & WITHOUT_DETERMINISTIC == warps
