"""Records of evaluations: read from files, and checked against the config.

A record that does not fit the config is refused, so that no table mixes old and
new results. A record made by other code is accepted and marked, because
``snakemake --touch`` accepts such files on purpose.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from condensation.config.experiments import OWN
from condensation.config.schema import Config
from condensation.core import storage
from condensation.core.errors import InputError
from condensation.workflow import jobs
from condensation.workflow.grid import WAY, SetId

Records = Mapping[str, Mapping[str, Any]]  # content by path
FAILED = ("oom", "diverged")
_RUN_AGAIN = "Delete it and run again; the workflow makes it anew"


class RecordError(InputError):
    """A record that cannot be used: the ``problem``, and what to do about its file."""

    def __init__(self, problem: str, advice: str = _RUN_AGAIN) -> None:
        super().__init__(f"{problem}. {advice}")
        self.problem = problem


def cell_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cell of a record; its labels are the set's own unless it names others."""
    return {"labels": OWN, **record["cell"]}


def mixed_precisions(contents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what was computed in several precisions: networks, or sets of one method and IPC.

    ``contents`` are those of records; others are left out.
    """
    used: dict[str, set[str]] = {}
    for record in contents:
        if "cell" in record:
            where = "/".join(record["cell"][name] for name in ("dataset", "method", "ipc"))
            for what, part in (("networks", record), (f"sets of {where}", record.get("set") or {})):
                if precision := part.get("precision"):  # older records do not name it
                    used.setdefault(what, set()).add(precision)
    return [f"{what} in {' and '.join(sorted(p))}" for what, p in used.items() if len(p) > 1]


def read(paths: Iterable[str | Path], left_out: list[str] | None = None) -> dict[str, Any]:
    """Return the content of each file by its path.

    Raises
    ------
    InputError
        For a damaged file; with ``left_out`` the message goes there instead.
    """
    contents = {}
    for path in paths:
        try:
            contents[str(path)] = storage.read_json(path)
        except InputError as error:
            if left_out is None:
                raise
            left_out.append(str(error))
    return contents


def check(
    records: Records, config: Config | None = None, left_out: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield each record, with its ``path`` and whether ``other_code`` made it or its set.

    Parameters
    ----------
    config : also checks options and devices; without it ``other_code`` is False.
    left_out : skip records with an error, and add the messages to this list.

    Raises
    ------
    RecordError
        For a file that is no record and for an impossible result; with ``config`` also for
        other options than the config has, and for another kind of device than that of the
        first record, unless ``compute.mix_devices`` is set.
    """
    options = _OptionCheck(config) if config else None
    devices = _DeviceCheck() if config and not config.compute.mix_devices else None
    for path, record in records.items():
        try:
            if not {"cell", "rows"} <= set(record):
                raise RecordError(f"{path}: not a record of an evaluation")
            for row in record["rows"]:
                _check_row(row, path)
            other_code = options.check(record, path) if options else False
            if devices:
                devices.check(record, path)
        except InputError as error:
            if left_out is None:
                raise
            left_out.append(str(error))
        else:
            yield {**record, "path": path, "other_code": other_code}


def _check_row(row: Mapping[str, Any], path: str) -> None:
    where = f"{path}: evaluation seed {row.get('seed')}"
    status, accuracy = row.get("status"), row.get("accuracy")
    if status in FAILED:
        return
    if status != "ok":
        known = ", ".join(("ok", *FAILED))
        raise RecordError(f"{where}: status {status!r}; expected one of {known}")
    if accuracy is None or not math.isfinite(accuracy) or not 0 <= accuracy <= 100:
        raise RecordError(
            f"{where}: status ok, but accuracy {accuracy}; expected percent from 0 to 100"
        )


class _OptionCheck:
    """Compares the options of records with those of the config's jobs."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.jobs: dict[Any, dict[str, Any]] = {}  # computed once per kind of job

    def check(self, record: Mapping[str, Any], path: str) -> bool:
        """Raise RecordError unless the options are the config's; return ``other_code``."""
        cell, set_facts = cell_of(record), record.get("set") or {}
        for section in ("dataset", "method", "architecture", "augmentation", "optimizer"):
            if cell[section] not in getattr(self.config, section + "s"):
                raise RecordError(
                    f"{path}: a record of {section} {cell[section]!r}, which the config does not "
                    "have",
                    "Delete it, or put the entry back",
                )
        way = tuple(cell[name] for name in WAY)
        evaluate = self._job(way, lambda: jobs.evaluate(self.config, *way))
        set_key = (cell["dataset"], cell["method"], cell["ipc"], int(cell["condensation_seed"]))
        condense = self._job(set_key, lambda: jobs.condense(self.config, SetId(*set_key)))
        where, made_with = f"{path}: was judged with", f"{path}: judges a set made with"
        _require_equal(record.get("options"), evaluate["options"], where, "evaluate")
        where = f"{path}: judges a set of the algorithm"
        _require_equal(set_facts.get("algorithm"), condense["function"], where, "condense")
        if set_facts.get("options") is not None:
            _require_equal(set_facts["options"], condense["options"], made_with, "condense")
        if set_facts.get("labels_option") is not None:
            labels, expected = (
                {"labels": set_facts["labels_option"]},
                {"labels": condense["labels"]},
            )
            _require_equal(labels, expected, made_with, "condense")
        sources = record.get("source"), set_facts.get("source")
        return sources != (evaluate["source"], condense["source"])

    def _job(self, key: Any, make: Callable[[], Any]) -> dict[str, Any]:
        if key not in self.jobs:
            self.jobs[key] = json.loads(json.dumps(make()))  # as a record holds it
        return self.jobs[key]


class _DeviceCheck:
    """Requires one kind of device for all records and their sets."""

    def __init__(self) -> None:
        self.first: tuple[str, str] | None = None  # kind, and the path of a record

    def check(self, record: Mapping[str, Any], path: str) -> None:
        """Raise RecordError for another kind of device than that of the records before."""
        # records without a device are older than the support of GPUs
        kinds = {part.get("device") or "cpu" for part in (record, record.get("set") or {})}
        for kind in sorted(kinds):
            if self.first is None:
                self.first = kind, path
            if kind != self.first[0]:
                raise RecordError(
                    f"{path}: made in part on {kind}, but {self.first[1]} on {self.first[0]}, and "
                    "their numbers differ",
                    "`compute: {mix_devices: true}` lets them stand in one table; else delete "
                    "those of one kind and run again",
                )


def mean_seconds(costs: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean seconds of condensation of sets; NaN if CPU and GPU made them, or for none.

    ``costs`` are the contents of their files ``cost.json``.
    """
    if len({cost["device"] for cost in costs}) != 1:
        return math.nan
    return fmean(cost["seconds"] for cost in costs)


def _require_equal(recorded: Any, expected: Any, where: str, rule: str) -> None:
    if difference := _first_difference(recorded, expected):
        key, old, new = difference
        raise RecordError(
            f"{where} {key}{old!r}, but the config now says {new!r}: an old result, which is not "
            "averaged with new ones",
            f"{_RUN_AGAIN}, as `snakemake --forcerun {rule}` does with all",
        )


def _first_difference(old: Any, new: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """Return the path of the first option that differs, and both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = dict.fromkeys([*new, *old])
        parts = (_first_difference(old.get(n), new.get(n), f"{key}{n}.") for n in names)
        return next(filter(None, parts), None)
    if old == new:
        return None
    return (f"`{key.rstrip('.')}` " if key else ""), old, new
