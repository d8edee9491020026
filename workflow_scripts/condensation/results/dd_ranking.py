"""The scores of DD-Ranking: what a set is worth apart from its labels and its augmentation.

Li et al. (2025, arXiv:2505.13300). With accuracies as shares, of networks trained in the same way:

    HLR = whole dataset with hard labels - set with hard labels
    IOR = set - Random, both with the labels of the cell
    label-robust score:        S((IOR - HLR) / 2)
    augmentation-robust score: S((IOR with the augmentation + IOR without) / 2)
    S(x) = (e^x - 1/e) / (e - 1/e), from 0 at -1 to 1 at 1

Intervals take the cells as independent, with the half-widths of their own intervals.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from condensation.config.experiments import OWN
from condensation.config.schema import Config
from condensation.results.gains import best_first, half_width
from condensation.results.statistics import BLOCK

COLUMNS = ["hlr", "ior", "label_robust", "label_low", "label_high"]
COLUMNS += ["augmentation_robust", "augmentation_low", "augmentation_high"]
HARD = "hard"
SETS = ["dataset", "ipc", "method"]
_CELL = [*BLOCK, "method"]
_WEIGHT = 0.5  # of both sums, as on the authors' leaderboard
_NONE = (np.nan, np.nan)
Cell = tuple[float, float]  # mean and half-width of the interval, as shares


def normalized(value: float) -> float:
    """Return S(x), which maps -1 to 0 and 1 to 1.

    >>> normalized(-1.0), normalized(1.0), round(normalized(0.0), 4)
    (0.0, 1.0, 0.2689)
    """
    return float((np.exp(value) - np.exp(-1)) / (np.e - np.exp(-1)))


def scores(
    cells: pd.DataFrame,
    algorithms: Mapping[str, str],
    plain: Collection[str] = ("none",),
    soft: Collection[tuple[str, ...]] = (),
) -> pd.DataFrame:
    """Return a row per cell of a method with at least one of the scores, best first in each block.

    Parameters
    ----------
    cells : a row per method and block with ``mean``, ``low`` and ``high`` in percent.
    algorithms : the algorithm of each method; the first ``random`` and the first ``whole`` of them
        are what sets are compared with.
    plain : the names of augmentations that change nothing.
    soft : ``SETS`` of the sets whose own labels are soft.

    Notes
    -----
    ``labels: hard`` gives the accuracy with hard labels; without such a cell it is that with the
    set's own labels, if those are hard.
    """
    table = _Cells(cells, algorithms, plain, soft)
    rows = []
    for key in table.cells:
        where = dict(zip(_CELL, key, strict=True))
        if algorithms.get(where["method"]) in ("random", "whole"):
            continue
        rows.append(where | table.label_robust(where) | table.augmentation_robust(where))
    frame = pd.DataFrame(rows, columns=[*_CELL, *COLUMNS])
    frame = frame.dropna(subset=["label_robust", "augmentation_robust"], how="all")
    return best_first(frame, ["label_robust", "augmentation_robust"])


def of_runs(final: pd.DataFrame, cells: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Return ``scores`` of finished sets: rows of ``frames.runs``, and ``gains.cells_of`` them."""
    soft = final.loc[final["set_labels"] == "soft", SETS]
    return scores(
        cells,
        {name: entry.algorithm for name, entry in config.methods.items()},
        [name for name, entry in config.augmentations.items() if entry.policy == "none"],
        set(soft.itertuples(index=False, name=None)),
    )


class _Cells:
    def __init__(
        self,
        cells: pd.DataFrame,
        algorithms: Mapping[str, str],
        plain: Collection[str],
        soft: Collection[tuple[str, ...]],
    ) -> None:
        halves = half_width(cells)
        self.cells: dict[tuple[str, ...], Cell] = {
            tuple(row[name] for name in _CELL): (row["mean"] / 100, half / 100)
            for row, half in zip(cells.to_dict("records"), halves, strict=True)
        }
        self.plain, self.soft = plain, soft
        self.random = self._named(algorithms, "random")
        self.whole = self._named(algorithms, "whole")

    @staticmethod
    def _named(algorithms: Mapping[str, str], algorithm: str) -> str:
        return next((name for name, known in algorithms.items() if known == algorithm), "")

    def find(self, where: Mapping[str, Any], **changes: str) -> Cell:
        """Return the cell at a place with some changes; NaN if there is none."""
        place = {**where, **changes}
        return self.cells.get(tuple(place[name] for name in _CELL), _NONE)

    def hard(self, where: Mapping[str, Any], **changes: str) -> Cell:
        """Return the cell with hard labels; NaN if there is none."""
        place = {**where, **changes}
        hard = self.find(place, labels=HARD)
        if hard[0] == hard[0] or tuple(place[name] for name in SETS) in self.soft:
            return hard
        return self.find(place, labels=OWN)

    def label_robust(self, where: Mapping[str, Any]) -> dict[str, float]:
        ours, random = self.find(where), self.find(where, method=self.random)
        hard, whole = self.hard(where), self.hard(where, method=self.whole, ipc="all")
        hlr, ior = whole[0] - hard[0], ours[0] - random[0]
        if ours == hard:  # the same networks: their errors add up
            squares = ours[1] ** 2 + (_WEIGHT * random[1]) ** 2 + (_WEIGHT * whole[1]) ** 2
        else:
            squares = sum((_WEIGHT * half) ** 2 for _, half in (ours, random, hard, whole))
        value = _WEIGHT * ior - (1 - _WEIGHT) * hlr
        return {"hlr": hlr, "ior": ior, **_scored("label", value, squares**0.5)}

    def augmentation_robust(self, where: Mapping[str, Any]) -> dict[str, float]:
        if where["augmentation"] in self.plain:
            return {}
        cells = [self.find(where), self.find(where, method=self.random)]
        none = next((n for n in sorted(self.plain) if self.find(where, augmentation=n)[0] >= 0), "")
        without = {"augmentation": none}
        cells += [self.find(where, **without), self.find(where, method=self.random, **without)]
        gains = cells[0][0] - cells[1][0], cells[2][0] - cells[3][0]
        value = _WEIGHT * gains[0] + (1 - _WEIGHT) * gains[1]
        return _scored(
            "augmentation", value, sum((_WEIGHT * half) ** 2 for _, half in cells) ** 0.5
        )


def _scored(name: str, value: float, half: float) -> dict[str, float]:
    ends = {"_robust": value, "_low": value - half, "_high": value + half}
    return {f"{name}{end}": normalized(at) for end, at in ends.items()}
