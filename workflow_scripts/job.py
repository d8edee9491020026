"""What every rule script does around its work: log file, threads, checksums, clear errors."""

import contextlib
import errno
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from condensation.core import allocator, checksums, devices
from condensation.core.errors import InputError
from condensation.workflow import digest, made_from

log = logging.getLogger("condensation")

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}


@contextlib.contextmanager
def job(snakemake: Any, torch_threads: bool = True) -> Iterator[None]:
    """Run the block of a rule script; check its inputs before and its code after.

    ``snakemake.config`` becomes the settings that ``rules/common.smk`` passes to the jobs,
    whatever the main workflow holds. Messages go to the rule's log file, warnings to the terminal
    too. Bad input, a full or read-only disk and exhausted memory end in one message without a
    traceback. The log has the traceback of any other error, the terminal its last line.
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
        compute.limit_device(options["jobs_per_gpu"])
        if options["memory_limit_mb"] is None:  # kept memory has gaps, which count against a limit
            allocator.keep_freed_memory()
    try:
        for folder in map(Path, settings["folders"]):
            if any(folder in Path(output).parents for output in snakemake.output):
                made_from.claim(folder, *settings["made_from"])
        for path in snakemake.input:
            checksums.check(path)
        yield
        check_code(snakemake)
        for path in snakemake.output:
            checksums.write(path)
    except BaseException as error:
        message = _message(error, snakemake, torch_threads)
        if message is None:
            log.exception("failed")
            if not isinstance(error, Exception):  # the job was told to end
                raise
            sys.exit(f"error: {type(error).__name__}: {error}")
        log.error("error: %s", message)
        sys.exit(f"error: {message}")


def check_code(snakemake: Any) -> None:
    """Raise RuntimeError if the job has loaded a module that its digest does not cover.

    An edit of that module would not rerun the job.
    """
    params = getattr(snakemake, "params", None)
    code = getattr(params, "job", None)
    if code is None:  # this rule reruns for its inputs alone
        return
    loaded = [
        module.__file__
        for name, module in sys.modules.items()
        if name.partition(".")[0] == digest.PACKAGE and getattr(module, "__file__", None)
    ]
    if missing := digest.uncovered(code["sources"], loaded):
        raise RuntimeError(
            f"rule {snakemake.rule} used {', '.join(missing)}, but its digest covers only "
            f"{', '.join(code['sources'])} and what these import. Add the missing module to the "
            "sources of the job (condensation/workflow), or to digest.WITHOUT_EFFECT if no "
            "result depends on it"
        )


def _message(error: BaseException, snakemake: Any, with_torch: bool) -> str | None:
    """Return the message to show instead of a traceback, or None where it is needed."""
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
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        return f"{error}; nothing half-written is left"
    return None


def _settings(snakemake: Any) -> dict[str, Any]:
    """Return the settings of the use of this workflow in whose results the job's log lies."""
    log_file = Path(snakemake.log[0])
    return next(
        settings
        for results, settings in snakemake.config["condensation"].items()
        if Path(results, "logs") in log_file.parents
    )
