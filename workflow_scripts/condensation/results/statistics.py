"""Intervals, paired tests and variances from a few networks on a few condensed sets.

Networks trained on one set differ by the evaluation seed, sets of one method by
the condensation seed. A cell with several sets has the sets as its samples,
because the networks of a set share it. A cell with one set has its networks as
samples, and the result does not generalize to another set.

All functions take the frame of ``frames.runs``: a row per network.
"""

import gc
from collections.abc import Hashable, Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from condensation.workflow.grid import WAY

CONFIDENCE = 0.95
PRINTED_NETWORKS = 5  # per mean and spread of the paper
ROUNDING = 0.005
BLOCK = ["dataset", "ipc", *WAY]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % t interval of the mean; NaN for fewer than two values."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    return float(values.mean() - half), float(values.mean() + half)


def summary(accuracy: pd.Series, sets: pd.Series) -> dict[str, float | int | None]:
    """Return mean, spreads and interval of the networks of a cell.

    ``mean`` and ``std_of_sets`` are over the sets' means (None for one set),
    ``std`` is over networks (NaN for one network); spreads are population standard
    deviations, as in the paper. ``low`` and ``high`` are the 95 % t interval over
    the sets' means, or over networks for one set, clipped to 0 and 100 percent.
    Networks without a result (NaN) are left out, and with them sets that have no
    other.
    """
    of_sets = accuracy.groupby(sets).mean().dropna()
    low, high = interval(of_sets if len(of_sets) > 1 else accuracy.dropna())
    low, high = float(np.clip(low, 0, None)), float(np.clip(high, None, 100))
    return {
        "mean": of_sets.mean(),
        "std": accuracy.std(ddof=0) if accuracy.count() > 1 else float("nan"),
        "std_of_sets": of_sets.std(ddof=0) if len(of_sets) > 1 else None,
        "low": low,
        "high": high,
    }


def half_width(accuracy: pd.Series, sets: pd.Series, printed_std: float | None) -> float:
    """Return the half width of the 95 % interval of our mean minus a printed mean.

    Welch's t interval, from our networks of one set and the printed population
    spread of ``PRINTED_NETWORKS`` networks (from ours alone if no spread is
    printed). With several sets of ours the spread between sets counts too, and
    a second time for the paper's single set; then the interval is at least as
    wide as that of our mean alone, which Welch's degrees of freedom undercut for
    two sets. The rounding of two printed decimals is added. NaN if ours is a
    single network.
    """
    of_sets = accuracy.groupby(sets).mean()
    values = of_sets if len(of_sets) > 1 else accuracy
    count = len(values)
    if count < 2:
        return float("nan")
    spread = values.var(ddof=1)
    once_more = 1 if len(of_sets) > 1 else 0
    parts = [(spread * (1 / count + once_more), count - 1)]
    if printed_std is not None:
        parts.append((printed_std**2 / (PRINTED_NETWORKS - 1), PRINTED_NETWORKS - 1))
    total = sum(part for part, _ in parts)
    if not total:
        return ROUNDING
    freedom = total**2 / sum(part**2 / degrees for part, degrees in parts)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(total)
    if len(of_sets) > 1:
        alone = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * np.sqrt(spread / count)
        half = max(half, alone)
    return float(half) + ROUNDING


def variance(runs: pd.DataFrame, cell: Sequence[str]) -> pd.DataFrame:
    """Return the variance between and within sets, for cells with several sets.

    One-way random effects, estimated by the analysis of variance (method of
    moments): ``inner`` is the mean square within sets; ``outer`` is the excess
    of the mean square between sets, divided by the networks per set, and at
    least 0. ``share_outer`` is the share of a single network's variance that is
    due to its set; its exact 95 % interval, ``share_low`` to ``share_high``, is
    NaN if sets have unequal numbers of networks. ``p`` belongs to the F test of
    no difference between sets.
    """
    rows = []
    for key, part in runs.dropna(subset="accuracy").groupby(list(cell), sort=False):
        groups = [g.to_numpy(float) for _, g in part.groupby("condensation_seed")["accuracy"]]
        sizes = np.array([len(group) for group in groups])
        if len(groups) < 2 or sizes.sum() == len(groups):
            continue
        means = np.array([group.mean() for group in groups])
        within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (sizes.sum() - len(groups))
        grand = np.average(means, weights=sizes)
        between = (sizes * (means - grand) ** 2).sum() / (len(groups) - 1)
        per_set = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / (len(groups) - 1)
        outer = max(0.0, (between - within) / per_set)
        low, high = interval(means)
        values = {"sets": len(groups), "networks": int(sizes.sum()), "mean": means.mean()}
        values |= {"low": low, "high": high, "outer": outer, "inner": within}
        values["share_outer"] = outer / (outer + within) if outer + within else None
        bounds = _share_interval(between, within, sizes)
        values["share_low"], values["share_high"] = bounds
        values["p"] = stats.f_oneway(*groups).pvalue if within else None
        rows.append(dict(zip(cell, key, strict=True)) | values)
    columns = ["sets", "networks", "mean", "low", "high", "outer", "inner"]
    columns += ["share_outer", "share_low", "share_high", "p"]
    return pd.DataFrame(rows, columns=[*cell, *columns])


