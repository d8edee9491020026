"""Accuracy against cost with the Pareto front, and the critical-difference diagram."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scikit_posthocs
from matplotlib.figure import Figure

from condensation.figures import data, style
from condensation.figures.accuracy import Styles
from condensation.figures.plan import Panel


def pareto_front(seconds: Sequence[float], accuracy: Sequence[float]) -> list[int]:
    """Return the positions of the points that no other one beats, from cheap to dear.

    One point beats another if it is no dearer and no less accurate, and one of
    the two strictly. A point without an accuracy is on no front.
    """
    order = sorted(
        (place for place in range(len(seconds)) if np.isfinite(accuracy[place])),
        key=lambda place: (seconds[place], -accuracy[place]),
    )
    front, best = [], -np.inf
    for place in order:
        same = front and (seconds[place], accuracy[place]) == (seconds[front[-1]], best)
        if accuracy[place] > best or same:
            front.append(place)
            best = accuracy[place]
    return front


def cost_accuracy(
    table: pd.DataFrame,
    panels: Sequence[Panel],
    seconds: Mapping[tuple[str, str, str], float],
    styles: Styles,
) -> Figure:
    """Draw accuracy against the seconds that condensation took, a panel per dataset and IPC.

    ``seconds`` is by (dataset, method, IPC), of one set.
    """
    rows: dict[str, list[Panel]] = {}
    for panel in panels:
        rows.setdefault(panel["where"]["dataset"], []).append(panel)
    titles = [
        [f"{dataset}, IPC {panel['where']['ipc']}" for panel in row]
        for dataset, row in rows.items()
    ]
    figure, axes = style.panels(titles, (3.8, 3.0), most=4)
    handles: dict = {}
    for number, row in enumerate(rows.values()):
        for place, panel in enumerate(row):
            ax = axes[number, place]
            part = data.select(table, panel["where"]).set_index("method")
            part = part.loc[[method for method in styles if method in part.index]]
            key = panel["where"]["dataset"], panel["where"]["ipc"]
            at = np.array([seconds[key[0], method, key[1]] for method in part.index])
            _front(ax, at, part["mean"].to_numpy(), handles)
            for x, (method, cell), bars in zip(
                at, part.iterrows(), data.spread(part).T, strict=True
            ):
                looks = style.line(styles[method]) | {"linestyle": "none", "markersize": 8}
                handles[styles[method]["title"]] = ax.errorbar(
                    *(x, cell["mean"]), yerr=bars[:, None], capsize=2.5, elinewidth=0.9, **looks
                )
                if reason := data.missing(cell):
                    foot = {"transform": ax.get_xaxis_transform(), "rotation": 90}
                    text = f"{styles[method]['title']}: {reason}"
                    ax.text(x, 0.03, text, ha="center", va="bottom", fontsize="x-small", **foot)
            ax.set_xscale("log")
            ax.margins(x=0.12)
            ax.set_xlabel("seconds of condensation")
            if style.is_first_of_line(place):
                ax.set_ylabel("test accuracy (%)")
    note = "no other method is both cheaper and better than those on the front; the training of "
    note += f"experts and of feature networks is not counted; error bars: {data.spread_name(table)}"
    style.heading(figure, "Accuracy against cost", note)
    names = [*(one["title"] for one in styles.values()), "Pareto front"]
    style.legend(figure, names, handles)
    return figure


def _front(ax: plt.Axes, at: np.ndarray, mean: np.ndarray, handles: dict) -> None:
    """A step line under the points that are beaten by none."""
    front = pareto_front(at, mean)
    (handles["Pareto front"],) = ax.step(
        *(at[front], mean[front]), where="post", color="0.4", linewidth=1.0, zorder=1
    )


def critical_difference(ranking: Mapping[str, Any], styles: Styles) -> Figure:
    """Draw average ranks; methods that do not differ significantly are joined by a bar.

    ``ranking`` has ``methods`` (name to average rank, 1 the best), ``blocks``,
    ``critical_difference`` (Nemenyi; Demsar, 2006) and ``alpha``; or a
    ``reason`` why there is none, which is shown instead.
    """
    style.theme()
    if "reason" in ranking:
        figure = plt.figure(figsize=(7.0, 1.6), layout="constrained")
        figure.text(0.5, 0.35, ranking["reason"], ha="center", va="center", wrap=True)
        style.heading(figure, "Ranks of the methods")
        return figure
    titles = {
        name: styles[name]["title"] if name in styles else name for name in ranking["methods"]
    }
    ranks = pd.Series({titles[name]: rank for name, rank in ranking["methods"].items()})
    gap = ranking["critical_difference"]
    apart = np.abs(ranks.to_numpy()[:, None] - ranks.to_numpy()[None]) > gap
    # of its matrix the diagram uses only which pairs differ
    differ = pd.DataFrame(np.where(apart, 0.0, 1.0), ranks.index, ranks.index)
    height = 1.6 + 0.22 * len(ranks)
    figure, ax = plt.subplots(figsize=(8.0, height), layout="constrained")
    scikit_posthocs.critical_difference_diagram(
        *(ranks, differ),
        cd=gap,
        alpha=ranking["alpha"],
        ax=ax,
        label_fmt_left="{label} ({rank:.2f})",
        label_fmt_right="({rank:.2f}) {label}",
        color_palette={
            titles[name]: styles[name]["color"] if name in styles else "black"
            for name in ranking["methods"]
        },
        label_props={"color": "black"},
        text_h_margin=0.1,
    )
    note = f"average rank over {ranking['blocks']} blocks, 1 the best; bars join methods less than "
    note += f"the critical difference of {gap:.2f} apart (Nemenyi, level {ranking['alpha']})"
    style.heading(figure, "Ranks of the methods", note)
    return figure
