"""The paper's nine takeaways as tests on cells: a statistic, its interval and a verdict.

The cells come from records or from the printed tables (``statement_cells``), as
three tidy frames with the paper's names and accuracies in percent:

``cells``, networks on finished sets:
    ``dataset, method, ipc`` (int), ``architecture, augmentation, mean, std``
    (population), ``n``, ``chance`` (accuracy of guessing, NaN if not known); of
    records also ``networks``, their accuracies by both seeds.
``rankings``, sets on which architectures were ranked:
    ``dataset, method, ipc, correlation`` (Spearman's), ``n`` (architectures).
``curves``, networks on unfinished sets too:
    ``dataset, method, ipc, architecture, augmentation, start, iteration`` (int),
    ``mean, std, n``, of records also ``networks``; the largest iteration of a
    method is its end.

Cells of the same set, and starts of the same seeds, are compared on the sets (or
networks of one set) that both have, where the records tell them apart. Else a
cell's standard error is std / sqrt(n - 1); if ``n`` counts networks of one set,
it does not cover the choice of the set. Intervals have 95 %. A claim about the
average is judged by the mean over blocks (dataset and IPC) of the mean within a
block. Its interval is over blocks, since comparisons of one block resemble each
other; with one block it is over its comparisons, and speaks of that block alone.
The extreme set judges a claim about all sets, with simultaneous intervals
(Bonferroni). An interval that contains the bound decides nothing, nor do networks
of exactly equal accuracies.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from condensation.results import statistics
from condensation.results.statistics import CONFIDENCE

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided by these cells"
SELECTION, CONDENSATION = ("Random", "K-Center"), ("DC", "DSA", "DM", "KIP", "TM")
SENSITIVE = ("KIP", "TM")  # as the paper names them
WITHOUT, AUGMENTED = "n/a", "DSA"
CONVNET, DEEPEST = "ConvNet", "ResNet152"
SMALL, LARGE = 10, 200  # images per class: small up to the first, large above the second
MARGIN = 1.0  # points; a smaller lead over random does not count
HALF = 0.5  # share of the lead over chance that a set keeps; correlation of a set that ranks
NOISE = 0.05  # expected share of wrong orders among pairs that differ at 95 %
CELLS = ["dataset", "method", "ipc", "architecture", "augmentation", "mean", "std", "n", "chance"]
RANKINGS = ["dataset", "method", "ipc", "correlation", "n"]
CURVES = ["dataset", "method", "ipc", "architecture", "augmentation", "start", "iteration"]
CURVES += ["mean", "std", "n"]
_SET = ["dataset", "method", "ipc"]


@dataclass(frozen=True)
class Estimate:
    """A value in percent points (or a correlation) and its uncertainty.

    ``error`` is the standard error, NaN if unknown; ``cells`` are labels of the frame.
    """

    value: float
    error: float
    freedom: float
    name: str
    cells: tuple[int, ...]

    def interval(self, tests: int = 1) -> tuple[float, float]:
        """Return the t interval, simultaneous for this number of estimates."""
        tail = (1 - CONFIDENCE) / 2 / tests
        half = stats.t.ppf(1 - tail, self.freedom) * self.error
        return self.value - half, self.value + half


Blocks = dict[tuple, list[Estimate]]  # the comparisons of each block (dataset, IPC)


@dataclass(frozen=True)
class Finding:
    """The verdict on a statement; ``measure`` describes the value and its interval."""

    statement: str
    measure: str
    value: float
    low: float
    high: float
    verdict: str
    comparisons: int
    cells: tuple[int, ...]
    remark: str = ""


def judge_all(cells: pd.DataFrame, rankings: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Return a row per statement: ``number`` and the fields of ``Finding`` (``cells`` counted)."""
    findings = [judge(cells) for judge in JUDGES_OF_CELLS]
    findings += [condensed_sets_do_not_rank(rankings), kcenter_start_is_faster(curves)]
    rows = [
        {"number": number, **vars(finding), "cells": len(finding.cells)}
        for number, finding in enumerate(findings, 1)
    ]
    return pd.DataFrame(rows)


