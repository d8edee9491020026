"""What every rule script does around its work: log file, threads, checksums, readable errors."""

import contextlib
import errno
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from condensation import checksums, devices
from condensation.errors import InputError

log = logging.getLogger("condensation")

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}


@contextlib.contextmanager
def job(snakemake: Any, torch_threads: bool = True) -> Iterator[None]:
    """Run the block of a rule script, between a check of its inputs and checksums of its outputs.

    Messages go to the rule's log file; bad input, and a disk that takes
    nothing, is shown there and on the terminal as one message without a
    traceback, anything else with it.
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

        options = snakemake.config["compute"]
        torch.set_num_threads(snakemake.threads)
        compute.set_up(precision=options["precision"], deterministic=options["deterministic"])
        compute.limit_memory(options["memory_limit_mb"])
    try:
        for given in snakemake.input:
            checksums.check(given)
        yield
        for made in snakemake.output:
            checksums.write(made)
    except InputError as error:
        log.error("error: %s", error)
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            log.exception("failed")
            raise
        log.error("error: %s; nothing half-written is left", error)
        sys.exit(f"error: {error}")
    except BaseException:
        log.exception("failed")
        raise
