"""What stands behind a row of the leaderboard: its networks, its set, what made both."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from condensation.core import storage
from condensation.leaderboard.ranks import CELL
from condensation.workflow.grid import SetId

_ROW = [*CELL, "method"]


@dataclass(frozen=True)
class MadeSet:
    """A condensed set as the page shows it.

    Attributes
    ----------
    about : metadata of its file (``condensation.data.sets``).
    cost : content of its ``cost.json``.
    picture : data URI of some of its images (``leaderboard.pictures``), if it has any.
    shown : what the picture shows, in words.
    """

    about: Mapping[str, Any]
    cost: Mapping[str, Any]
    picture: str | None = None
    shown: str = ""


def costs(board: pd.DataFrame, sets: Mapping[SetId, MadeSet]) -> pd.DataFrame:
    """Return per row of ``board`` the mean seconds of its sets, and the peak memory in MiB.

    The memory is that of the device where one was used, else of the process.
    Both are NaN where no set was made.
    """
    found = []
    for key in board[["dataset", "method", "ipc"]].itertuples(index=False, name=None):
        members = [one.cost for set_id, one in sets.items() if _key(set_id) == key]
        if not members:
            found.append((nan, nan))
            continue
        peaks = [cost.get("peak_cuda_mb", cost["peak_rss_mb"]) for cost in members]
        found.append((fmean(cost["seconds"] for cost in members), max(peaks)))
    return pd.DataFrame(found, board.index, ["seconds", "memory_mb"])


def gather(
    board: pd.DataFrame, records: Iterable[str | Path], sets: Mapping[SetId, MadeSet]
) -> dict[str, Any]:
    """Return what the page shows of each row, as plain JSON.

    ``rows`` are in the order of ``board``; ``sets`` (by dataset, method and IPC)
    and ``evaluations`` are what several rows share; a row without a record has
    no ``evaluation``, and its set may be missing.
    """
    evaluations: list[dict[str, Any]] = []
    networks: dict[tuple, list[dict[str, Any]]] = {}
    judged: dict[tuple, int] = {}
    for path in records:
        record = storage.read_json(path)
        cell = record["cell"]
        if cell.get("iteration") is not None:
            continue
        key = tuple(cell[name] for name in _ROW)
        evaluation = {name: record.get(name) for name in ("options", "source", "compile", "stack")}
        if evaluation not in evaluations:
            evaluations.append(evaluation)
        judged.setdefault(key, evaluations.index(evaluation))
        members = networks.setdefault(key, [])
        members += [{**row, "set": cell["condensation_seed"]} for row in record["rows"]]
    classes = {set_id.dataset: one.about["classes"] for set_id, one in sets.items()}
    rows = []
    for about in board[_ROW].to_dict("records"):
        key = tuple(about[name] for name in _ROW)
        members = sorted(networks.get(key, ()), key=lambda row: (row["set"], row["seed"]))
        rows.append(
            {
                **{name: about[name] for name in _ROW},
                "set": "/".join((about["dataset"], about["method"], about["ipc"])),
                "evaluation": judged.get(key),
                "networks": [_network(row) for row in members],
                "epochs": max((_epochs(row) for row in members), key=len, default=[]),
                "per_class": _per_class(members, classes.get(about["dataset"], ())),
            }
        )
    shown: dict[str, list[dict[str, Any]]] = {}
    for set_id, one in sets.items():
        shown.setdefault("/".join(_key(set_id)), []).append(_set(set_id, one))
    return {"rows": rows, "sets": shown, "evaluations": evaluations}


def _key(set_id: SetId) -> tuple[str, str, str]:
    return set_id.dataset, set_id.method, set_id.ipc


def _network(row: Mapping[str, Any]) -> dict[str, Any]:
    curve = [None if loss is None else float(f"{loss:.4g}") for _, loss in row.get("curve") or []]
    return {name: row[name] for name in ("set", "seed", "status", "accuracy", "loss")} | {
        "curve": curve
    }


def _epochs(row: Mapping[str, Any]) -> list[int]:
    return [epoch for epoch, _ in row.get("curve") or []]


def _per_class(
    rows: Sequence[Mapping[str, Any]], classes: Sequence[str]
) -> list[tuple[str, float | None]]:
    """Accuracy by class, in the order of the dataset: the mean over networks that have one."""
    found = [row["per_class"] for row in rows if row.get("per_class")]
    means = []
    for name in classes if found else ():
        values = [one[name] for one in found if one.get(name) is not None]
        means.append((name, round(fmean(values), 2) if values else None))
    return means


def _set(set_id: SetId, one: MadeSet) -> dict[str, Any]:
    about, cost = one.about, one.cost
    facts = {"seed": set_id.condensation_seed, "status": about.get("status", "ok")}
    if facts["status"] != "ok":
        facts |= {"cause": about.get("cause"), "failed at iteration": about.get("iteration")}
    for name in ("algorithm", "iterations", "precision", "source", "content", "step_size"):
        if about.get(name) is not None:
            facts[name] = about[name]
    facts |= {"options": about.get("options"), "preprocessing": about.get("preprocessing")}
    facts["inputs"] = about.get("inputs")
    facts["cost"] = {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in cost.items()
    }
    return {"facts": facts, "picture": one.picture, "shown": one.shown}
