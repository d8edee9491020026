"""Accuracy along the iterations of a method, and the extrapolation of curves that end early.

Accuracies are in percent, intervals have 95 %.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from condensation.config.schema import Config
from condensation.core import randomness
from condensation.paper import cells as paper_cells
from condensation.results import frames, statistics

FEWEST = 6  # points after the start, for four parameters and the noise
RESAMPLES = 1000
CELL = ["dataset", "method", "ipc", *paper_cells.WAY]
_PRINT = ["iterations_of_paper", "printed", "printed_std"]
POINTS = [*CELL, "iteration", "sets", "networks", "mean", "std", "low", "high"]
ENDS = [*CELL, "sets", "looks", "iteration", "last", "best_iteration", "best", "rising"]
ENDS += ["heading", "heading_low", "heading_high", *_PRINT]
_GRID = 50  # values of the power and of the delay; as many times four for a single curve
_AT_ONCE = 200  # fitted curves, to bound the memory
_PARAMETERS = 4
_MOST = 100.0


@dataclass(frozen=True)
class Heading:
    """The accuracy that a curve is heading for, with its interval."""

    value: float
    low: float
    high: float


def points(config: Config, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy at each evaluated iteration, with the columns ``POINTS``.

    The iteration of the finished set is the method's number of iterations. A
    cell without a snapshot has no curve.
    """
    known = runs[runs["accuracy"].notna() & (runs["method"].isin(config.methods))]
    rows = []
    for key, part in known.groupby(CELL, sort=False):
        if (part["iteration"] == frames.FINAL).all():
            continue
        end = getattr(config.methods[key[1]], "iterations", None)
        part = part.assign(at=[_at(iteration, end) for iteration in part["iteration"]])
        # a snapshot of the last iteration equals the finished set
        part = part.drop_duplicates(["at", "condensation_seed", "evaluation_seed"])
        for iteration, block in part.groupby("at"):
            summary = statistics.summary(block["accuracy"], block["condensation_seed"])
            rows.append(
                dict(zip(CELL, key, strict=True))
                | {"iteration": iteration, "sets": block["condensation_seed"].nunique()}
                | {"networks": len(block), **summary}
            )
    return pd.DataFrame(rows, columns=POINTS)


