"""The table of what condensed sets are like: a row per dataset, method and IPC."""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from condensation.results import budgets, statistics

MEASURES = ["diversity", "representativeness", "density", "coverage", "close", "nearest"]
_LARGEST = {"coverage": 1.0, "close": 1.0}  # shares
_KEY = ["dataset", "method", "ipc"]
COLUMNS = [*_KEY, "sets", "failed", "images", *budgets.COLUMNS]
COLUMNS += [name + end for name in MEASURES for end in ("", "_low", "_high")] + ["real_nearest"]


def frame(contents: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per dataset, method and IPC with the mean of each measure over its sets.

    A set's value is the mean over its classes. ``_low`` and ``_high`` are the 95 % interval over
    sets, cut off at impossible values, and NaN for a single set. ``images`` is ``real`` for
    selected images, all of which are copies, else ``learned``. ``real_nearest`` is the median
    distance of a real image to the nearest other of its class, mean over classes. ``failed``
    counts sets without a result.

    Parameters
    ----------
    contents : of the files that rule measure_set writes, in any order.
    """
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for content in contents:
        groups.setdefault(tuple(content[name] for name in _KEY), []).append(content)
    rows = [
        {**dict(zip(_KEY, key, strict=True)), **_row(members)} for key, members in groups.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(members: list[Mapping[str, Any]]) -> dict[str, Any]:
    results = [member["measures"] for member in members if member["measures"]]
    row: dict[str, Any] = {"sets": len(members), "failed": len(members) - len(results)}
    if not results:
        return row
    facts = next(member for member in members if member["measures"])
    budget = budgets.of_set(facts["set"], int(facts["ipc"]) * len(facts["set"]["classes"]))
    row["images"] = results[0]["images"]
    row |= dict(zip(budgets.COLUMNS, (budget.per_class, budget.beside_images), strict=True))
    for name in MEASURES:
        values = [_mean(part[name] for part in measures["classes"]) for measures in results]
        numbers = [value for value in values if value is not None]
        row[name] = _mean(numbers)
        ends = np.clip(statistics.interval(numbers), 0, _LARGEST.get(name))
        row[f"{name}_low"], row[f"{name}_high"] = map(float, ends)
    quantiles = (part["real_nearest"] for part in results[0]["classes"])
    row["real_nearest"] = _mean(levels and levels["0.5"] for levels in quantiles)
    return row


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are defined; None if none is."""
    numbers = [value for value in values if value is not None]
    return fmean(numbers) if numbers else None
