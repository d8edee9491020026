"""Accuracy along the iterations of a method, and where a curve that still rises is heading.

Accuracies are in percent, intervals of 95 %.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from condensation.config.schema import Config
from condensation.core import randomness
from condensation.paper import cells as paper_cells
from condensation.results import frames, statistics

FEWEST = 5  # points after the start: three parameters, and the noise
RESAMPLES = 2000
CELL = ["dataset", "method", "ipc", *paper_cells.WAY]
_PRINT = ["iterations_of_paper", "printed", "printed_std"]
POINTS = [*CELL, "iteration", "sets", "networks", "mean", "std", "low", "high"]
ENDS = [*CELL, "sets", "looks", "iteration", "last", "best_iteration", "best", "rising"]
ENDS += ["heading", "heading_low", "heading_high", *_PRINT]
_POWERS = np.geomspace(0.05, 3, 60)
_MOST = 100.0


@dataclass(frozen=True)
class Heading:
    """Where a curve is heading: the accuracy, and its interval."""

    value: float
    low: float
    high: float


def points(config: Config, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy at each iteration of the cells that were judged along the way.

    Columns ``POINTS``; the finished set stands at the method's number of
    iterations. A cell without a network before its end has no curve.
    """
    known = runs[runs["accuracy"].notna() & (runs["method"].isin(config.methods))]
    rows = []
    for key, part in known.groupby(CELL, sort=False):
        if (part["iteration"] == frames.FINAL).all():
            continue
        end = getattr(config.methods[key[1]], "iterations", None)
        part = part.assign(at=[_at(iteration, end) for iteration in part["iteration"]])
        # a snapshot of the last iteration is the finished set
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
    """Return per curve its last and its best accuracy, and where it is heading.

    Columns ``ENDS``. ``best`` is, of each set, the best of its ``looks``
    (iterations that were judged), mean over sets: a choice made on test images,
    as the printed result of TM is. ``heading`` is the accuracy to be expected
    after the paper's iterations (``heading``), where the curve still rises, has
    ``FEWEST`` points, and is not there yet; else NaN.

    ``cells`` (``evidence.cells``) hold the printed numbers and the paper's iterations.
    """
    curve = points(config, runs)
    of_print = cells.set_index(CELL)[_PRINT]
    rows = []
    for key, part in curve.groupby(CELL, sort=False):
        beside = of_print.loc[key]
        at, mean = part["iteration"].to_numpy(float), part["mean"].to_numpy(float)
        sets = _by_set(config, runs, key)
        noise = _noise(part)
        rising = still_rising(at, mean, noise)
        aim = beside["iterations_of_paper"]
        ahead = heading(at, mean, aim, noise) if rising and aim > at[-1] else None
        rows.append(
            dict(zip(CELL, key, strict=True))
            | {"sets": part["sets"].max(), "looks": len(part), "iteration": int(at[-1])}
            | {"last": mean[-1], "best": sets.max(axis=1).mean()}
            | {"best_iteration": int(at[np.argmax(mean)]), "rising": rising}
            | {"heading": ahead.value if ahead else np.nan}
            | {"heading_low": ahead.low if ahead else np.nan}
            | {"heading_high": ahead.high if ahead else np.nan}
            | beside.to_dict()
        )
    return pd.DataFrame(rows, columns=ENDS)


def still_rising(
    iterations: np.ndarray, accuracy: np.ndarray, noise: float = np.nan
) -> bool | None:
    """Say whether the last accuracy lies above that of half the iterations beyond the noise.

    ``noise`` is the standard error of a point; where it is not known, or
    smaller than the scatter around the fitted curve, that scatter counts. None
    for fewer than ``FEWEST`` points after the start.
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
    """Return the accuracy that a saturating curve expects after ``aim`` iterations.

    The curve is a - b n^-c with b >= 0, a <= 100 and 0.05 <= c <= 3 (at the lower
    end nearly a straight line in log n), fitted by least squares to the points
    after the start. The interval is that of a bootstrap: normal noise around the
    fitted curve, of the spread of the points around it (or ``noise``, the
    standard error of a point, where that is larger), itself drawn anew each
    time as its chi-squared law says. It is right as far as the form is, and
    says nothing of another set. None for fewer than ``FEWEST`` points.
    """
    after = iterations > 0
    at, values = iterations[after].astype(float), accuracy[after].astype(float)
    if len(at) < FEWEST:
        return None
    *fitted, ahead = _fit(at, values[None], np.array([*at, aim]))[0]
    freedom = len(at) - 3
    draw = np.random.default_rng(randomness.derive_seed(0, "where a curve is heading"))
    spread = _scatter(values, np.array(fitted), noise)
    spreads = spread * np.sqrt(freedom / draw.chisquare(freedom, RESAMPLES))
    drawn = np.array(fitted) + spreads[:, None] * draw.standard_normal((RESAMPLES, len(at)))
    expected = _fit(at, drawn, np.array([aim]))[:, 0]
    low, high = np.quantile(expected, [0.025, 0.975])
    return Heading(float(ahead), float(low), float(high))


def _fit(at: np.ndarray, curves: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """Return the fitted values at ``goals`` of each of [curves, points].

    For a given c the curve is linear in a and b, so c alone is searched for.
    """
    values = np.empty((len(curves), len(goals)))
    least = np.full(len(curves), np.inf)
    centre = curves.mean(axis=1)
    for c in _POWERS:
        x, x_at = (at / at[0]) ** -c, (goals / at[0]) ** -c
        spread = x - x.mean()
        b = np.maximum(-(curves @ spread) / (spread @ spread), 0)
        a = centre + b * x.mean()
        capped = a > _MOST
        a = np.where(capped, _MOST, a)
        b = np.where(capped, np.maximum((_MOST - curves) @ x / (x @ x), 0), b)
        left = ((curves - a[:, None] + b[:, None] * x) ** 2).sum(axis=1)
        better = left < least
        least = np.where(better, left, least)
        values[better] = (a[:, None] - b[:, None] * x_at)[better]
    return values


def _scatter(values: np.ndarray, fitted: np.ndarray, noise: float) -> float:
    scatter = np.sqrt(((values - fitted) ** 2).sum() / (len(values) - 3))
    return float(np.fmax(scatter, noise))


def _noise(part: pd.DataFrame) -> float:
    """Return the standard error of a point over networks of one set; NaN if there is none.

    That over sets is no noise of a curve: they differ all along it.
    """
    several = part[(part["sets"] == 1) & (part["networks"] > 1)]
    squares = several["std"] ** 2 / (several["networks"] - 1)
    return float(np.sqrt(squares.mean()))


def _by_set(config: Config, runs: pd.DataFrame, key: tuple) -> pd.DataFrame:
    part = runs[(runs[CELL] == list(key)).all(axis=1)]
    return part.pivot_table(
        index="condensation_seed", columns="iteration", values="accuracy", aggfunc="mean"
    )


def _at(iteration: str, end: int | None) -> int:
    return int(end or 0) if iteration == frames.FINAL else int(iteration)
