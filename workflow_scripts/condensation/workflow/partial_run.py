"""The second run, with ``partial: true``, that shows the results of a failed run."""

import os
from pathlib import Path
from typing import Any

# set for the second run and its jobs: of several --config, Snakemake reads the last one alone
VARIABLE = "CONDENSATION_PARTIAL"


def settings() -> dict[str, Any]:
    """Return what the second run has in its config besides that of the failed run."""
    return {"partial": True} if VARIABLE in os.environ else {}


def is_newer(path: str, time: float) -> bool:
    """Return whether a file was written since ``time``, in seconds since the epoch."""
    return Path(path).is_file() and Path(path).stat().st_mtime >= time
