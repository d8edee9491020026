"""The comparisons of a config's methods, as files and as a page."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from condensation.config.schema import Config
from condensation.results import frames as tables
from condensation.results import ranks, statistics


@dataclass(frozen=True)
class Comparison:
    """``frames``: ``comparisons``, ``variance`` and ``equivalence``; ``ranking`` as a mapping."""

    frames: dict[str, pd.DataFrame]
    ranking: dict[str, Any]


def compare(runs: pd.DataFrame, config: Config) -> Comparison:
    """Return all comparisons of the finished sets; the whole dataset takes no part.

    ``runs`` is the frame of ``tables.runs``; levels and margins are those of
    ``config.statistics``.
    """
    wanted = config.statistics
    final = runs[runs["iteration"] == tables.FINAL]
    found = set(final["method"])
    methods = [name for name, entry in config.methods.items() if entry.algorithm != "whole"]
    methods = [name for name in methods if name in found]
    random = [name for name in methods if config.methods[name].algorithm == "random"]
    final = final[final["method"].isin(methods)]
    order = final["method"].map(methods.index)
    final = final.iloc[order.argsort(kind="stable")]  # pairs are first - second, in this order
    frames = {
        "comparisons": statistics.paired(final, wanted.alpha),
        "variance": statistics.variance(final, tables.CELL),
        "equivalence": statistics.equivalence(
            *(final, random, wanted.equivalence_from_ipc),
            *(wanted.equivalence_margin, wanted.alpha),
        ),
    }
    ranking = ranks.ranking(final, methods, wanted.alpha, wanted.bootstrap)
    return Comparison(frames, ranking)


def markdown(found: Comparison, config: Config) -> str:
    """Return the page of the comparisons: ranks, pairs, sources of variance, equivalence."""
    wanted = config.statistics
    pairs, variance = found.frames["comparisons"], found.frames["variance"]
    equivalence = found.frames["equivalence"]
    parts = ["# Comparisons of methods", "## Ranks"]
    parts += [
        f"Over {', '.join(statistics.BLOCK)}:",
        _ranks(found.ranking),
    ]
    if "note" in found.ranking:
        parts.append(found.ranking["note"])
    parts += ["Over dataset and IPC (`by_set`):", _ranks(found.ranking["by_set"])]
    parts.append("## Pairs")
    significant = int(pairs["significant"].sum())
    parts.append(
        f"{len(pairs)} paired comparisons on shared seeds (comparisons.csv), {significant} of them "
        f"significant at {wanted.alpha:g} after Holm's correction over the pairs of a block. t "
        "tests over condensed sets where there are several, else over the networks of one set, and "
        "then nothing is said of other sets of the method."
    )
    if len(pairs):
        parts.append(_table(_wins(pairs)))
    parts.append("## Variance between and within condensed sets")
    if len(variance):
        parts.append(
            "One-way random effects by the analysis of variance (method of moments): `outer` is "
            "the variance between condensation seeds, `inner` that between networks of one set."
        )
        parts.append(_table(variance))
    else:
        parts.append("No cell has several condensed sets with several networks each.")
    parts.append(f"## No better than random at IPC ≥ {wanted.equivalence_from_ipc}?")
    if len(equivalence):
        parts.append(
            f"Two one-sided tests (TOST) with a margin of {wanted.equivalence_margin:g} points, "
            "Holm's correction over all rows. `no better`: a lead of the margin or more is "
            "refuted; `equivalent`: such a deficit too; `not shown`: neither."
        )
        parts.append(_table(equivalence))
    else:
        parts.append("No cell has such an IPC and a random selection beside it.")
    return "\n\n".join(parts) + "\n"


def _ranks(ranking: dict[str, Any]) -> str:
    left_out = ranking["left_out"]
    said = [f"methods {', '.join(left_out['methods'])}"] if left_out["methods"] else []
    said += [f"{left_out['blocks']} blocks"] if left_out["blocks"] else []
    incomplete = f" Left out as incomplete: {' and '.join(said)}." if said else ""
    if "reason" in ranking:
        return f"None: {ranking['reason']}.{incomplete}"
    rows = [
        {"method": name, "average rank": rank, **ranking["stability"][name]}
        for name, rank in ranking["methods"].items()
    ]
    chi, p = ranking["chi_square"], ranking["p_value"]
    test = f"Friedman chi-square {chi:.2f}, p {p:.2g}" if chi is not None else "All ranks are tied"
    return (
        f"{_table(pd.DataFrame(rows))}\n\n{ranking['blocks']} blocks. {test}; Nemenyi critical "
        f"difference {ranking['critical_difference']:.2f} at {ranking['alpha']:g}. `low`, `high`: "
        "95 % bootstrap interval over blocks; `first`, `same_place`: shares of its samples in "
        f"which the method is first, and keeps its place.{incomplete}"
    )


def _wins(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return, per method and other, in how many blocks the first is significantly better."""
    names = list(dict.fromkeys([*pairs["first"], *pairs["second"]]))
    counts = pd.DataFrame(0, index=names, columns=names)
    known = pairs[pairs["significant"]]
    for row in known.itertuples():
        ahead, behind = (row.first, row.second) if row.difference > 0 else (row.second, row.first)
        counts.loc[ahead, behind] += 1
    counts = counts.astype(str)
    for name in names:
        counts.loc[name, name] = ""
    return counts.rename_axis("better in … blocks than").reset_index()


def _table(frame: pd.DataFrame) -> str:
    return frame.to_markdown(index=False, floatfmt=".3g", missingval="-")
