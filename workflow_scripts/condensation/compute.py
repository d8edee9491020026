"""The machine: device, threads, compilation, peak memory."""

import logging
import platform
import resource
import shutil
from collections.abc import Callable
from typing import Any

import torch

from condensation.errors import InputError

log = logging.getLogger("condensation")


def device_named(name: str) -> torch.device:
    """Return the torch device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises InputError if CUDA is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"compute.device: {name} is set, but torch finds no CUDA device here")
    return torch.device(name)


def compiled(function: Callable[..., Any], wanted: bool, device: torch.device) -> Callable:
    """Return ``function`` through torch.compile where wanted and possible, else as it is."""
    if not wanted:
        return function
    if device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        log.warning("no C++ compiler here: running without torch.compile")
        return function
    return torch.compile(function, dynamic=False)


def peak_memory_mb(device: torch.device) -> dict[str, float]:
    """Return peak resident memory of this process and, on CUDA, of the device, in MiB."""
    peak = {"peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if device.type == "cuda":
        peak["peak_cuda_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    return peak


def description(device: torch.device) -> dict[str, Any]:
    """Return what the numbers were made on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": device.type,
        "device_name": name,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