def augmentation_raises(cells: pd.DataFrame) -> Finding:
    """Judge that augmentation at evaluation alone raises the accuracy.

    Statistic: the ConvNet's accuracy with DSA minus without, mean over blocks of
    the mean over their sets. Holds if its interval lies above 0, fails if it lies below.
    """
    gains: dict[str, Blocks] = {}
    by_ipc: dict[int, list[float]] = {}
    for key, part in _groups(_on(cells, architecture=CONVNET), _SET):
        at = _labels(part, "augmentation")
        for name in at.keys() & {WITHOUT} and at.keys() - {WITHOUT}:
            gain = _contrast(part, {at[name]: 1, at[WITHOUT]: -1}, _name(*key))
            gains.setdefault(name, {}).setdefault((key[0], key[2]), []).append(gain)
            if name == AUGMENTED:
                by_ipc.setdefault(key[2], []).append(gain.value)
    others = [
        f"{name} {_over_blocks(gains[name]).value:+.2f} on {len(_all(gains[name]))}"
        for name in sorted(gains.keys() - {AUGMENTED})
    ]
    means = [f"IPC {ipc} {np.mean(values):+.2f}" for ipc, values in sorted(by_ipc.items())]
    remark = [_counted(_all(gains.get(AUGMENTED, {}))), ", ".join(means)]
    remark += ["others: " + ", ".join(others)] if others else []
    return _on_average(
        "Augmentation at evaluation alone raises the accuracy",
        "DSA minus none, mean over datasets and IPC",
        gains.get(AUGMENTED, {}),
        remark="; ".join(remark),
    )


def kip_and_tm_are_most_sensitive(cells: pd.DataFrame) -> Finding:
    """Judge that KIP and TM depend most on the augmentation at evaluation.

    A set's sensitivity is the range of the ConvNet's accuracies over its
    augmentations (and none), so the order of columns does not matter. Each of
    the two is compared with each other method over the blocks (dataset, IPC)
    and augmentations that both have.

    Statistic: the largest of these mean differences, other minus KIP or TM.
    Holds if none is above 0 and both methods are there, fails if any is above
    0, by intervals over blocks (over networks if there is one block).
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

    Statistic: the ConvNet's accuracy on a condensed set minus the better of
    Random and K-Center, DSA at evaluation, mean over blocks of the mean over
    their sets. Holds if its interval lies above 0, fails if it lies below. The
    sets of a block share the better selection, so its error counts whole in the
    block's mean. Choosing the better of two afterwards works against the
    statement.
    """
    leads: list[Estimate] = []
    blocks: Blocks = {}
    small = _on(cells, architecture=CONVNET, augmentation=AUGMENTED)
    for key, part in _groups(small[small["ipc"] <= SMALL], ["dataset", "ipc"]):
        at = _labels(part, "method")
        if set(SELECTION) <= at.keys():
            best = max((at[name] for name in SELECTION), key=lambda label: part["mean"][label])
            condensed = [at[name] for name in CONDENSATION if name in at]
            if condensed:
                of_block = [_contrast(part, {label: 1, best: -1}, "") for label in condensed]
                shares = {label: 1 / len(condensed) for label in condensed}
                together = _contrast(part, shares | {best: -1}, _name(*key))
                blocks[key] = [_less_certain(together, _mean(of_block, _name(*key)))]
                leads += of_block
    return _on_average(
        f"Condensation beats selection at small IPC (up to {SMALL})",
        "condensed minus the better of Random and K-Center, mean over datasets and IPC",
        blocks,
        remark=_counted(leads),
        comparisons=len(leads),
    )


def no_better_than_random(cells: pd.DataFrame) -> Finding:
    """Judge that condensation is no better than random selection above IPC ``LARGE``.

    Statistic: the decisive lead of a condensed set over Random at the same IPC
    (ConvNet, DSA at evaluation). Holds if all leads are below ``MARGIN`` points,
    fails if any is above, by simultaneous intervals.
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

    Statistic: the ConvNet's accuracy minus the mean of the other architectures,
    DSA at evaluation, mean over blocks of the mean over their sets. Holds if its
    interval lies above 0, fails if it lies below.
    """
    of_sets: Blocks = {}
    single = []
    for key, part in _groups(_on(cells, augmentation=AUGMENTED), _SET):
        at = _labels(part, "architecture")
        if CONVNET in at and len(at) > 1:
            others = {name: label for name, label in at.items() if name != CONVNET}
            weights = {at[CONVNET]: 1.0} | {label: -1 / len(others) for label in others.values()}
            of_sets.setdefault((key[0], key[2]), []).append(_contrast(part, weights, _name(*key)))
            for label in others.values():
                single.append(_contrast(part, {at[CONVNET]: 1, label: -1}, _name(*key)))
    return _on_average(
        "The accuracy falls on other architectures",
        "ConvNet minus the mean of the others, mean over datasets and IPC",
        of_sets,
        remark=_counted(single),
    )


