"""Ranks of methods over blocks: Friedman's test, Nemenyi's critical difference, stability."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scikit_posthocs
import torch
from scipy import stats

from condensation.core import randomness
from condensation.results import gains
from condensation.results.statistics import BLOCK

_SETS = ["dataset", "ipc"]
NOT_INDEPENDENT = (
    "Blocks that differ only in architecture, augmentation or optimizer share condensed sets, so "
    "they are not independent and their p-values are too small; `own` and `hard` labels of sets "
    "with hard labels are even the same. `by_set` has one block per dataset and IPC, the mean "
    "over architectures, augmentations, optimizers and kinds of labels."
)


def ranking(runs: pd.DataFrame, methods: Sequence[str], alpha: float, draws: int) -> dict[str, Any]:
    """Rank methods over blocks, and again (``by_set``) with a block per dataset and IPC.

    A block is a dataset x IPC x architecture x augmentation x optimizer x labels. Both
    rankings have the same methods; ``rank`` describes their content.
    """
    known = runs[runs["method"].isin(methods)]
    cells = gains.cells_of(known)
    blocks = cells.pivot_table(index=BLOCK, columns="method", values="mean", sort=False)
    blocks = blocks.reindex(columns=[name for name in methods if name in blocks.columns])

    # average the blocks in which all methods of the set have an accuracy
    def mean_of_set(part: pd.DataFrame) -> pd.Series:
        return part[part.columns[part.notna().any()]].dropna().mean()

    groups = blocks.groupby(_SETS, sort=False)
    by_set = pd.DataFrame({key: mean_of_set(part) for key, part in groups}).T
    whole = rank(blocks, alpha, draws) | {"block": BLOCK, "note": NOT_INDEPENDENT}
    ranked = [name for name in blocks.columns if name in whole.get("methods", blocks.columns)]
    by_set = by_set.reindex(columns=ranked)
    return whole | {"by_set": rank(by_set, alpha, draws) | {"block": _SETS}}


def rank(blocks: pd.DataFrame, alpha: float, draws: int) -> dict[str, Any]:
    """Rank methods over complete blocks.

    Parameters
    ----------
    blocks : accuracy, a row per block and a column per method; NaN where missing.
    draws : number of bootstrap samples of the blocks.

    Returns
    -------
    ``methods``, name to average rank (1 is best, ties share), from best to worst; ``blocks``,
    their number; Friedman's ``chi_square`` and ``p_value``; the Nemenyi ``critical_difference``
    at ``alpha`` (Demsar, 2006) and ``pairwise``, Nemenyi p by two methods; ``stability``, per
    method the 95 % bootstrap interval of its average rank (``low``, ``high``), the share of
    samples in which it is ``first``, and in which it keeps its place (``same_place``);
    ``left_out``, the incomplete methods and the number of incomplete blocks. With fewer than
    three methods or two blocks there are only ``left_out`` and the ``reason``.

    Methods with the fewest blocks are dropped first, where that leaves more cells.
    """
    chosen = _complete(blocks)
    left_out = {
        "methods": [name for name in blocks.columns if name not in chosen],
        "blocks": len(blocks) - len(chosen),
    }
    count, methods = chosen.shape
    if methods < 3 or count < 2:
        return {
            "reason": f"a ranking needs at least 3 methods that share 2 blocks; the most that "
            f"are complete are {methods} methods in {count} blocks",
            "left_out": left_out,
        }
    ranks = chosen.rank(axis=1, ascending=False)
    average = ranks.mean().sort_values(kind="stable")
    ranks = ranks[average.index]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all tied: no statistic
        friedman = stats.friedmanchisquare(*chosen.to_numpy().T)
    nemenyi = scikit_posthocs.posthoc_nemenyi_friedman(chosen[average.index].to_numpy())
    quantile = stats.studentized_range.ppf(1 - alpha, methods, np.inf) / np.sqrt(2)
    return {
        "methods": {name: float(value) for name, value in average.items()},
        "blocks": count,
        "chi_square": _finite(friedman.statistic),
        "p_value": _finite(friedman.pvalue),
        "critical_difference": float(quantile * np.sqrt(methods * (methods + 1) / (6 * count))),
        "alpha": alpha,
        "pairwise": {
            first: {
                second: _finite(nemenyi.iloc[i, j])
                for j, second in enumerate(average.index)
                if j != i
            }
            for i, first in enumerate(average.index)
        },
        "stability": _stability(ranks, draws),
        "left_out": left_out,
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _complete(blocks: pd.DataFrame) -> pd.DataFrame:
    """Return the largest part of the table without a gap."""
    coverage = blocks.notna().sum().sort_values(ascending=False, kind="stable")
    candidates = [blocks[list(coverage.index[:n])].dropna() for n in range(1, len(coverage) + 1)]
    enough = [complete for complete in candidates if complete.shape[1] >= 3 and len(complete) >= 2]
    best = max(
        enough or candidates,
        key=lambda complete: (complete.size, complete.shape[1]),
        default=blocks,
    )
    return best[[name for name in blocks.columns if name in best.columns]]


def _stability(ranks: pd.DataFrame, draws: int) -> dict[str, dict[str, float]]:
    """Resample the blocks; the columns of ``ranks`` go from best to worst."""
    stream = randomness.generator(0, "rank stability")
    chosen = torch.randint(len(ranks), (draws, len(ranks)), generator=stream).numpy()
    means = ranks.to_numpy()[chosen].mean(axis=1)
    places = np.argsort(np.argsort(means, axis=1, kind="stable"), axis=1)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return {
        name: {
            "low": float(low[i]),
            "high": float(high[i]),
            "first": float((means[:, i] == means.min(axis=1)).mean()),
            "same_place": float((places[:, i] == i).mean()),
        }
        for i, name in enumerate(ranks.columns)
    }
