"""Records of evaluations: read, and held against the config before anything is averaged.

A record that the config did not ask for in this form is refused by name, so
that no table mixes old results with new ones. One made by other code is let
through, because ``snakemake --touch`` accepts such on purpose, and marked.
"""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from condensation.config.schema import Config
from condensation.core import storage
from condensation.core.errors import InputError
from condensation.workflow import jobs
from condensation.workflow.grid import SetId

FAILED = ("oom", "diverged")
_AGAIN = "Delete it and run again; the workflow makes it anew"


def read(
    paths: Iterable[str | Path], config: Config | None = None, left_out: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield each record, with its ``path`` and whether ``other_code`` made it or its set.

    Raises InputError for a damaged record, for one whose rows are no results,
    and, with ``config``, for one that was made with other options than the
    config now has, or on another kind of device than the first one, unless
    `compute.mix_devices` is set. Without, ``other_code`` is False. With ``left_out`` such a
    record is left out, and what is wrong with it is added there.
    """
    told = _Told(config) if config else None
    devices = _Devices() if config and not config.compute.mix_devices else None
    for path in paths:
        try:
            record = _read(path, told)
            if devices:
                devices.check(record, path)
        except InputError as error:
            if left_out is None:
                raise
            left_out.append(str(error))
        else:
            yield record


def _read(path: str | Path, told: "_Told | None") -> dict[str, Any]:
    record = storage.read_json(path)
    if not {"cell", "rows"} <= set(record):
        raise InputError(f"{path}: not a record of an evaluation. {_AGAIN}")
    for row in record["rows"]:
        _check_row(row, path)
    other = told.check(record, path) if told else False
    return record | {"path": str(path), "other_code": other}


def _check_row(row: dict[str, Any], path: str | Path) -> None:
    where = f"{path}: evaluation seed {row.get('seed')}"
    status, accuracy = row.get("status"), row.get("accuracy")
    if status in FAILED:
        return
    if status != "ok":
        known = ", ".join(("ok", *FAILED))
        raise InputError(f"{where}: status {status!r}; expected one of {known}. {_AGAIN}")
    if accuracy is None or not math.isfinite(accuracy) or not 0 <= accuracy <= 100:
        raise InputError(
            f"{where}: status ok, but accuracy {accuracy}; expected percent from 0 to 100. {_AGAIN}"
        )


class _Told:
    """What the config tells each job, looked up once per kind of job."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.known: dict[Any, dict[str, Any]] = {}

    def check(self, record: dict[str, Any], path: str | Path) -> bool:
        """Raise InputError unless the record is what the config asks for; return ``other_code``."""
        cell, made = record["cell"], record.get("set") or {}
        for section in ("dataset", "method", "architecture", "augmentation", "optimizer"):
            if cell[section] not in getattr(self.config, section + "s"):
                raise InputError(
                    f"{path}: a record of {section} {cell[section]!r}, which the config does not "
                    "have. Delete it, or put the entry back"
                )
        way = (cell["architecture"], cell["augmentation"], cell["optimizer"])
        now = self._once(way, lambda: jobs.evaluate(self.config, *way))
        _same(record.get("options"), now["options"], f"{path}: was judged with", "evaluate")
        of_set = (cell["dataset"], cell["method"], cell["ipc"], int(cell["condensation_seed"]))
        then = self._once(of_set, lambda: jobs.condense(self.config, SetId(*of_set)))
        _same(
            made.get("algorithm"),
            then["function"],
            f"{path}: judges a set of the algorithm",
            "condense",
        )
        if made.get("options") is not None:
            _same(made["options"], then["options"], f"{path}: judges a set made with", "condense")
        if made.get("labels_option") is not None:
            asked, now_asked = {"labels": made["labels_option"]}, {"labels": then["labels"]}
            _same(asked, now_asked, f"{path}: judges a set made with", "condense")
        return (record.get("source"), made.get("source")) != (now["source"], then["source"])

    def _once(self, key: Any, make: Any) -> dict[str, Any]:
        if key not in self.known:
            self.known[key] = json.loads(json.dumps(make()))  # as a record holds it
        return self.known[key]


class _Devices:
    """The kind of device that records and their sets were made on: one for all."""

    def __init__(self) -> None:
        self.first: tuple[str, str] | None = None  # kind, and the path of a record

    def check(self, record: dict[str, Any], path: str | Path) -> None:
        """Raise InputError for a record of another kind than those before."""
        # what does not say was made before anything ran on a GPU
        kinds = {part.get("device") or "cpu" for part in (record, record.get("set") or {})}
        for kind in sorted(kinds):
            if self.first is None:
                self.first = kind, str(path)
            if kind != self.first[0]:
                raise InputError(
                    f"{path}: made in part on {kind}, but {self.first[1]} on {self.first[0]}, and "
                    "the two give other numbers. `compute: {mix_devices: true}` lets them stand in "
                    "one table; else delete those of one kind and run again"
                )


def _same(recorded: Any, wanted: Any, where: str, rule: str) -> None:
    found = _difference(recorded, wanted)
    if found:
        key, old, new = found
        raise InputError(
            f"{where} {key}{old!r}, but the config now says {new!r}: an old result, which is not "
            f"averaged with new ones. {_AGAIN}, as `snakemake --forcerun {rule}` does with all"
        )


def _difference(old: Any, new: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """Return the first option that differs, by its path, and both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*new, *old]):
            found = _difference(old.get(name), new.get(name), f"{key}{name}.")
            if found:
                return found
        return None
    if old == new:
        return None
    return (f"`{key.rstrip('.')}` " if key else ""), old, new
