"""The accuracy table as figures need it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from condensation.results.frames import FINAL
from condensation.workflow.grid import WHOLE


def select(table: pd.DataFrame, where: Mapping[str, str], final: bool = True) -> pd.DataFrame:
    """Return the rows that hold the values of ``where``, each cell once.

    Of a cell in several experiments the row of most networks is kept. With
    ``final`` snapshots are left out.
    """
    for column, value in where.items():
        table = table[table[column] == value]
    if final:
        table = table[table["iteration"] == FINAL]
    cell = ["dataset", "method", "ipc", "iteration", "architecture", "augmentation", "optimizer"]
    return table.sort_values("networks", kind="stable").drop_duplicates(cell, keep="last")


def whole(table: pd.DataFrame, where: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of whole datasets judged as in ``where``, in whatever experiment."""
    kept = {key: value for key, value in where.items() if key not in ("experiment", "ipc")}
    return select(table, {**kept, "ipc": WHOLE})


def spread(rows: pd.DataFrame) -> np.ndarray:
    """Return the error bars [2, rows], below and above the mean, in percent points.

    The interval (columns ``low`` and ``high``) where the table has one, else
    the standard deviation, both within 0 and 100; NaN, which is not drawn, for
    a single network.
    """
    if {"low", "high"} <= set(rows):
        bars = whiskers(rows["mean"], rows["low"], rows["high"])
    else:
        bars = whiskers(rows["mean"], rows["mean"] - rows["std"], rows["mean"] + rows["std"])
    return np.where(rows["networks"].to_numpy() > 1, bars, np.nan)


def whiskers(mean: pd.Series, low: pd.Series, high: pd.Series) -> np.ndarray:
    """Return error bars [2, rows], below and above the mean, of accuracies in percent.

    They end at 0 and 100, whatever the interval of a few networks says.
    """
    bars = np.stack([mean - low.clip(lower=0), high.clip(upper=100) - mean])
    return np.maximum(bars, 0.0)  # an interval without width may lie a rounding beside its mean


def spread_name(table: pd.DataFrame) -> str:
    """Return what the error bars are, in words."""
    if {"low", "high"} <= set(table):
        return "95 % interval of the mean"
    return "population standard deviation over networks"


def missing(row: pd.Series) -> str:
    """Return what to write where there is no accuracy: why there is none, if a reason is known."""
    if np.isfinite(row["mean"]):
        return ""
    # above 0, for a cell that the config does not hold has no counts
    named = {"oom": "OOM", "diverged": "diverged", "missing": "missing"}
    return next((text for name, text in named.items() if row[name] > 0), "")
