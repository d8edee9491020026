"""How far a method is ahead of Random, in points and as a share of the way to the whole dataset.

Of the accuracies a of a method, r of Random and w of the whole dataset, evaluated in the same way,
the gain is a - r and the share (a - r) / (w - r). Intervals take the three as independent, with
the half-widths of their own intervals:

    gain: sqrt(h_a^2 + h_r^2)
    share: sqrt(h_a^2 + ((1 - share) h_r)^2 + (share h_w)^2) / (w - r)
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from condensation.results import statistics
from condensation.results.statistics import BLOCK
from condensation.workflow.grid import WHOLE

COLUMNS = ["gain", "gain_low", "gain_high", "share", "share_low", "share_high"]
_CELL = [*BLOCK, "method"]


def ordered(cells: pd.DataFrame, algorithms: Mapping[str, str]) -> pd.DataFrame:
    """Return the cells that have a gain, with ``COLUMNS``, the largest of each block first.

    ``cells`` and ``algorithms`` as in ``of_cells``.
    """
    gained = cells.join(of_cells(cells, algorithms)).dropna(subset="gain")
    return best_first(gained[[*_CELL, *COLUMNS]], ["gain"])


def best_first(rows: pd.DataFrame, by: list[str], block: list[str] = BLOCK) -> pd.DataFrame:
    """Return the rows with the largest values of each block first; blocks keep their order."""
    blocks = rows.groupby(block, sort=False).ngroup()
    ascending = [True, *(False for _ in by)]
    order = rows.assign(block=blocks).sort_values(["block", *by], ascending=ascending).index
    return rows.loc[order].reset_index(drop=True)


def cells_of(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method and block with mean, low and high, from ``frames.runs``."""
    rows = [
        dict(zip(_CELL, key, strict=True))
        | statistics.summary(part["accuracy"], part["condensation_seed"])
        for key, part in runs.groupby(_CELL, sort=False)
    ]
    return pd.DataFrame(rows, columns=[*_CELL, "mean", "low", "high"])


def of_cells(cells: pd.DataFrame, algorithms: Mapping[str, str]) -> pd.DataFrame:
    """Return ``COLUMNS`` for each row of ``cells``, NaN where there is nothing to compare with.

    Parameters
    ----------
    cells : a row per method and block with ``mean``, ``low`` and ``high`` in percent.
    algorithms : the algorithm of each method; the first ``random`` and the first ``whole`` of them
        are what others are compared with. Their own rows have no gain.
    """
    random = _first(cells, algorithms, "random", BLOCK)
    whole = _first(cells, algorithms, "whole", [name for name in BLOCK if name != "ipc"])
    compared = cells["method"].map(algorithms).isin({"random", "whole"}) | (cells["ipc"] == WHOLE)
    accuracy, half = cells["mean"].where(~compared), half_width(cells)
    points = accuracy - random["mean"]
    share = points / (whole["mean"] - random["mean"]).where(whole["mean"] > random["mean"])
    parts = half**2 + ((1 - share) * random["half"]) ** 2 + (share * whole["half"]) ** 2
    error = np.sqrt(parts) / (whole["mean"] - random["mean"])
    spread = np.sqrt(half**2 + random["half"] ** 2)
    columns = [points, points - spread, points + spread, share, share - error, share + error]
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def _first(
    cells: pd.DataFrame, algorithms: Mapping[str, str], algorithm: str, on: Iterable[str]
) -> pd.DataFrame:
    """Return, for each row, mean and half-width of an algorithm's first method in its block."""
    on = list(on)
    names = [name for name, known in algorithms.items() if known == algorithm]
    rows = cells[cells["method"].isin(names[:1])].drop_duplicates(on)
    values = rows[on].assign(mean=rows["mean"], half=half_width(rows))
    return cells[on].merge(values, on=on, how="left").set_axis(cells.index)[["mean", "half"]]


def half_width(cells: pd.DataFrame) -> pd.Series:
    """Return half of each interval; its end at 0 or 100 percent is cut off, the other is not."""
    return np.maximum(cells["mean"] - cells["low"], cells["high"] - cells["mean"])
