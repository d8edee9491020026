"""The paper's nine takeaways, each as a test on cells: a statistic, its interval and a verdict.

The cells come from records or from print (``statement_cells``). Three tidy
frames, names being the paper's, accuracies in percent:

``cells``, finished sets judged by networks:
    ``dataset, method, ipc`` (int), ``architecture, augmentation, mean, std``
    (population), ``n``, ``chance`` (accuracy of guessing, NaN if not known).
``rankings``, sets on which architectures were ranked:
    ``dataset, method, ipc, correlation`` (Spearman's), ``n`` (architectures).
``along``, unfinished sets too:
    ``dataset, method, ipc, architecture, augmentation, start, iteration`` (int),
    ``mean, std, n``; the largest iteration of a method is its end.

A cell's standard error is std / sqrt(n - 1): where ``n`` counts networks of one
set, it says nothing of another set. Intervals are of 95 %. A claim about what
is so on average is judged by the interval of the mean over comparisons, each
of which counts once, so that the spread between sets, methods and datasets is
in it. A claim about every set is judged by the extreme one, with intervals that
hold for all together (Bonferroni). An interval that holds the bound decides nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from condensation.results.statistics import CONFIDENCE

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided by these cells"
SELECTION, CONDENSATION = ("Random", "K-Center"), ("DC", "DSA", "DM", "KIP", "TM")
SENSITIVE = ("KIP", "TM")  # the two that the paper names
WITHOUT, AUGMENTED = "n/a", "DSA"
CONVNET, DEEPEST = "ConvNet", "ResNet152"
SMALL, LARGE = 10, 200  # images per class: up to which IPC is small, above which no longer
MARGIN = 1.0  # points; a smaller lead over random counts as none
HALF = 0.5  # of a lead over chance, that a set keeps; a correlation, from which it ranks
NOISE = 0.05  # of the orders of pairs that differ beyond intervals of 95 %, the wrong ones
CELLS = ["dataset", "method", "ipc", "architecture", "augmentation", "mean", "std", "n", "chance"]
RANKINGS = ["dataset", "method", "ipc", "correlation", "n"]
ALONG = ["dataset", "method", "ipc", "architecture", "augmentation", "start", "iteration"]
ALONG += ["mean", "std", "n"]
_SET = ["dataset", "method", "ipc"]


@dataclass(frozen=True)
class Estimate:
    """A value in percent points (of ranks: a correlation) and how well it is known.

    ``error`` is the standard error, NaN if not known; ``cells`` are the frame's labels.
    """

    value: float
    error: float
    freedom: float
    name: str
    cells: tuple[int, ...]

    def interval(self, tests: int = 1) -> tuple[float, float]:
        """Return the t interval that holds for so many estimates together."""
        tail = (1 - CONFIDENCE) / 2 / tests
        half = stats.t.ppf(1 - tail, self.freedom) * self.error if self.error else 0.0
        return self.value - half, self.value + half


@dataclass(frozen=True)
class Finding:
    """What cells say of a statement; ``value`` and its interval are what ``measure`` names."""

    statement: str
    measure: str
    value: float
    low: float
    high: float
    verdict: str
    comparisons: int
    cells: tuple[int, ...]
    remark: str = ""


def every(cells: pd.DataFrame, rankings: pd.DataFrame, along: pd.DataFrame) -> pd.DataFrame:
    """Return a row per statement: ``number`` and the fields of ``Finding``, ``cells`` counted."""
    findings = [judge(cells) for judge in OF_CELLS]
    findings += [condensed_sets_do_not_rank(rankings), kcenter_start_is_faster(along)]
    rows = [
        {"number": number, **vars(finding), "cells": len(finding.cells)}
        for number, finding in enumerate(findings, 1)
    ]
    return pd.DataFrame(rows)


def augmentation_raises(cells: pd.DataFrame) -> Finding:
    """Judge that augmentation at evaluation alone raises the accuracy.

    Statistic: the mean over sets of the ConvNet's accuracy with DSA minus that
    without. Holds where its interval lies above 0, does not where it lies below.
    """
    gains: dict[str, list[Estimate]] = {}
    by_ipc: dict[int, list[float]] = {}
    for key, part in _groups(_on(cells, architecture=CONVNET), _SET):
        at = _labels(part, "augmentation")
        for name in at.keys() & {WITHOUT} and at.keys() - {WITHOUT}:
            gain = _contrast(part, {at[name]: 1, at[WITHOUT]: -1}, _name(*key))
            gains.setdefault(name, []).append(gain)
            if name == AUGMENTED:
                by_ipc.setdefault(key[2], []).append(gain.value)
    others = [
        f"{name} {_mean(gains[name]).value:+.2f} on {len(gains[name])}"
        for name in sorted(gains.keys() - {AUGMENTED})
    ]
    means = [f"IPC {ipc} {np.mean(values):+.2f}" for ipc, values in sorted(by_ipc.items())]
    remark = [_counted(gains.get(AUGMENTED, [])), ", ".join(means)]
    remark += ["others: " + ", ".join(others)] if others else []
    return _on_average(
        "Augmentation at evaluation alone raises the accuracy",
        "DSA minus none, mean over sets",
        gains.get(AUGMENTED, []),
        remark="; ".join(remark),
    )


def kip_and_tm_are_most_sensitive(cells: pd.DataFrame) -> Finding:
    """Judge that KIP and TM depend most on the augmentation at evaluation.

    A set's sensitivity is the range of the ConvNet's accuracies over its
    augmentations, none included, so it does not matter which column is which.
    Each of the two is compared with each other method over the blocks (dataset,
    IPC) that have both, on the augmentations that both have.

    Statistic: of these mean differences, other minus KIP or TM, the largest.
    Holds where none is above 0 and both methods are there, does not where one
    is: intervals over blocks (of one block over networks).
    """
    leads: dict[tuple[str, str], list[Estimate]] = {}
    for key, part in _groups(_on(cells, architecture=CONVNET), ["dataset", "ipc"]):
        sets = {m: _labels(rows, "augmentation") for (m,), rows in _groups(part, ["method"])}
        for most in [name for name in SENSITIVE if name in sets]:
            for other in [name for name in sets if name not in SENSITIVE]:
                if len(shared := sets[most].keys() & sets[other].keys()) > 1:
                    weights = _range(part, sets[other], shared)
                    for label, weight in _range(part, sets[most], shared).items():
                        weights[label] = -weight
                    lead = _contrast(part, weights, _name(*key))
                    leads.setdefault((other, most), []).append(lead)
    means = [_mean(part, f"{other} against {most}") for (other, most), part in leads.items()]
    both = {most for _, most in leads} == set(SENSITIVE)
    return _none_above(
        "KIP and TM are the most sensitive to it",
        "range over augmentations, the largest lead of another method over KIP or TM",
        means if both else [],
    )


def condensation_beats_selection(cells: pd.DataFrame) -> Finding:
    """Judge that condensation beats selection at small IPC (up to ``SMALL``).

    Statistic: the mean over condensed sets of the ConvNet's accuracy minus that
    of the better of Random and K-Center, DSA at evaluation. Holds where its
    interval lies above 0, does not where it lies below. The better of two is
    taken after the fact, which is against the statement.
    """
    leads = []
    small = _on(cells, architecture=CONVNET, augmentation=AUGMENTED)
    for key, part in _groups(small[small["ipc"] <= SMALL], ["dataset", "ipc"]):
        at = _labels(part, "method")
        if set(SELECTION) <= at.keys():
            best = max((at[name] for name in SELECTION), key=lambda label: part["mean"][label])
            for method in [name for name in CONDENSATION if name in at]:
                leads.append(
                    _contrast(part, {at[method]: 1, best: -1}, _name(key[0], method, key[1]))
                )
    return _on_average(
        f"Condensation beats selection at small IPC (up to {SMALL})",
        "condensed minus the better of Random and K-Center, mean over condensed sets",
        leads,
        remark=_counted(leads),
    )


def no_better_than_random(cells: pd.DataFrame) -> Finding:
    """Judge that condensation is no better than random selection above IPC ``LARGE``.

    Statistic: of the leads of condensed sets over Random at the same IPC
    (ConvNet, DSA at evaluation), the one that decides. Holds where none is
    ``MARGIN`` points or more, does not where one is more, by intervals for all together.
    """
    leads = []
    large = _on(cells, architecture=CONVNET, augmentation=AUGMENTED)
    for key, part in _groups(large[large["ipc"] > LARGE], ["dataset", "ipc"]):
        at = _labels(part, "method")
        if "Random" in at:
            for method in [name for name in CONDENSATION if name in at]:
                weights = {at[method]: 1, at["Random"]: -1}
                leads.append(_contrast(part, weights, _name(key[0], method, key[1])))
    return _none_above(
        f"Above IPC {LARGE} it is no better than random",
        f"largest lead over Random; a lead counts from {MARGIN:g} point on",
        leads,
        MARGIN,
    )


def accuracy_falls_elsewhere(cells: pd.DataFrame) -> Finding:
    """Judge that the accuracy falls on architectures other than the ConvNet.

    Statistic: the mean over sets and other architectures of the ConvNet's
    accuracy minus the other's, DSA at evaluation. Of a set the mean over its
    architectures counts once. Holds where its interval lies above 0, does not
    where it lies below.
    """
    of_sets, single = [], []
    for key, part in _groups(_on(cells, augmentation=AUGMENTED), _SET):
        at = _labels(part, "architecture")
        if CONVNET in at and len(at) > 1:
            others = {name: label for name, label in at.items() if name != CONVNET}
            weights = {at[CONVNET]: 1.0} | {label: -1 / len(others) for label in others.values()}
            of_sets.append(_contrast(part, weights, _name(*key)))
            for label in others.values():
                single.append(_contrast(part, {at[CONVNET]: 1, label: -1}, _name(*key)))
    return _on_average(
        "The accuracy falls on other architectures",
        "ConvNet minus the mean of the others, mean over sets",
        of_sets,
        remark=_counted(single),
    )


def none_transfers(cells: pd.DataFrame) -> Finding:
    """Judge that no set transfers to ResNet-152, DSA at evaluation.

    A set transfers that keeps more than half of the ConvNet's lead over chance:
    the statistic is, of all sets, the largest accuracy of the ResNet-152 minus
    the middle of chance and the ConvNet's, in points. Holds where none is above
    0, does not where one is, by intervals for all together. That is one reading:
    below the ConvNet it is not enough to be, nor must it be at chance.
    """
    leads, kept = [], []
    for key, part in _groups(_on(cells, augmentation=AUGMENTED), _SET):
        at = _labels(part, "architecture")
        if {CONVNET, DEEPEST} <= at.keys():
            chance = float(part["chance"].iloc[0])
            deep, conv = at[DEEPEST], at[CONVNET]
            if np.isnan(chance):
                continue
            lead = _contrast(part, {deep: 1, conv: -HALF}, _name(*key), -HALF * chance)
            leads.append(lead)
            if part["mean"][conv] > chance:
                kept.append((part["mean"][deep] - chance) / (part["mean"][conv] - chance))
    remark = f"kept of the lead over chance: {min(kept):.0%} to {max(kept):.0%}" if kept else ""
    return _none_above(
        "None transfers to ResNet-152",
        "ResNet-152 above half of the ConvNet's lead over chance, the largest",
        leads,
        remark=remark,
    )


def ranks_are_not_kept(cells: pd.DataFrame) -> Finding:
    """Judge that the ranks of methods are not kept between architectures.

    A pair of methods that differs beyond its interval on the ConvNet and on
    another architecture (DSA at evaluation) keeps its order or changes it.
    Statistic: the share that changes it, in a block (dataset, IPC), mean over
    blocks. Its interval is the wider, at each end, of that over blocks and of
    the exact binomial one over pairs. Holds where it lies above ``NOISE``, the
    share of wrong orders that the intervals let through; does not where it lies below.
    """
    statement = "Ranks are not kept between architectures"
    measure = "share of pairs of methods in another order than on the ConvNet"
    shares, taus, changed, pairs = [], [], 0, 0
    for key, block in _groups(_on(cells, augmentation=AUGMENTED), ["dataset", "ipc"]):
        by = {a: _labels(part, "method") for (a,), part in _groups(block, ["architecture"])}
        products, used = [], set()
        for name in [name for name in by if name != CONVNET and CONVNET in by]:
            shared = sorted(by[name].keys() & by[CONVNET].keys())
            first, second = ([by[a][m] for m in shared] for a in (CONVNET, name))
            for left, right in combinations(range(len(shared)), 2):
                signs = [_sign(block, at[left], at[right]) for at in (first, second)]
                if all(signs):
                    products.append(signs[0] * signs[1])
                    used |= {at[place] for at in (first, second) for place in (left, right)}
            if len(shared) > 2:
                taus.append(stats.kendalltau(block["mean"][first], block["mean"][second]).statistic)
        if products:
            count = products.count(-1)
            pairs, changed = pairs + len(products), changed + count
            share = count / len(products)
            shares.append(Estimate(share, float("nan"), 1, _name(*key), tuple(sorted(used))))
    if not shares:
        return _undecided(statement, measure)
    mean = _mean(shares)
    exact = stats.binomtest(changed, pairs).proportion_ci(CONFIDENCE)
    low, high = mean.interval()
    low, high = float(np.minimum(low, exact.low)), float(np.maximum(high, exact.high))
    verdict = HOLDS if low > NOISE else FAILS if high < NOISE else OPEN
    remark = f"{changed} of {pairs} pairs that differ on both"
    remark += f"; Kendall's tau of all {np.nanmean(taus):.2f}" if taus else ""
    known = (mean.value, low, high, verdict)
    return Finding(statement, measure, *known, len(shares), mean.cells, remark)


OF_CELLS: Sequence[Callable[[pd.DataFrame], Finding]] = (
    augmentation_raises,
    kip_and_tm_are_most_sensitive,
    condensation_beats_selection,
    no_better_than_random,
    accuracy_falls_elsewhere,
    none_transfers,
    ranks_are_not_kept,
)


def condensed_sets_do_not_rank(rankings: pd.DataFrame) -> Finding:
    """Judge that condensed sets do not rank architectures.

    Statistic: of all condensed sets the largest Spearman correlation between
    accuracy on the set and true accuracy, with Fisher's interval over
    architectures (standard error of Bonett and Wright). Holds where none is
    above ``HALF``, does not where one is, by intervals for all together.
    """
    estimates = []
    for label, row in rankings[rankings["method"].isin(CONDENSATION)].iterrows():
        error = float("nan")
        if row["n"] > 3:
            error = np.sqrt((1 + row["correlation"] ** 2 / 2) / (row["n"] - 3))
        value = float(np.arctanh(np.clip(row["correlation"], -0.999999, 0.999999)))
        estimates.append(Estimate(value, error, np.inf, _name(*row[_SET]), (label,)))
    judged = _none_above(
        "Condensed sets do not rank architectures",
        f"Spearman with true accuracy, the largest; ranks from {HALF:g} on",
        estimates,
        float(np.arctanh(HALF)),
    )
    back = {name: float(np.tanh(getattr(judged, name))) for name in ("value", "low", "high")}
    return Finding(**vars(judged) | back)


def kcenter_start_is_faster(along: pd.DataFrame) -> Finding:
    """Judge that condensation converges faster from K-Center than from random images.

    Statistic: the accuracy from K-Center minus that from random images after as
    many iterations, mean over the iterations between start and end, then over
    methods, datasets and IPC. Holds where its interval lies above 0, does not
    where it lies below. Iterations of one set are not independent, so of a
    block their standard errors are averaged, not divided.
    """
    leads = []
    for key, block in _groups(along, ALONG[:5]):
        gaps = []
        for (iteration,), part in _groups(block, ["iteration"]):
            at = _labels(part, "start")
            if {"kcenter", "random"} <= at.keys() and 0 < iteration < block["iteration"].max():
                weights = {at["kcenter"]: 1, at["random"]: -1}
                gaps.append(_contrast(part, weights, _name(*key[:3])))
        if gaps:
            value, error = (np.mean([getattr(gap, name) for gap in gaps]) for name in _KNOWN)
            freedom = min(gap.freedom for gap in gaps)
            used = tuple(label for gap in gaps for label in gap.cells)
            leads.append(Estimate(float(value), float(error), freedom, _name(*key[:3]), used))
    return _on_average(
        "A K-Center start converges faster",
        "from K-Center minus from random images, mean over the iterations between",
        leads,
        remark=_counted(leads),
    )


_KNOWN = ("value", "error")


def _on(cells: pd.DataFrame, **fixed: str) -> pd.DataFrame:
    for name, value in fixed.items():
        cells = cells[cells[name] == value]
    return cells


def _groups(frame: pd.DataFrame, by: list[str]) -> Iterator[tuple[tuple, pd.DataFrame]]:
    yield from frame.groupby(by, sort=False)


def _labels(part: pd.DataFrame, axis: str) -> dict[str, int]:
    """Return the label of each name on an axis."""
    return dict(zip(part[axis], part.index, strict=True))


def _name(dataset: str, method: str | int, ipc: int | None = None) -> str:
    """Return the name of a set; without ``ipc`` that of a block, of which the second is the IPC."""
    if ipc is None:
        return f"{dataset}, IPC {method}"
    return f"{method} on {dataset}, IPC {ipc}"


def _contrast(
    frame: pd.DataFrame, weights: dict[int, float], name: str, plus: float = 0.0
) -> Estimate:
    """Return the weighted sum of cells' means, with Welch's degrees of freedom."""
    at = frame.index.get_indexer(list(weights))  # many contrasts: not by frames of their rows
    mean, std, n = (frame[column].to_numpy(float)[at] for column in ("mean", "std", "n"))
    weight, freedom = np.array(list(weights.values())), n - 1
    value = float(weight @ mean) + plus
    if (freedom < 1).any() or np.isnan(std).any():
        return Estimate(value, float("nan"), 1, name, tuple(weights))
    parts = weight**2 * std**2 / freedom
    total = parts.sum()
    degrees = total**2 / (parts**2 / freedom).sum() if total else np.inf
    return Estimate(value, float(np.sqrt(total)), float(degrees), name, tuple(weights))


def _range(part: pd.DataFrame, at: dict[str, int], names: set[str]) -> dict[int, float]:
    """Return the weights of the largest minus the smallest mean."""
    means = part["mean"][[at[name] for name in sorted(names)]]
    return {means.idxmax(): 1.0, means.idxmin(): -1.0}


def _sign(block: pd.DataFrame, first: int, second: int) -> int:
    """Return which of two cells is better beyond the interval: 1, -1, or 0 for neither."""
    low, high = _contrast(block, {first: 1, second: -1}, "").interval()
    return int(low > 0) - int(high < 0)


def _mean(estimates: list[Estimate], name: str = "") -> Estimate:
    """Return the mean with its standard error over the estimates; of one, that one's."""
    if len(estimates) == 1:
        return Estimate(**vars(estimates[0]) | {"name": name or estimates[0].name})
    values = [estimate.value for estimate in estimates]
    used = dict.fromkeys(label for estimate in estimates for label in estimate.cells)
    error = float(stats.sem(values))
    return Estimate(float(np.mean(values)), error, len(values) - 1, name, tuple(used))


