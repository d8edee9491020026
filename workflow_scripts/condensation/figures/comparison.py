"""Accuracy against cost with the Pareto front, and the critical-difference diagram."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scikit_posthocs
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from condensation.figures import accuracy, data, style
from condensation.figures.accuracy import Styles
from condensation.workflow.figure_plan import Panel

_SHORTEST = 1e-3  # seconds; the logarithmic axis has no 0
_LEADER = 0.15  # ranks between the outermost method and the line to its name


def pareto_front(seconds: Sequence[float], reached: Sequence[float]) -> list[int]:
    """Return the positions of the points on the Pareto front, from cheap to expensive.

    A point is off the front if another costs no more and is at least as
    accurate, with one of the two strictly better, or if it has no accuracy.
    """
    order = sorted(
        (place for place in range(len(seconds)) if np.isfinite(reached[place])),
        key=lambda place: (seconds[place], -reached[place]),
    )
    front, best = [], -np.inf
    for place in order:
        ties = front and (seconds[place], reached[place]) == (seconds[front[-1]], best)
        if reached[place] > best or ties:
            front.append(place)
            best = reached[place]
    return front


def cost_accuracy(
    table: pd.DataFrame,
    panels: Sequence[Panel],
    seconds: Mapping[tuple[str, str, str], float],
    styles: Styles,
) -> Figure:
    """Draw accuracy against the seconds of condensation, a panel per dataset and IPC.

    ``seconds`` is per set, by (dataset, method, IPC); methods with NaN are left out.
    """
    figure, axes = accuracy.panels_of(panels, (3.8, 3.0), most=4)
    seconds = {key: max(value, _SHORTEST) for key, value in seconds.items() if value == value}
    handles: dict = {}
    for ax, panel in axes:
        part = data.select(table, panel["where"]).set_index("method")
        key = panel["where"]["dataset"], panel["where"]["ipc"]
        known = {method for dataset, method, ipc in seconds if (dataset, ipc) == key}
        part = part.loc[[method for method in styles if method in part.index and method in known]]
        at = np.array([seconds[key[0], method, key[1]] for method in part.index])
        _front(ax, at, part["mean"].to_numpy(), handles)
        for x, (method, cell), bars in zip(at, part.iterrows(), data.spread(part).T, strict=True):
            looks = style.line(styles[method]) | {"linestyle": "none", "markersize": 8}
            drawn = ax.errorbar(
                *(x, cell["mean"]), yerr=bars[:, None], capsize=2.5, elinewidth=0.9, **looks
            )
            handles[method] = drawn.lines[0]
            accuracy.why_missing(ax, x, cell, f"{method}: ")
        ax.set_xscale("log")
        if seconds:
            ax.set_xlim(min(seconds.values()) / 2, max(seconds.values()) * 2)
        ax.xaxis.set_major_locator(LogLocator(numticks=6))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        ax.minorticks_off()
        ax.set_xlabel("seconds of condensation")
    accuracy.within_percent(ax for ax, _ in axes)
    note = "no method is both cheaper and better than a method on the front; costs exclude experts "
    note += f"and feature networks; error bars: {data.spread_name(table)}"
    names = [*styles, "Pareto front"]
    title = f"Accuracy against cost{accuracy.common(panels)}"
    style.annotate(figure, title, note, names, handles)
    return figure


def _front(ax: plt.Axes, at: np.ndarray, mean: np.ndarray, handles: dict) -> None:
    """Draw a step line under the points of the front."""
    front = pareto_front(at, mean)
    (handles["Pareto front"],) = ax.step(
        *(at[front], mean[front]), where="post", color="0.4", linewidth=1.0, zorder=1
    )


def critical_difference(ranking: Mapping[str, Any], styles: Styles) -> Figure:
    """Draw average ranks; bars join methods that do not differ significantly.

    Parameters
    ----------
    ranking : ``methods`` (name to average rank, 1 the best), ``blocks`` (their number),
        ``critical_difference`` (Nemenyi; Demsar, 2006) and ``alpha``, or the ``reason`` for a
        missing ranking; ``block``, the columns that make a block; and ``by_set``, a ranking over
        other blocks, drawn below.
    """
    style.theme()
    parts = [ranking, *([ranking["by_set"]] if "by_set" in ranking else [])]
    heights = [0.9 if "reason" in part else 2.0 + 0.16 * len(part["methods"]) for part in parts]
    figure, axes = plt.subplots(
        *(len(parts), 1),
        figsize=(8.0, 0.9 + sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for ax, part in zip(axes[:, 0], parts, strict=True):
        if "block" in part:
            names = ", ".join(part["block"]).replace("ipc", "IPC")
            ax.set_title(f"a block for each {names}", loc="left", fontsize="small")
        if "reason" in part:
            ax.set_axis_off()
            text = "\n".join(textwrap.wrap(f"No ranks: {part['reason']}.", 90))
            ax.text(0.0, 0.5, text, va="center", transform=ax.transAxes, fontsize="small")
        else:
            _ranks(ax, part, styles)
    note = "average rank, 1 is best; bars join methods within the critical difference (Nemenyi); "
    note += "blocks that share a condensed set are not independent"
    style.annotate(figure, "Ranks of the methods", note, [], {})
    return figure


def _ranks(ax: plt.Axes, ranking: Mapping[str, Any], styles: Styles) -> None:
    ranks = pd.Series(ranking["methods"])
    colors = {name: styles[name]["color"] if name in styles else "black" for name in ranks.index}
    gap = ranking["critical_difference"]
    apart = np.abs(ranks.to_numpy()[:, None] - ranks.to_numpy()[None]) > gap
    # the diagram only reads which pairs differ
    differ = pd.DataFrame(np.where(apart, 0.0, 1.0), ranks.index, ranks.index)
    drawn = scikit_posthocs.critical_difference_diagram(
        *(ranks, differ),
        alpha=ranking["alpha"],
        ax=ax,
        label_fmt_left="{label}  {rank:.2f} ",
        label_fmt_right=" {rank:.2f}  {label}",
        color_palette=colors,
        crossbar_props={"color": style.INK, "linewidth": 3},
        text_h_margin=_LEADER,
    )
    for label in drawn["labels"]:
        label.set_color("black")
    ax.grid(False)
    ax.spines["top"].set_color(style.INK)
    ax.set_xlim(1 - _LEADER, max(len(ranks), 1 + gap) + _LEADER)
    ax.set_xticks(range(1, len(ranks) + 1))
    ax.plot([1, 1 + gap], [2.0, 2.0], color=style.INK, marker="|", markersize=8)
    ax.set_ylim(top=3.6)
    text = f"critical difference {gap:.2f} (level {ranking['alpha']:g}, {ranking['blocks']} blocks)"
    ax.text(1, 2.2, text, ha="left", va="bottom", fontsize="small")
