"""What every rule script does around its work: log file, threads, checksums, readable errors."""

import contextlib
import errno
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from condensation.core import checksums, devices
from condensation.core.errors import InputError
from condensation.workflow import made_from

log = logging.getLogger("condensation")

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}


@contextlib.contextmanager
def job(snakemake: Any, torch_threads: bool = True) -> Iterator[None]:
    """Run the block of a rule script, between a check of its inputs and checksums of its outputs.

    ``snakemake.config`` becomes what ``rules/common.smk`` tells the jobs, whatever the main
    workflow holds. Messages go to the rule's log file, warnings to the terminal too; bad
    input, a disk that takes nothing and memory that runs out are shown there and on the terminal
    as one message without a traceback, anything else with it.
    """
    snakemake.config = settings = _settings(snakemake)
    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    # names of files need not be UTF-8
    handler = logging.FileHandler(path, mode="w", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter("warning: %(message)s"))
    terminal.addFilter(lambda record: record.levelno == logging.WARNING)
    log.addHandler(terminal)
    log.setLevel(logging.INFO)
    if torch_threads:
        if snakemake.resources.get("gpu"):
            devices.assign(settings["compute"]["device"])
        import torch

        from condensation.core import compute

        options = settings["compute"]
        torch.set_num_threads(snakemake.threads)
        compute.set_up(precision=options["precision"], deterministic=options["deterministic"])
        compute.limit_memory(options["memory_limit_mb"])
    try:
        for folder in map(Path, settings["folders"]):
            if any(folder in Path(output).parents for output in snakemake.output):
                made_from.claim(folder, *settings["made_from"])
        for given in snakemake.input:
            checksums.check(given)
        yield
        for made in snakemake.output:
            checksums.write(made)
    except BaseException as error:
        said = _message(error, snakemake, torch_threads)
        if said is None:
            log.exception("failed")
            raise
        log.error("error: %s", said)
        sys.exit(f"error: {said}")


def _message(error: BaseException, snakemake: Any, with_torch: bool) -> str | None:
    """Return what to say in place of a traceback, or None where it is needed."""
    if with_torch:
        from condensation.core import compute

        if compute.is_out_of_memory(error):
            compute.make_room()
            limit = snakemake.config["compute"]["memory_limit_mb"]
            remedy = "a machine with more may do it"
            if limit:
                remedy = f"compute.memory_limit_mb is {limit}: raise it"
            reason = (str(error) or type(error).__name__).splitlines()[0]
            return f"rule {snakemake.rule} ran out of memory ({reason}); {remedy}"
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        return f"{error}; nothing half-written is left"
    return None


def _settings(snakemake: Any) -> dict[str, Any]:
    """What is no param, of the use of the workflow that this job is of: its log lies there."""
    every = snakemake.config["condensation"]
    log_file = Path(snakemake.log[0])
    return next(
        told for results, told in every.items() if Path(results, "logs") in log_file.parents
    )