def ends(config: Config, runs: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return per curve its last and best accuracy and its extrapolation (columns ``ENDS``).

    ``best`` is the best of a set's ``looks`` (evaluated iterations), averaged
    over sets. It is chosen on test images, like the printed result of TM.
    ``heading`` is the accuracy expected after the paper's iterations, if the
    curve has ``FEWEST`` points and ends earlier; else NaN. It and ``rising`` are
    those of the sets that were evaluated at every look.

    ``cells`` (``evidence.cells_beside_print``) has the printed numbers and the paper's iterations.
    """
    curve = points(config, runs)
    printed_cells = cells.set_index(CELL)[_PRINT]
    rows = []
    for key, part in curve.groupby(CELL, sort=False):
        print_facts = printed_cells.loc[key]
        at, mean = part["iteration"].to_numpy(float), part["mean"].to_numpy(float)
        of_cell = runs[(runs[CELL] == list(key)).all(axis=1)]
        sets = of_cell.pivot_table(
            index="condensation_seed", columns="iteration", values="accuracy", aggfunc="mean"
        )
        throughout = of_cell["condensation_seed"].isin(sets.dropna().index)
        same_sets = points(config, of_cell[throughout])
        noise, values = _noise(same_sets), same_sets["mean"].to_numpy(float)
        rising = still_rising(at, values, noise) if len(values) else None
        aim = print_facts["iterations_of_paper"]
        ahead = None
        if len(values) and pd.notna(aim) and aim > at[-1]:
            ahead = heading(at, values, aim, noise)
        rows.append(
            dict(zip(CELL, key, strict=True))
            | {"sets": part["sets"].max(), "looks": len(part), "iteration": int(at[-1])}
            | {"last": mean[-1], "best": sets.max(axis=1).mean()}
            | {"best_iteration": int(at[np.argmax(mean)]), "rising": rising}
            | {"heading": ahead.value if ahead else np.nan}
            | {"heading_low": ahead.low if ahead else np.nan}
            | {"heading_high": ahead.high if ahead else np.nan}
            | print_facts.to_dict()
        )
    return pd.DataFrame(rows, columns=ENDS)


def still_rising(
    iterations: np.ndarray, accuracy: np.ndarray, noise: float = np.nan
) -> bool | None:
    """Return whether the curve rises in its second half by more than the noise.

    ``noise`` is the standard error of a point; the scatter around the fitted
    curve replaces it if it is larger or ``noise`` is NaN. None for fewer than
    ``FEWEST`` points after the start.
    """
    after = iterations > 0
    at, values = iterations[after], accuracy[after]
    earlier = values[at <= at[-1] / 2] if len(at) else values
    if len(at) < FEWEST or not len(earlier):
        return None
    spread = _scatter(values, _fit(at, values[None], at)[0], noise)
    return bool(values[-1] - earlier[-1] > 1.96 * np.sqrt(2) * spread)


def heading(
    iterations: np.ndarray, accuracy: np.ndarray, aim: float, noise: float = np.nan
) -> Heading | None:
    """Extrapolate a saturating curve to ``aim`` iterations.

    The curve is a - b / (d^c + n^c) with b >= 0, a <= 100 and 0.05 <= c <= 3 (at the
    lower end nearly a straight line in log n), fitted by least squares to the
    points after the start. The delay d, at most 100 times the first iteration, lets
    a curve begin slowly, as that of TM does; with 0 it is a power law. The interval
    is a parametric bootstrap: normal noise around the fitted curve, with the larger
    of ``noise`` (the standard error of a point) and the scatter of the points, whose
    chi-squared uncertainty is drawn too. It assumes the form of the curve, and holds
    for these sets only. None for fewer than ``FEWEST`` points.
    """
    after = iterations > 0
    at, values = iterations[after].astype(float), accuracy[after].astype(float)
    if len(at) < FEWEST:
        return None
    *fitted, ahead = _fit(at, values[None], np.array([*at, aim]))[0]
    freedom = len(at) - _PARAMETERS
    draw = np.random.default_rng(randomness.derive_seed(0, "where a curve is heading"))
    spread = _scatter(values, np.array(fitted), noise)
    spreads = spread * np.sqrt(freedom / draw.chisquare(freedom, RESAMPLES))
    drawn = np.array(fitted) + spreads[:, None] * draw.standard_normal((RESAMPLES, len(at)))
    expected = _fit(at, drawn, np.array([aim]))[:, 0]
    low, high = np.quantile(expected, [0.025, 0.975])
    # the forms that are tried are coarser than that of the curve itself
    return Heading(float(ahead), float(min(low, ahead)), float(max(high, ahead)))


def _fit(at: np.ndarray, curves: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """Fit each of [curves, points]; return the fitted values at ``goals``.

    For given c and d the curve is linear in a and b, so only these two are searched.
    """
    count = _GRID * (4 if len(curves) == 1 else 1)
    delays = np.array([0, *np.geomspace(1, 100, count - 1)])  # in units of the first point
    powers = np.geomspace(0.05, 3, count)
    c, d = (part.ravel()[:, None] for part in np.meshgrid(powers, delays))
    x, x_at = (1 / (d**c + (n / at[0]) ** c) for n in (at, goals))
    parts = [curves[start : start + _AT_ONCE] for start in range(0, len(curves), _AT_ONCE)]
    return np.concatenate([_best(part, x, x_at) for part in parts])


def _best(curves: np.ndarray, x: np.ndarray, x_at: np.ndarray) -> np.ndarray:
    """Return the values a - b x at the goals, with the best row of ``x`` [forms, points]."""
    spread = x - x.mean(axis=1, keepdims=True)
    b = np.maximum(-(curves @ spread.T) / (spread**2).sum(axis=1), 0)
    a = curves.mean(axis=1, keepdims=True) + b * x.mean(axis=1)
    along, square = curves @ x.T, (x**2).sum(axis=1)
    capped = a > _MOST
    b = np.where(capped, np.maximum((_MOST * x.sum(axis=1) - along) / square, 0), b)
    a = np.where(capped, _MOST, a)
    # the sum of (y - a + b x)^2, without the part of y alone
    residual = x.shape[1] * a**2 - 2 * a * curves.sum(axis=1, keepdims=True)
    residual += 2 * b * along - 2 * a * b * x.sum(axis=1) + b**2 * square
    rows, best = np.arange(len(curves)), residual.argmin(axis=1)
    return a[rows, best][:, None] - b[rows, best][:, None] * x_at[best]


def _scatter(values: np.ndarray, fitted: np.ndarray, noise: float) -> float:
    scatter = np.sqrt(((values - fitted) ** 2).sum() / (len(values) - _PARAMETERS))
    return float(np.fmax(scatter, noise))


def _noise(part: pd.DataFrame) -> float:
    """Return the standard error of a point over networks of one set; NaN if unknown.

    The spread over sets is no noise: sets differ along the whole curve.
    """
    several = part[(part["sets"] == 1) & (part["networks"] > 1)]
    squares = several["std"] ** 2 / (several["networks"] - 1)
    return float(np.sqrt(squares.mean()))


def _at(iteration: str, end: int | None) -> int:
    return int(end or 0) if iteration == frames.FINAL else int(iteration)
