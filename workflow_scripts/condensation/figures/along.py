"""Accuracy against the iterations of a method, the printed number, and the fitted end."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from condensation.figures import data, style
from condensation.figures.accuracy import within_percent
from condensation.paper.curves import CELL
from condensation.results.frames import ipc_order

_PANEL = ["dataset", "ipc", "architecture", "augmentation", "optimizer"]


def draw(
    points: pd.DataFrame, ends: pd.DataFrame, styles: Mapping[str, Mapping[str, Any]]
) -> Figure:
    """Draw a panel per way of judging and IPC, a line per method.

    ``points`` and ``ends`` are those of ``curves``. The printed number is a line
    across; where a curve is heading is a bar at the paper's iterations.
    """
    order = ipc_order(points["ipc"])
    panels = sorted(
        points[_PANEL].drop_duplicates().itertuples(index=False, name=None),
        key=lambda panel: (panel[0], order.index(panel[1]), *panel[2:]),
    )
    titles = [f"{d}, IPC {ipc}\n{', '.join(way)}" for d, ipc, *way in panels]
    titles = titles or ["no cell was judged along its iterations"]
    figure, (axes,) = style.panels([titles], (4.6, 3.4), ["test accuracy (%)"], 2, share=False)
    handles: dict[str, Any] = {}
    end_of = ends.set_index(CELL)
    for ax, panel in zip(axes, panels, strict=False):
        here = points[(points[_PANEL] == list(panel)).all(axis=1)]
        for method in [name for name in styles if name in set(here["method"])]:
            rows = here[here["method"] == method]
            key = (panel[0], method, *panel[1:])
            handles[method] = _curve(ax, rows, end_of.loc[key], styles[method])
        first = _first(here["iteration"])
        ax.set_xscale("symlog", linthresh=first)
        ax.set_xlim(-first / 4, ax.get_xlim()[1])
        ax.set_xticks(_ticks(first, ax.get_xlim()[1]))
        ax.minorticks_off()
        ax.set_xlabel("condensation iteration")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    within_percent(axes)
    note = (
        "error bars: 95 % interval of the mean; dashed: the printed number of the method; "
        "open: where the fitted curve is heading at the paper's iterations, and its 95 % interval"
    )
    style.annotate(figure, "Accuracy along the iterations", note, [*styles], handles)
    return figure


def _first(iterations: pd.Series) -> float:
    after = iterations[iterations > 0]
    return float(after.min()) if len(after) else 1.0


def _ticks(first: float, last: float) -> list[float]:
    """Return the start, and from the first iteration on each about three times the one before."""
    after = [first * factor * 10.0**power for power in range(7) for factor in (1, 3)]
    return [0.0, *(at for at in after if at <= last)]


def _curve(ax: Axes, rows: pd.DataFrame, end: pd.Series, looks: Mapping[str, Any]) -> Line2D:
    """Draw a method's curve, its printed number and its heading; return the line of the curve."""
    lines = style.line(looks)
    drawn = ax.errorbar(
        *(rows["iteration"], rows["mean"]),
        yerr=data.spread(rows),
        capsize=2.5,
        elinewidth=0.9,
        **lines,
    )
    if end["printed"]:
        ax.axhline(float(end["printed"]), color=looks["color"], linestyle="--", linewidth=1)
    if np.isfinite(end["heading"]):
        heading = end[["heading", "heading_low", "heading_high"]].to_frame().T.astype(float)
        bars = data.whiskers(heading["heading"], heading["heading_low"], heading["heading_high"])
        ax.errorbar(
            *([end["iterations_of_paper"]], [end["heading"]]),
            yerr=bars,
            capsize=4,
            **lines | {"linestyle": "none", "markerfacecolor": "white"},
        )
    return drawn.lines[0]
