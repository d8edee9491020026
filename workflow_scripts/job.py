"""What every rule script does first: log file, threads, and errors that a person can read."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from condensation import devices
from condensation.errors import InputError

log = logging.getLogger("condensation")


@contextlib.contextmanager
def job(snakemake: Any, torch_threads: bool = True) -> Iterator[None]:
    """Run the block of a rule script.

    Messages go to the rule's log file; bad input is shown there and on the
    terminal as one message without a traceback, anything else with it.
    """
    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    if torch_threads:
        if snakemake.resources.get("gpu"):
            devices.assign(snakemake.config["compute"]["device"])
        import torch

        from condensation import compute

        torch.set_num_threads(snakemake.threads)
        compute.limit_memory(snakemake.config["compute"]["memory_limit_mb"])
    try:
        yield
    except InputError as error:
        log.error("error: %s", error)
        sys.exit(f"error: {error}")
    except BaseException:
        log.exception("failed")
        raise
