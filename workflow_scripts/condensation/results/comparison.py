"""All comparisons of a config's methods, as tables and as a page."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from condensation.config.schema import Config
from condensation.results import dd_ranking, frames, gains, ranks, statistics, transfer


@dataclass(frozen=True)
class Comparison:
    """All comparisons.

    Attributes
    ----------
    tables : ``gains``, ``scores``, ``transfer``, ``comparisons``, ``variance`` and
        ``equivalence``.
    ranking : as ``ranks.ranking`` returns it.
    """

    tables: dict[str, pd.DataFrame]
    ranking: dict[str, Any]


def compare(runs: pd.DataFrame, config: Config) -> Comparison:
    """Compare the methods on finished sets; the whole dataset only marks the end of the scale.

    ``runs`` is the frame of ``frames.runs``; ``config.statistics`` sets levels and margins.
    """
    settings = config.statistics
    final = runs[runs["iteration"] == frames.FINAL]
    algorithms = {name: entry.algorithm for name, entry in config.methods.items()}
    cells = gains.cells_of(final)  # with the whole dataset
    scores = dd_ranking.of_runs(final, cells, config)
    present = set(final["method"])
    methods = [name for name, entry in config.methods.items() if entry.algorithm != "whole"]
    methods = [name for name in methods if name in present]
    random = [name for name in methods if config.methods[name].algorithm == "random"]
    final = final[final["method"].isin(methods)]
    order = final["method"].map(methods.index)
    final = final.iloc[order.argsort(kind="stable")]  # pairs are first - second, in this order
    tables = {
        "gains": gains.ordered(cells, algorithms),
        "scores": scores,
        "transfer": transfer.table(
            final, {name: entry.network for name, entry in config.architectures.items()}
        ),
        "comparisons": statistics.paired(final, settings.alpha),
        "variance": statistics.variance(final, frames.CELL),
        "equivalence": statistics.equivalence(
            *(final, random, settings.equivalence_from_ipc),
            *(settings.equivalence_margin, settings.alpha),
        ),
    }
    ranking = ranks.ranking(final, methods, settings.alpha, settings.bootstrap)
    return Comparison(tables, ranking)


def markdown(comparison: Comparison, config: Config) -> str:
    """Return the Markdown page: ranks, pairs, sources of variance, equivalence."""
    settings = config.statistics
    tables = comparison.tables
    pairs, variance, equivalence = (tables[n] for n in ("comparisons", "variance", "equivalence"))
    parts = ["# Comparisons of methods", "## Gain over Random", _gains(tables["gains"])]
    parts += ["## Scores of DD-Ranking", _scores(tables["scores"])]
    parts += ["## Transfer to other architectures", _transfer(tables["transfer"])]
    parts += ["## Ranks", f"Over {', '.join(statistics.BLOCK)}:"]
    parts.append(_ranks(comparison.ranking))
    if "note" in comparison.ranking:
        parts.append(comparison.ranking["note"])
    parts += ["Over dataset and IPC (`by_set`):", _ranks(comparison.ranking["by_set"])]
    parts.append("## Pairs")
    significant = int(pairs["significant"].sum())
    parts.append(
        f"{len(pairs)} paired comparisons on shared seeds (comparisons.csv), {significant} of them "
        f"significant at {settings.alpha:g} after Holm's correction over the pairs of a block. t "
        "tests pair condensed sets where there are several, else the networks of one set; the "
        "latter say nothing about other sets of the method."
    )
    if len(pairs):
        parts.append(_table(_wins(pairs)))
    parts.append("## Variance between and within condensed sets")
    if len(variance):
        parts.append(
            "One-way random effects by the analysis of variance (method of moments): `outer` is "
            "the variance between condensation seeds, `inner` the variance between networks of one "
            "set."
        )
        parts.append(_table(variance))
    else:
        parts.append("No cell has several condensed sets with several networks each.")
    parts.append(f"## No better than random at IPC ≥ {settings.equivalence_from_ipc}?")
    if len(equivalence):
        parts.append(
            f"Two one-sided tests (TOST) with a margin of {settings.equivalence_margin:g} points, "
            "Holm's correction over all rows. `no better`: the tests refute a lead of the margin "
            "or more; `equivalent`: they also refute such a deficit; `not shown`: neither."
        )
        parts.append(_table(equivalence))
    else:
        parts.append("No cell with such an IPC can be compared with random selection.")
    return "\n\n".join(parts) + "\n"


def _places(table: pd.DataFrame) -> pd.DataFrame:
    """Return the block and method of each row, without the axes on which all rows agree."""
    block = [name for name in statistics.BLOCK if name in table]
    varied = [name for name in block if table[name].nunique() > 1]
    return table[[*varied, "method"]].copy()


def _gains(table: pd.DataFrame) -> str:
    if table.empty:
        return "No cell can be compared with random selection."
    shown = _places(table)
    shown["gain"] = [_interval(row, "gain", "{:+.2f}") for row in table.to_dict("records")]
    shown["share (%)"] = [
        _interval(row, "share", "{:.0f}", 100) for row in table.to_dict("records")
    ]
    return (
        "`gain`: percentage points above Random, evaluated in the same way. `share`: of the way "
        "from Random to the whole dataset. With 95 % intervals that take the cells as independent "
        f"(gains.csv).\n\n{_table(shown)}"
    )


def _scores(table: pd.DataFrame) -> str:
    if table.empty:
        return "No method stands beside Random and the whole dataset in the same way."
    shown = _places(table)
    for name in ("label", "augmentation"):
        shown[f"{name}-robust (%)"] = [
            _interval(
                {f"{name}{end}": row[name + (end or "_robust")] for end in ("", "_low", "_high")},
                *(name, "{:.1f}", 100),
            )
            for row in table.to_dict("records")
        ]
    return (
        "What sets are worth apart from their labels, and apart from the augmentation, from 0 to "
        f"100 (Li et al., 2025). {100 * dd_ranking.normalized(0):.1f} is no gain over Random "
        "(augmentation-robust), or a gain as large as the gap that is left to the whole dataset "
        "(label-robust). A set with soft labels has a label-robust score if it was also evaluated "
        "with `labels: hard`. With 95 % intervals (scores.csv).\n\n"
        f"{_table(shown)}"
    )


def _transfer(table: pd.DataFrame) -> str:
    if table.empty:
        return "No set was evaluated with several architectures."
    shown = _places(table)
    names = table["architectures"].str.replace(" ", ", ")
    others = f", {names.iloc[0]}"
    if names.nunique() > 1:
        shown["others"], others = names, ""
    shown[f"on {table['reference'].iloc[0]}"] = table["accuracy"].map("{:.2f}".format)
    for name in ("transfer", "drop"):
        shown[name] = [_interval(row, name, "{:.2f}") for row in table.to_dict("records")]
    return (
        f"`transfer`: mean accuracy on the other architectures{others}. `drop`: how far that is "
        f"below the accuracy on {table['reference'].iloc[0]}. With 95 % intervals, on seeds that "
        f"all architectures share (transfer.csv).\n\n{_table(shown)}"
    )


def _interval(row: dict[str, Any], name: str, form: str, scale: float = 1) -> str:
    value, low, high = (scale * row[name + end] for end in ("", "_low", "_high"))
    if value != value:
        return "-"
    text = form.format(value)
    return text if low != low else f"{text} ({form.format(low)} to {form.format(high)})"


def _ranks(ranking: dict[str, Any]) -> str:
    left_out = ranking["left_out"]
    gaps = [f"methods {', '.join(left_out['methods'])}"] if left_out["methods"] else []
    gaps += [f"{left_out['blocks']} blocks"] if left_out["blocks"] else []
    incomplete = f" Left out as incomplete: {' and '.join(gaps)}." if gaps else ""
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
        "95 % bootstrap interval over blocks; `first`, `same_place`: shares of bootstrap samples "
        f"in which the method comes first, and keeps its place.{incomplete}"
    )


def _wins(pairs: pd.DataFrame) -> pd.DataFrame:
    """Count, per pair of methods, the blocks in which the first is significantly better."""
    names = list(dict.fromkeys([*pairs["first"], *pairs["second"]]))
    counts = pd.DataFrame(0, index=names, columns=names)
    known = pairs[pairs["significant"]]
    for row in known.itertuples():
        better, worse = (row.first, row.second) if row.difference > 0 else (row.second, row.first)
        counts.loc[better, worse] += 1
    counts = counts.astype(str)
    for name in names:
        counts.loc[name, name] = ""
    return counts.rename_axis("better in … blocks than").reset_index()


def _table(frame: pd.DataFrame) -> str:
    return frame.to_markdown(index=False, floatfmt=".3g", missingval="-")
