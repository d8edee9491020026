"""The second run, with ``partial: true``, that shows the results of a failed run."""

from collections.abc import Sequence
from pathlib import Path


def arguments(command: Sequence[str]) -> list[str]:
    """Return Snakemake's arguments with ``partial=true`` among those of ``--config``."""
    at = next((at for at, word in enumerate(command) if word in ("--config", "-C")), None)
    if at is None:
        return [*command, "--config", "partial=true", "--nolock"]
    return [*command[: at + 1], "partial=true", *command[at + 1 :], "--nolock"]


def is_newer(path: str, time: float) -> bool:
    """Return whether a file was written since ``time``, in seconds since the epoch."""
    return Path(path).is_file() and Path(path).stat().st_mtime >= time
