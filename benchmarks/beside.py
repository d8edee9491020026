"""What the benchmarks share: options, the machine and its peaks, turns, ratios of neighbours."""

import contextlib
import ctypes
import math
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

from condensation.config import loading
from condensation.core import allocator, compute
from condensation.methods.recorder import Recorder
from condensation.workflow import jobs
from condensation.workflow.grid import SetId

CONVNET = {"network": "convnet", "width": 128, "depth": None}
DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
_METHODS = ("dc", "dsa", "dm", "tm", "kip")
_CONFIG = {
    "datasets": {"cifar10": {"source": "cifar10"}},
    "methods": {name: {"algorithm": name} for name in _METHODS},
    "experiments": {"all": {"datasets": ["cifar10"], "methods": ["dm"], "ipc": [1]}},
}


def options(method: str, ipc: int, **changes: Any) -> dict[str, Any]:
    """Return a method's options for CIFAR-10, complete, as a job of the workflow gets them."""
    ours = loading.parse(_CONFIG)
    return jobs.condense(ours, SetId("cifar10", method, str(ipc), 0))["options"] | changes


def policies() -> dict[str, dict[str, Any]]:
    """Return the built-in augmentations, complete, by name."""
    entries = loading.parse(_CONFIG).augmentations
    return {name: entry.model_dump() for name, entry in entries.items()}


# --- the machine ----------------------------------------------------------------------------------


def matmul_peak(dtype: torch.dtype, device: torch.device, side: int = 2048) -> float:
    """Return operations a second of a product of matrices ``side`` wide."""
    a, b = torch.randn(2, side, side, device=device).to(dtype)
    return 2 * side**3 / _fastest(lambda: a @ b, device)


def convolution_peak(dtype: torch.dtype, device: torch.device, side: int = 16) -> float:
    """Return operations a second of the ConvNet's widest convolution, in its faster layout."""
    count, width = (16 if device.type == "cpu" else 1024), 128
    images = torch.randn(count, width, side, side).to(device, dtype)
    filters = torch.randn(width, width, 3, 3).to(device, dtype)
    seconds = []
    for layout in (torch.contiguous_format, torch.channels_last):
        x, w = (tensor.to(memory_format=layout) for tensor in (images, filters))
        seconds.append(_fastest(lambda x=x, w=w: F.conv2d(x, w, padding=1), device))
    return 2 * 9 * width**2 * side**2 * count / min(seconds)


def _fastest(function: Callable[[], Any], device: torch.device, repeats: int = 8) -> float:
    clock, times = Clock(device), []
    for _ in range(repeats):
        clock.start()
        function()
        times.append(clock.stop())
    return min(times)


def machine(device: torch.device) -> dict[str, Any]:
    """Return a description of the machine: processor, caches, compiler, card, versions."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    fields = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", text, re.M))
    caches = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    compiler = shutil.which("c++")
    facts = {
        **compute.description(device),
        "processor": fields.get("model name", platform.processor()),
        "family_and_model": [fields.get("cpu family"), fields.get("model")],
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "caches": {
            (cache / "level").read_text().strip(): (cache / "size").read_text().strip()
            for cache in caches
        },
        "compiler": compiler
        and subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout.split(
            "\n"
        )[0],
        "python": platform.python_version(),
    }
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        facts |= {"memory_mb": card.total_memory // 2**20, "capability": [card.major, card.minor]}
        facts |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return facts


def peaks(
    precisions: list[str], device: torch.device, small: bool = False
) -> dict[str, dict[str, float]]:
    """Return the operations a second of products and convolutions, by precision.

    ``small`` is for tests: its numbers are no peaks.
    """
    rates, side = {}, 2048 if device.type == "cpu" else 8192
    for name in precisions:
        compute.set_up(precision=name)
        rates[name] = {
            "matmul": matmul_peak(DTYPES[name], device, 64 if small else side),
            "convolution": convolution_peak(DTYPES[name], device, 2 if small else 16),
        }
    return rates


def announce(of_precision: dict[str, dict[str, float]], device: torch.device) -> None:
    """Print the machine and its peaks."""
    for name, value in machine(device).items():
        print(f"{name}: {value}")
    for name, values in of_precision.items():
        shown = ", ".join(f"{kind} {value / 1e9:.0f} G/s" for kind, value in values.items())
        print(f"peaks, {name}: {shown}", flush=True)


def usual_allocator() -> None:
    """Let glibc return freed memory as in a process that never asked it to keep some."""
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        # names of mallopt's parameters in malloc.h, and the most that glibc itself moves them to
        for name, value in ((-3, 32 * 2**20), (-1, 64 * 2**20)):
            library.mallopt(name, value)


# --- turns ----------------------------------------------------------------------------------------


class Clock:
    """Seconds between ``start`` and ``stop``, on CUDA by events of the device."""

    def __init__(self, device: torch.device):
        self.device = device

    def start(self) -> None:
        """Begin once the device has done all earlier work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            self.began = torch.cuda.Event(enable_timing=True)
            self.began.record()
        else:
            self.began = time.perf_counter()

    def stop(self) -> float:
        """Return the seconds until the device has done all work since ``start``."""
        if self.device.type != "cuda":
            return time.perf_counter() - self.began
        ended = torch.cuda.Event(enable_timing=True)
        ended.record()
        ended.synchronize()
        return self.began.elapsed_time(ended) / 1e3


