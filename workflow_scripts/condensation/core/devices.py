"""Share the GPUs of a machine between jobs. Free of torch.

Snakemake counts GPUs but does not number them. Each job therefore locks a file of its device. The
next job, also of another workflow, then takes another device.
"""

import contextlib
import ctypes
import fcntl
import itertools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

_MOST_PER_DEVICE = 64
_DEVICES = Path("/dev")
_WSL = "/usr/lib/wsl/lib"  # WSL 2 keeps the driver here
_held: list[IO[str]] = []  # stay open, and locked, until the process ends


def take(devices: list[str], folder: Path | None = None) -> str:
    """Return the device that fewest jobs hold, and hold it until this process ends.

    Raises
    ------
    RuntimeError
        If 64 jobs hold each device.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"condensation-gpus-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(_MOST_PER_DEVICE):
        for device in devices:
            file = (folder / f"{device.replace('/', '_')}.{place}").open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                continue
            _held.append(file)
            return device
    raise RuntimeError(f"{_MOST_PER_DEVICE} jobs hold each of the devices {', '.join(devices)}")


def assign(name: str) -> None:
    """Leave one device in CUDA_VISIBLE_DEVICES if ``compute.device`` is ``auto`` or ``cuda``.

    A named device (``cuda:1``) and the devices of a Slurm job stay as they are. Call this before
    CUDA is used.
    """
    if name not in ("auto", "cuda") or "SLURM_JOB_ID" in os.environ:
        return
    if len(devices := usable()) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = take(devices)


def kind(name: str) -> str:
    """Return what ``compute.device`` means on this machine: ``cpu`` or ``cuda``."""
    if name != "auto":
        return name.partition(":")[0]
    return "cuda" if present() and usable() else "cpu"


def at_once() -> int:
    """Return how many GPU jobs may run in parallel: one per device, else one per core."""
    return len(usable()) or os.cpu_count() or 1


def usable() -> list[str]:
    """Return the devices that jobs may use: those of CUDA_VISIBLE_DEVICES, or all."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return present()
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return list(itertools.takewhile(lambda name: name != "-1", names))  # CUDA stops there


def present() -> list[str]:
    """Return the numbers of the machine's NVIDIA devices, as CUDA counts them.

    They come from the device files. A machine without such files (WSL 2) asks ``nvidia-smi`` or
    the library of the driver.
    """
    return [str(number) for number in range(_count())]


def _count() -> int:
    if files := [path for path in _DEVICES.glob("nvidia[0-9]*") if path.name[6:].isdigit()]:
        return len(files)
    program = shutil.which("nvidia-smi") or shutil.which("nvidia-smi", path=_WSL)
    if program:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            listed = subprocess.run(
                [program, "-L"], capture_output=True, text=True, timeout=30, check=True
            )
            return len(re.findall(r"^GPU \d+:", listed.stdout, flags=re.M))
    with contextlib.suppress(OSError, AttributeError):
        driver, number = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
        if driver.cuInit(0) == driver.cuDeviceGetCount(ctypes.byref(number)) == 0:
            return number.value
    return 0