def _share_interval(between: float, within: float, sizes: np.ndarray) -> tuple[float, float]:
    """Return the interval of the share, from both mean squares and the networks per set.

    With k networks on each of n sets, the ratio of the mean squares divided by
    its expectation follows F(n - 1, n(k - 1)).
    """
    n, k = len(sizes), int(sizes[0])
    if not within or (sizes != k).any():
        return float("nan"), float("nan")
    tail = (1 - CONFIDENCE) / 2
    scaled = (between / within / stats.f.ppf(q, n - 1, n * (k - 1)) for q in (1 - tail, tail))
    low, high = (max(0.0, (f - 1) / (f - 1 + k)) for f in scaled)
    return low, high


def _blocks(runs: pd.DataFrame) -> Iterator[tuple[dict, pd.DataFrame]]:
    """Yield each block and its accuracies: both seeds as rows, methods as columns."""
    for key, part in runs.groupby(BLOCK, sort=False):
        by_method = part.pivot(
            index=["condensation_seed", "evaluation_seed"], columns="method", values="accuracy"
        )
        yield dict(zip(BLOCK, key, strict=True)), by_method[list(dict.fromkeys(part["method"]))]


def pairs(accuracies: pd.DataFrame, *columns: Hashable) -> tuple[pd.DataFrame, str]:
    """Pair sets of equal seed where there are several, else networks; return also which.

    ``accuracies`` has both seeds as index; all ``columns`` are compared.
    """
    shared = accuracies[list(columns)].astype(float).dropna()
    of_sets = shared.groupby(level="condensation_seed").mean()
    return (of_sets, "sets") if len(of_sets) > 1 else (shared, "networks")


def paired(runs: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Compare all pairs of methods in each block, by paired t tests on shared seeds.

    ``difference`` is first - second, with its 95 % interval; ``p_holm`` has
    Holm's correction over the pairs of the block. A pair whose differences do
    not vary has no p value.
    """
    rows = []
    for block, by_method in _blocks(runs):
        of_block = []
        for first, second in combinations(by_method.columns, 2):
            shared, unit = pairs(by_method, first, second)
            gaps = (shared[first] - shared[second]).to_numpy()
            values = {"first": first, "second": second, "paired_on": unit, "n": len(gaps)}
            values["difference"] = gaps.mean() if len(gaps) else None
            values["low"], values["high"] = interval(gaps)
            tested = len(gaps) > 1 and np.ptp(gaps) > 1e-9
            values["p"] = stats.ttest_rel(shared[first], shared[second]).pvalue if tested else None
            of_block.append(block | values)
        corrected = _holm([row["p"] for row in of_block])
        for row, value in zip(of_block, corrected, strict=True):
            rows.append(row | {"p_holm": value, "significant": bool(value < alpha)})
    columns = ["first", "second", "paired_on", "n", "difference", "low", "high", "p", "p_holm"]
    return pd.DataFrame(rows, columns=[*BLOCK, *columns, "significant"])


def _holm(p: Sequence[float | None]) -> np.ndarray:
    """Return p values with Holm's correction; unknown ones stay NaN."""
    p = np.array(p, dtype=float)
    known = ~np.isnan(p)
    gc.freeze()  # multipletests collects garbage at each call, which would take a second
    try:
        if known.any():
            p[known] = multipletests(p[known], method="holm")[1]
    finally:
        gc.unfreeze()
    return p


def equivalence(
    runs: pd.DataFrame, references: Sequence[str], from_ipc: int, margin: float, alpha: float
) -> pd.DataFrame:
    """Test whether methods are no better than random selection at large IPC (TOST).

    Compares each method with each of ``references`` in each block of at least
    ``from_ipc`` images per class, paired as in ``paired``. ``p_no_better``
    tests against a lead of ``margin`` points or more, ``p_no_worse`` against
    such a deficit, ``p`` is the larger of the two. Holm's correction covers all
    rows.
    """
    rows = []
    for block, by_method in _blocks(runs):
        if not block["ipc"].isdigit() or int(block["ipc"]) < from_ipc:
            continue
        for reference in [name for name in references if name in by_method]:
            for method in [name for name in by_method.columns if name not in references]:
                shared, unit = pairs(by_method, method, reference)
                gaps = (shared[method] - shared[reference]).to_numpy()
                values = {"method": method, "reference": reference, "paired_on": unit}
                values |= {"n": len(gaps), "margin": margin}
                values["difference"] = gaps.mean() if len(gaps) else None
                values |= dict.fromkeys(("p_no_worse", "p_no_better", "p"))
                if len(gaps) > 1 and np.ptp(gaps) > 1e-9:
                    p, worse, better = ttost_paired(
                        shared[method].to_numpy(), shared[reference].to_numpy(), -margin, margin
                    )
                    values |= {"p_no_worse": float(worse[1]), "p_no_better": float(better[1])}
                    values["p"] = float(p)
                rows.append(block | values)
    columns = ["method", "reference", "paired_on", "n", "margin", "difference"]
    frame = pd.DataFrame(rows, columns=[*BLOCK, *columns, "p_no_worse", "p_no_better", "p"])
    for name in ("p_no_better", "p"):
        frame[f"{name}_holm"] = _holm(frame[name])
    frame["finding"] = [
        _finding(*row, alpha)
        for row in zip(frame["p_holm"], frame["p_no_better_holm"], strict=True)
    ]
    return frame


def _finding(p: float, p_no_better: float, alpha: float) -> str:
    if p < alpha:
        return "equivalent"
    return "no better" if p_no_better < alpha else "not shown"
