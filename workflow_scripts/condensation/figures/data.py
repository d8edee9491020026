"""Selections and error bars of the accuracy table, for figures."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from condensation.results.frames import FINAL
from condensation.workflow.grid import WAY, WHOLE


def select(table: pd.DataFrame, where: Mapping[str, str], final: bool = True) -> pd.DataFrame:
    """Return the rows with the values of ``where``, each cell once.

    Of a cell in several experiments it keeps the row with most networks. ``final``
    leaves out snapshots.
    """
    for column, value in where.items():
        table = table[table[column] == value]
    if final:
        table = table[table["iteration"] == FINAL]
    cell = ["dataset", "method", "ipc", "iteration", *WAY]
    return table.sort_values("networks", kind="stable").drop_duplicates(cell, keep="last")


def whole(table: pd.DataFrame, where: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of whole datasets evaluated as in ``where``, from any experiment."""
    kept = {key: value for key, value in where.items() if key not in ("experiment", "ipc")}
    return select(table, {**kept, "ipc": WHOLE})


def spread(rows: pd.DataFrame) -> np.ndarray:
    """Return the error bars [2, rows], below and above the mean, in percent points.

    The interval (columns ``low`` and ``high``) if the table has one, else the
    standard deviation, both clipped to 0 and 100; NaN, which is not drawn, for a
    single network.
    """
    if {"low", "high"} <= set(rows):
        bars = whiskers(rows["mean"], rows["low"], rows["high"])
    else:
        bars = whiskers(rows["mean"], rows["mean"] - rows["std"], rows["mean"] + rows["std"])
    return np.where(rows["networks"].to_numpy() > 1, bars, np.nan)


def whiskers(mean: pd.Series, low: pd.Series, high: pd.Series) -> np.ndarray:
    """Return error bars [2, rows], below and above the mean, clipped to 0 and 100 percent."""
    bars = np.stack([mean - low.clip(lower=0), high.clip(upper=100) - mean])
    return np.maximum(bars, 0.0)  # rounding may move an interval without width off its mean


def spread_name(table: pd.DataFrame) -> str:
    """Return a description of the error bars."""
    if {"low", "high"} <= set(table):
        return "95 % interval of the mean"
    return "population standard deviation over networks"


def missing_reason(row: pd.Series) -> str:
    """Return why a row has no accuracy; empty if it has one or the reason is unknown."""
    if np.isfinite(row["mean"]):
        return ""
    # a cell outside the config has no counts
    reasons = {"oom": "OOM", "diverged": "diverged", "missing": "missing"}
    return next((text for name, text in reasons.items() if row[name] > 0), "")