def none_transfers(cells: pd.DataFrame) -> Finding:
    """Judge that no set transfers to ResNet-152, DSA at evaluation.

    A set transfers if it keeps more than half of the ConvNet's lead over chance.
    Statistic: the accuracy of the ResNet-152 minus the middle of chance and the
    ConvNet's accuracy, in points, the largest of all sets. Holds if none is
    above 0, fails if any is, by simultaneous intervals. This is our reading: an
    accuracy below the ConvNet's is not enough, and chance level is not needed.
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

    A pair of methods that differs significantly on the ConvNet and on another
    architecture (DSA at evaluation) keeps its order or changes it. Statistic:
    the share of pairs in a block (dataset, IPC) that change it, mean over
    blocks. Each end of its interval is the wider of the interval over blocks and
    the exact binomial interval over pairs. Holds if it lies above ``NOISE``, the
    share expected by chance; fails if it lies below.
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
            for i, j in combinations(range(len(shared)), 2):
                signs = [_sign(block, at[i], at[j]) for at in (first, second)]
                if all(signs):
                    products.append(signs[0] * signs[1])
                    used |= {at[place] for at in (first, second) for place in (i, j)}
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


JUDGES_OF_CELLS: Sequence[Callable[[pd.DataFrame], Finding]] = (
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

    Statistic: the largest Spearman correlation of all condensed sets, between
    accuracy on the set and true accuracy, with Fisher's interval over
    architectures (standard error of Bonett and Wright). Holds if none is above
    ``HALF``, fails if any is, by simultaneous intervals.
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


def kcenter_start_is_faster(curves: pd.DataFrame) -> Finding:
    """Judge that condensation converges faster from K-Center than from random images.

    Statistic: the accuracy from K-Center minus from random images after the same
    iterations, mean over the iterations between start and end, then over methods,
    and over blocks. Holds if its interval lies above 0, fails if it
    lies below. Iterations of one set are not independent, so the standard error
    of a block is the mean of theirs.
    """
    leads: Blocks = {}
    for key, block in _groups(curves, CURVES[:5]):
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
            lead = Estimate(float(value), float(error), freedom, _name(*key[:3]), used)
            leads.setdefault((key[0], key[2]), []).append(lead)
    return _on_average(
        "A K-Center start converges faster",
        "from K-Center minus from random images, mean over the iterations between",
        leads,
        remark=_counted(_all(leads)),
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
    """Return the name of a set, or of a block if called with dataset and IPC alone."""
    if ipc is None:
        return f"{dataset}, IPC {method}"
    return f"{method} on {dataset}, IPC {ipc}"


def _contrast(
    frame: pd.DataFrame, weights: dict[int, float], name: str, plus: float = 0.0
) -> Estimate:
    """Return the weighted sum of cells' means, with Welch's degrees of freedom."""
    at = frame.index.get_indexer(list(weights))  # faster than a frame per contrast
    mean, std, n = (frame[column].to_numpy(float)[at] for column in ("mean", "std", "n"))
    weight, freedom = np.array(list(weights.values())), n - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [weight * mean, weight**2 * std**2 / freedom, freedom]
    if "networks" in frame:
        parts = _paired(frame.iloc[at], weight, parts)
    values, squares, freedom = parts
    value = float(values.sum()) + plus
    if (freedom < 1).any() or np.isnan(squares).any():
        return Estimate(value, float("nan"), 1, name, tuple(weights))
    total = squares.sum()
    if not total:  # equal accuracies by chance, as coarse ones often are
        return Estimate(value, float("nan"), 1, name, tuple(weights))
    degrees = total**2 / (squares**2 / freedom).sum()
    return Estimate(value, float(np.sqrt(total)), float(degrees), name, tuple(weights))


def _paired(cells: pd.DataFrame, weight: np.ndarray, parts: list[np.ndarray]) -> list[np.ndarray]:
    """Replace the parts of cells of one set by one part: the weighted sum of equal seeds.

    ``parts`` are value, square of the standard error and degrees of freedom by cell. Cells without
    a common seed keep theirs.
    """
    parts = [np.append(part, np.full(len(cells), np.nan)) for part in parts]
    kept = np.append(np.ones(len(cells), bool), np.zeros(len(cells), bool))
    for number, places in enumerate(cells.groupby(_SET, sort=False).indices.values()):
        if len(places) < 2:
            continue
        by_cell = pd.concat({place: cells["networks"].iloc[place] for place in places}, axis=1)
        shared, _ = statistics.pairs(by_cell, *places)
        if shared.empty:
            continue
        sums = shared.to_numpy() @ weight[places]
        square = sums.var(ddof=1) / len(sums) if len(sums) > 1 else np.nan
        kept[places], kept[len(cells) + number] = False, True
        for part, value in zip(parts, (sums.mean(), square, len(sums) - 1), strict=True):
            part[len(cells) + number] = value
    return [part[kept] for part in parts]


def _range(part: pd.DataFrame, at: dict[str, int], names: set[str]) -> dict[int, float]:
    """Return the weights of the largest minus the smallest mean; 0 if all are equal."""
    means = part["mean"][[at[name] for name in sorted(names)]]
    weights = {means.idxmax(): 1.0}
    weights[means.idxmin()] = weights.get(means.idxmin(), 0.0) - 1.0
    return weights


def _sign(block: pd.DataFrame, first: int, second: int) -> int:
    """Return which of two cells is significantly better: 1, -1, or 0 for neither."""
    low, high = _contrast(block, {first: 1, second: -1}, "").interval()
    return int(low > 0) - int(high < 0)


def _mean(estimates: list[Estimate], name: str = "") -> Estimate:
    """Return the mean with its standard error over the estimates; a single one as it is."""
    if len(estimates) == 1:
        return Estimate(**vars(estimates[0]) | {"name": name or estimates[0].name})
    values = [estimate.value for estimate in estimates]
    used = dict.fromkeys(label for estimate in estimates for label in estimate.cells)
    error = float(stats.sem(values))
    return Estimate(float(np.mean(values)), error, len(values) - 1, name, tuple(used))


def _less_certain(first: Estimate, second: Estimate) -> Estimate:
    """Return the estimate with the wider interval, or the one that has none."""
    widths = [np.subtract(*estimate.interval()) for estimate in (first, second)]
    return (first, second)[int(np.argmin(widths))]  # NaN is the least


def _all(blocks: Blocks) -> list[Estimate]:
    return [estimate for estimates in blocks.values() for estimate in estimates]


def _over_blocks(blocks: Blocks) -> Estimate:
    """Return the mean over blocks of the mean within a block, its error over the blocks."""
    return _mean([_mean(estimates) for estimates in blocks.values()])


def _on_average(
    statement: str, measure: str, blocks: Blocks, remark: str = "", comparisons: int | None = None
) -> Finding:
    """Judge that the mean over blocks is above 0."""
    if not blocks:
        return _undecided(statement, measure)
    mean = _over_blocks(blocks)
    low, high = mean.interval()
    verdict = HOLDS if low > 0 else FAILS if high < 0 else OPEN
    known = (mean.value, low, high, verdict)
    count = len(_all(blocks)) if comparisons is None else comparisons
    return Finding(statement, measure, *known, count, mean.cells, remark)


def _none_above(
    statement: str, measure: str, estimates: list[Estimate], bound: float = 0.0, remark: str = ""
) -> Finding:
    """Judge that no estimate is above a bound; the decisive estimate is the statistic."""
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
    remarks = [f"decided by {estimates[decisive].name}"]
    if verdict == FAILS:
        remarks.append(f"{int((lows > bound).sum())} of {len(estimates)} are above the bound")
    if verdict == OPEN:
        remarks.append(f"{int((highs < bound).sum())} of {len(estimates)} are below the bound")
    used = dict.fromkeys(label for estimate in estimates for label in estimate.cells)
    known = (estimates[decisive].value, lows[decisive], highs[decisive], verdict)
    remark = "; ".join([*remarks, remark] if remark else remarks)
    return Finding(statement, measure, *map(_plain, known), len(estimates), tuple(used), remark)


def _plain(value: float | str) -> float | str:
    return value if isinstance(value, str) else float(value)


def _undecided(statement: str, measure: str) -> Finding:
    nan = float("nan")
    return Finding(statement, measure, nan, nan, nan, OPEN, 0, (), "no such cells")


def _counted(estimates: list[Estimate]) -> str:
    """Count the comparisons whose own interval lies above and below 0."""
    ends = [estimate.interval() for estimate in estimates]
    above, below = sum(low > 0 for low, _ in ends), sum(high < 0 for _, high in ends)
    unknown = sum(np.isnan(low) for low, _ in ends)
    text = f"above 0 in {above} of {len(ends)}, below in {below}"
    return text + (f", {unknown} without an interval" if unknown else "")
