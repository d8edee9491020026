"""The details of a row of the leaderboard: its networks, its sets, options and code."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from statistics import fmean
from typing import Any

import pandas as pd

from condensation.leaderboard.ranks import CELL
from condensation.results import budgets
from condensation.results.records import cell_of, mean_seconds
from condensation.workflow.grid import SetId

_ROW = [*CELL, "method"]


@dataclass(frozen=True)
class SetDetails:
    """A condensed set as the page shows it.

    Attributes
    ----------
    metadata : of its file (``condensation.data.sets``).
    cost : content of its ``cost.json``.
    picture : data URI of some of its images (``leaderboard.pictures``), if it has any.
    caption : of the picture.
    size : number of its images; 0 for a failed set.
    """

    metadata: Mapping[str, Any]
    cost: Mapping[str, Any]
    picture: str | None = None
    caption: str = ""
    size: int = 0


def costs(board: pd.DataFrame, sets: Mapping[SetId, SetDetails]) -> pd.DataFrame:
    """Return per row of ``board`` the mean seconds of its sets, and their peak memory in MiB.

    The memory is that of the CUDA device, else of the process. Both are NaN for
    a row whose sets were made on CPU and GPU, and for one without a set.
    """
    rows = []
    for key in board[["dataset", "method", "ipc"]].itertuples(index=False, name=None):
        members = [details.cost for set_id, details in sets.items() if _key(set_id) == key]
        seconds = mean_seconds(members)
        if isnan(seconds):
            rows.append((nan, nan))
            continue
        peaks = [cost.get("peak_cuda_mb", cost["peak_rss_mb"]) for cost in members]
        rows.append((seconds, max(peaks)))
    return pd.DataFrame(rows, board.index, ["seconds", "memory_mb"])


def budgets_of(board: pd.DataFrame, sets: Mapping[SetId, SetDetails], teacher: str) -> pd.DataFrame:
    """Return per row of ``board`` the bytes per class, and what is stored or needed beside images.

    NaN and an empty text for a row without a finished set. ``teacher`` is the name of the network
    behind the labels of rows with labels that come from one.
    """
    rows = []
    for row in board.to_dict("records"):
        key = row["dataset"], row["method"], row["ipc"]
        members = (details for set_id, details in sets.items() if _key(set_id) == key)
        of_sets = (
            budgets.of_set(details.metadata, details.size, row["labels"], teacher)
            for details in members
        )
        budget = next(filter(None, of_sets), None)
        rows.append((budget.per_class, budget.beside_images) if budget else (nan, ""))
    return pd.DataFrame(rows, board.index, budgets.COLUMNS)


def row_details(
    board: pd.DataFrame, records: Iterable[Mapping[str, Any]], sets: Mapping[SetId, SetDetails]
) -> dict[str, Any]:
    """Return the details of each row of the page, as plain JSON.

    ``rows`` have the order of ``board``. Several rows can share an entry of
    ``sets`` (by dataset, method and IPC) and of ``evaluations``. A row without a
    record has no ``evaluation``, and its set may be missing.
    """
    evaluations: list[dict[str, Any]] = []
    networks: dict[tuple, list[dict[str, Any]]] = {}
    evaluation_of: dict[tuple, int] = {}
    for record in records:
        cell = cell_of(record)
        if cell.get("iteration") is not None:
            continue
        key = tuple(cell[name] for name in _ROW)
        evaluation = {name: record.get(name) for name in ("options", "source", "compile", "stack")}
        if evaluation not in evaluations:
            evaluations.append(evaluation)
        evaluation_of.setdefault(key, evaluations.index(evaluation))
        members = networks.setdefault(key, [])
        members += [{**row, "set": cell["condensation_seed"]} for row in record["rows"]]
    classes = {set_id.dataset: details.metadata["classes"] for set_id, details in sets.items()}
    rows = []
    for row in board[_ROW].to_dict("records"):
        key = tuple(row[name] for name in _ROW)
        members = sorted(networks.get(key, ()), key=lambda row: (row["set"], row["seed"]))
        rows.append(
            {
                **row,
                "set": "/".join((row["dataset"], row["method"], row["ipc"])),
                "evaluation": evaluation_of.get(key),
                "networks": [_network(member) for member in members],
                "epochs": max((_epochs(member) for member in members), key=len, default=[]),
                "per_class": _per_class(members, classes.get(row["dataset"], ())),
            }
        )
    by_set: dict[str, list[dict[str, Any]]] = {}
    for set_id, details in sets.items():
        by_set.setdefault("/".join(_key(set_id)), []).append(_set(set_id, details))
    return {"rows": rows, "sets": by_set, "evaluations": evaluations}


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
    """Return the mean accuracy by class over the networks that have it, in the dataset's order."""
    accuracies = [row["per_class"] for row in rows if row.get("per_class")]
    means = []
    for name in classes if accuracies else ():
        values = [network[name] for network in accuracies if network.get(name) is not None]
        means.append((name, round(fmean(values), 2) if values else None))
    return means


def _set(set_id: SetId, details: SetDetails) -> dict[str, Any]:
    metadata, cost = details.metadata, details.cost
    facts = {"seed": set_id.condensation_seed, "status": metadata.get("status", "ok")}
    if facts["status"] != "ok":
        facts |= {"cause": metadata.get("cause"), "failed at iteration": metadata.get("iteration")}
    for name in ("algorithm", "iterations", "precision", "source", "content", "step_size"):
        if metadata.get(name) is not None:
            facts[name] = metadata[name]
    facts |= {"options": metadata.get("options"), "preprocessing": metadata.get("preprocessing")}
    facts["inputs"] = metadata.get("inputs")
    facts["cost"] = {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in cost.items()
    }
    return {"facts": facts, "picture": details.picture, "shown": details.caption}
