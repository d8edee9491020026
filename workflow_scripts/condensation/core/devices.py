"""Which GPU of this machine a job takes, where several jobs run side by side.

Snakemake counts GPUs but does not number them. A job holds a lock on a file per device, so the next
one takes another device, also if it belongs to another workflow. Free of torch.
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
_WSL = "/usr/lib/wsl/lib"  # where WSL 2 keeps the driver, on PATH or not
_held: list[IO[str]] = []  # open until the process ends, whichever way it does


def take(devices: list[str], folder: Path | None = None) -> str:
    """Return the device of ``devices`` that fewest jobs hold, and hold it until this process ends.

    Raises RuntimeError if all are held by very many.
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


def assign(wanted: str) -> None:
    """Leave one device in CUDA_VISIBLE_DEVICES, for ``compute.device`` ``auto`` or ``cuda``.

    Not where a cluster has given this job its devices, nor where one is named (``cuda:1``), nor
    where there is none. To be called before CUDA is used.
    """
    if wanted not in ("auto", "cuda") or "SLURM_JOB_ID" in os.environ:
        return
    if len(devices := usable()) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = take(devices)


def kind(name: str) -> str:
    """Return what ``compute.device`` means on this machine, ``cpu`` or ``cuda``; free of torch."""
    if name != "auto":
        return name.partition(":")[0]
    return "cuda" if present() and usable() else "cpu"


def at_once() -> int:
    """Return how many jobs that want a GPU may run at once: one a device, or one a core."""
    return len(usable()) or os.cpu_count() or 1


def usable() -> list[str]:
    """Return the devices that jobs may use: those of CUDA_VISIBLE_DEVICES, or all there are."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return present()
    names = [name.strip() for name in given.split(",") if name.strip()]
    return list(itertools.takewhile(lambda name: name != "-1", names))  # where CUDA stops reading


def present() -> list[str]:
    """Return the numbers of the machine's NVIDIA devices, as CUDA counts them.

    By their files, or, where a machine has CUDA without such files, as WSL 2 does, by asking the
    driver: its program, or else its library.
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