class Memory:
    """Memory of the device that tensors take, in MiB; zeros on a CPU."""

    def __init__(self, device: torch.device):
        self.device = device

    def held(self) -> float:
        """Return the memory that tensors take now."""
        if self.device.type != "cuda":
            return 0.0
        return torch.cuda.memory_allocated(self.device) / 2**20

    def reset(self) -> None:
        """Begin a new peak."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak(self) -> float:
        """Return the most memory that tensors took since ``reset``."""
        if self.device.type != "cuda":
            return 0.0
        return torch.cuda.max_memory_allocated(self.device) / 2**20


class _Enough(Exception):
    """The turns asked for are done."""


class Turns(Recorder):
    """Runs some steps of ours, then the plain loop once, and keeps both times.

    To ours counts what the recorder does after a step too. Ours keeps freed memory, as a job does;
    the plain loop does not.

    Parameters
    ----------
    build_plain : makes the plain loop, a function of the number of the turn; None for ours alone.
    turns : most turns that count; those of the warm-up, which compile, come before them.
    group : steps of ours in a turn.
    limit : seconds after which no turn begins, once three were counted.

    Attributes
    ----------
    ours, theirs : seconds of each turn.
    first : seconds of our first turn.
    ours_mb, theirs_mb : peak memory of the device, without what the other side keeps between turns.
    plain_fits : whether the plain loop had enough memory; if not, ``theirs`` is empty.
    """

    def __init__(
        self,
        build_plain: Callable[[], Callable[[int], None]] | None,
        turns: int,
        device: torch.device,
        group: int = 1,
        warm_up: int = 1,
        limit: float = math.inf,
    ):
        super().__init__()
        allocator.keep_freed_memory()
        self.turns, self.group, self.warm_up, self.limit = turns, group, warm_up, limit
        self.clock, self.memory = Clock(device), Memory(device)
        self.ours, self.theirs, self.first = [], [], 0.0
        self.ours_mb = self.theirs_mb = 0.0
        self.plain_fits = True
        self._before = self.memory.held()
        self._plain = None
        self._guarded(lambda: setattr(self, "_plain", build_plain and build_plain()))
        self._of_plain = self.memory.held() - self._before

    def run(
        self,
        state: dict[str, torch.Tensor],
        step: Callable[[int], None],
        iterations: int,
        parts: int = 1,
        check: Callable[[], None] | None = None,
        labels: Callable[[], torch.Tensor] | None = None,
    ) -> None:
        """Run the turns in place of all iterations; see ``Recorder.run``."""
        began = time.monotonic()
        of_ours = self.memory.held() - self._before - self._of_plain

        def timed(number: int) -> None:
            turn, rest = divmod(number, self.group)
            if rest == 0:
                if turn:
                    self._finish(turn - 1, of_ours)
                late = time.monotonic() - began > self.limit and len(self.ours) >= 3
                if len(self.ours) >= self.turns or late:
                    raise _Enough
                self.memory.reset()
                self.clock.start()
            step(number)

        needed = (self.turns + self.warm_up) * self.group + 1
        with contextlib.suppress(_Enough):
            super().run(state, timed, max(iterations, math.ceil(needed / parts)), parts, check)

    def _finish(self, turn: int, of_ours: float) -> None:
        """End our side of a turn, and run the plain loop's."""
        seconds = self.clock.stop()
        self.first = self.first or seconds
        counts = turn >= self.warm_up
        if counts:
            self.ours.append(seconds)
            self.ours_mb = max(self.ours_mb, self.memory.peak() - self._of_plain)
        if self._plain is None:
            return
        self.memory.reset()
        usual_allocator()
        self.clock.start()
        self._guarded(lambda: self._plain(turn))
        seconds = self.clock.stop()
        allocator.keep_freed_memory()
        if counts and self.plain_fits:
            self.theirs.append(seconds)
            self.theirs_mb = max(self.theirs_mb, self.memory.peak() - of_ours)

    def _guarded(self, function: Callable[[], Any]) -> None:
        try:
            function()
        except Exception as error:
            if not compute.is_out_of_memory(error):
                raise
            self.plain_fits = False
        if not self.plain_fits:  # outside `except`: the error held on to what had filled the memory
            self._plain, self.theirs = None, []
            compute.free_memory()


def quartiles(values: list[float]) -> list[float]:
    """Return lower quartile, median and upper quartile; of one value three times itself."""
    return statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3


def ratio(theirs: list[float], ours: list[float]) -> str:
    """Return the ratio of neighbours, median and quartiles, as text."""
    if not theirs:
        return "-"
    low, middle, high = quartiles([a / b for a, b in zip(theirs, ours, strict=True)])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
