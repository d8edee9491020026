"""Which GPU of this machine a job takes, where several jobs run side by side.

Snakemake counts GPUs but does not number them. A job holds a lock on a file per device, so the next
one takes another device, also if it belongs to another workflow. Free of torch.
"""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

_MOST_PER_DEVICE = 64
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
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = present() if given is None else [one.strip() for one in given.split(",") if one]
    if len(devices) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = take(devices)


def kind(name: str) -> str:
    """Return what ``compute.device`` means on this machine, ``cpu`` or ``cuda``; free of torch."""
    if name != "auto":
        return name.partition(":")[0]
    return "cuda" if present() else "cpu"


def present() -> list[str]:
    """Return the numbers of the machine's NVIDIA devices."""
    found = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return sorted((one for one in found if one.isdigit()), key=int)