def _on_average(
    statement: str,
    measure: str,
    estimates: list[Estimate],
    remark: str = "",
) -> Finding:
    """Judge that the mean of the estimates is above 0."""
    if not estimates:
        return _undecided(statement, measure)
    mean = _mean(estimates)
    low, high = mean.interval()
    verdict = HOLDS if low > 0 else FAILS if high < 0 else OPEN
    known = (mean.value, low, high, verdict)
    return Finding(statement, measure, *known, len(estimates), mean.cells, remark)


def _none_above(
    statement: str, measure: str, estimates: list[Estimate], bound: float = 0.0, remark: str = ""
) -> Finding:
    """Judge that no estimate is above a bound; the statistic is the one that decides."""
    if not estimates:
        return _undecided(statement, measure)
    intervals = [estimate.interval(len(estimates)) for estimate in estimates]
    lows, highs = (np.array(ends) for ends in zip(*intervals, strict=True))
    if (lows > bound).any():
        verdict, decisive = FAILS, int(np.nanargmax(lows))
    elif (highs < bound).all():
        verdict, decisive = HOLDS, int(np.argmax(highs))
    else:
        verdict, decisive = OPEN, int(np.argmax([estimate.value for estimate in estimates]))
    said = [f"it is that of {estimates[decisive].name}"]
    if verdict == FAILS:
        said.append(f"{int((lows > bound).sum())} of {len(estimates)} are above the bound")
    if verdict == OPEN:
        said.append(f"{int((highs < bound).sum())} of {len(estimates)} are below the bound")
    used = dict.fromkeys(label for estimate in estimates for label in estimate.cells)
    known = (estimates[decisive].value, lows[decisive], highs[decisive], verdict)
    said = "; ".join([*said, remark] if remark else said)
    return Finding(statement, measure, *map(_plain, known), len(estimates), tuple(used), said)


def _plain(value: float | str) -> float | str:
    return value if isinstance(value, str) else float(value)


def _undecided(statement: str, measure: str) -> Finding:
    nan = float("nan")
    return Finding(statement, measure, nan, nan, nan, OPEN, 0, (), "no such cells")


def _counted(estimates: list[Estimate]) -> str:
    """Say in how many comparisons the interval lies above and below 0, each by itself."""
    ends = [estimate.interval() for estimate in estimates]
    above, below = sum(low > 0 for low, _ in ends), sum(high < 0 for _, high in ends)
    unknown = sum(np.isnan(low) for low, _ in ends)
    said = f"above 0 in {above} of {len(ends)}, below in {below}"
    return said + (f", {unknown} without an interval" if unknown else "")
