"""How well a proxy ranks architectures: correlation with the truth, and its top architectures.

Intervals are percentile bootstraps over architectures. All rankings share one
set of resamples, so differences between them are paired. The intervals cover
other architectures, but not other network seeds or condensed sets.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

_CHUNK = 1000  # resamples at a time


def resamples(count: int, repeats: int, draw: np.random.Generator) -> np.ndarray:
    """Return int64 [repeats, count]: architectures drawn with replacement."""
    return draw.integers(0, count, (repeats, count))


def spearman(proxy: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of each row [..., n], ties sharing their mean rank.

    NaN where one side is constant.
    """
    ranks = (stats.rankdata(values, axis=-1) for values in (proxy, truth))
    x, y = (values - values.mean(-1, keepdims=True) for values in ranks)
    scale = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, (x * y).sum(-1) / scale, np.nan)


def resampled_spearman(proxy: np.ndarray, truth: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of every resample [repeats]."""
    parts = np.array_split(drawn, math.ceil(len(drawn) / _CHUNK))
    return np.concatenate([spearman(proxy[part], truth[part]) for part in parts])


def resampled_kendall(proxy: np.ndarray, truth: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return Kendall's tau-b of every resample [repeats].

    With w, how often a resample draws each architecture, and the signs S of all
    differences, tau-b is w'(S_p * S_t)w over the root of w'|S_p|w w'|S_t|w.
    """
    count = len(proxy)
    weights = np.stack([np.bincount(sample, minlength=count) for sample in drawn]).astype(float)
    signs = [np.sign(values[:, None] - values[None, :]) for values in (proxy, truth)]

    def form(matrix: np.ndarray) -> np.ndarray:
        return ((weights @ matrix) * weights).sum(1)

    scale = np.sqrt(form(np.abs(signs[0])) * form(np.abs(signs[1])))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, form(signs[0] * signs[1]) / scale, np.nan)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles of the resamples that have a value."""
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class Top:
    """The result of a search by the proxy.

    Attributes
    ----------
    top1 : true accuracy of the architecture with the best proxy; the mean of ties.
    tied_first : number of architectures with the best proxy.
    top5 : best true accuracy among the five with the best proxy; if the fifth place is tied, the
        mean over the ways to fill it.
    regret : best true accuracy in the sample minus ``top1``.
    """

    top1: float
    tied_first: int
    top5: float
    regret: float


def top(proxy: np.ndarray, truth: np.ndarray, places: int = 5) -> Top:
    """Return the true accuracies of the architectures with the best proxy."""
    first = truth[proxy == proxy.max()]
    top1 = float(first.mean())
    border = np.sort(proxy)[::-1][min(places, len(proxy)) - 1]
    sure, tied = truth[proxy > border], truth[proxy == border]
    best = _expected_best(sure, tied, min(places, len(proxy)) - len(sure))
    return Top(top1, len(first), best, float(truth.max()) - top1)


def _expected_best(sure: np.ndarray, tied: np.ndarray, places: int) -> float:
    """Return the mean best of ``sure`` and ``places`` draws from ``tied`` without replacement."""
    tied = np.sort(tied)
    floor = sure.max() if len(sure) else -math.inf
    # the largest draw is the k-th smallest (from 0) in C(k, places - 1) of the ways
    ways = [math.comb(k, places - 1) for k in range(len(tied))]
    return float(np.dot(np.maximum(tied, floor), ways) / sum(ways))


def tied(values: np.ndarray) -> int:
    """Return how many of ``values`` equal another value."""
    _, counts = np.unique(values, return_counts=True)
    return int(counts[counts > 1].sum())


def compare(proxies: dict[Any, np.ndarray], truth: np.ndarray, drawn: np.ndarray) -> dict:
    """Return, per key of ``proxies``, correlations, intervals and the resampled Spearman.

    ``truth`` and each proxy are [architectures]; ``drawn`` is that of ``resamples``.
    """
    measures = {}
    for key, proxy in proxies.items():
        resampled = resampled_spearman(proxy, truth, drawn)
        low, high = interval(resampled)
        tau_low, tau_high = interval(resampled_kendall(proxy, truth, drawn))
        best = top(proxy, truth)
        measures[key] = {
            "spearman": float(spearman(proxy, truth)),
            "spearman_low": low,
            "spearman_high": high,
            "kendall": float(stats.kendalltau(proxy, truth).statistic),
            "kendall_low": tau_low,
            "kendall_high": tau_high,
            "top1": best.top1,
            "tied_first": best.tied_first,
            "best_of_top5": best.top5,
            "regret": best.regret,
            "tied": tied(proxy),
            "resampled": resampled,
        }
    return measures


def difference(first: Iterable[float], second: Iterable[float]) -> tuple[float, float, float]:
    """Return the interval of the differences of paired resamples, and their bootstrap p value.

    The two-sided p is twice the smaller share of resamples on one side of zero,
    counting the sample itself: (1 + n) / (1 + repeats), at most 1.
    """
    values = np.asarray(first) - np.asarray(second)
    values = values[~np.isnan(values)]
    low, high = interval(values)
    if not len(values):
        return low, high, math.nan
    side = min((values <= 0).sum(), (values >= 0).sum())
    return low, high, min(1.0, float(2 * (1 + side) / (1 + len(values))))
