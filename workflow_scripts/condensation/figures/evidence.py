"""Figures of the evidence: cells beside printed numbers, and accuracy along the iterations."""

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
_ROW = 0.21  # inches
_OURS, _PRINTED = "#0173B2", "#D55E00"


def _panels(table: pd.DataFrame, by: list[str]) -> list[tuple]:
    """Return the values of the columns ``by`` (dataset and IPC first), in the order of panels."""
    order = ipc_order(table["ipc"])
    keys = table[by].drop_duplicates().itertuples(index=False, name=None)
    return sorted(keys, key=lambda key: (key[0], order.index(key[1]), *key[2:]))


def beside_print(cells: pd.DataFrame) -> Figure:
    """Draw our and the printed number of each cell with both, a panel per dataset and IPC.

    ``cells`` is the frame of ``evidence.cells_beside_print``.
    """
    both = cells[cells["difference"].notna()]
    panels = _panels(both, ["dataset", "ipc"])
    parts = [both[(both["dataset"] == d) & (both["ipc"] == i)] for d, i in panels]
    titles = [f"{dataset}, IPC {ipc}" for dataset, ipc in panels] or ["no cell has both numbers"]
    height = 0.7 + _ROW * max(map(len, parts), default=1)
    figure, (axes,) = style.panels([titles], (5.6, height), [""], most=2, share=False)
    handles: dict[str, Any] = {}
    for ax, part in zip(axes, parts, strict=False):
        _draw_cells(ax, part, handles)
    note = (
        "ours: 95 % interval, over sets where there are several, none for a single network; "
        "printed: spread over networks, if printed"
    )
    style.annotate(figure, "Beside the printed numbers", note, ["ours", "printed"], handles)
    return figure


def _draw_cells(ax: Axes, part: pd.DataFrame, handles: dict[str, Any]) -> None:
    at = np.arange(len(part))
    ours, printed = part["mean"].astype(float), part["printed"].astype(float)
    spread = part["printed_std"].astype(float).fillna(0)
    looks = {"linestyle": "none", "capsize": 2, "elinewidth": 1.2, "markeredgewidth": 1.2}
    handles["printed"] = ax.errorbar(
        *(printed, at + 0.14),
        xerr=data.whiskers(printed, printed - spread, printed + spread),
        **looks | {"marker": "D", "markersize": 5, "color": _PRINTED, "markerfacecolor": "white"},
    )
    low, high = (part[end].astype(float).fillna(ours) for end in ("low", "high"))
    handles["ours"] = ax.errorbar(
        *(ours, at - 0.14),
        xerr=data.whiskers(ours, low, high),
        **looks | {"marker": "o", "markersize": 5, "color": _OURS},
    )
    ax.set_yticks(at, [_label(row) for row in part.to_dict("records")], fontsize="small")
    ax.set_ylim(len(part) - 0.4, -0.6)  # the first on top
    start, end = ax.get_xlim()
    ax.set_xlim(max(start, 0), min(end, 100))
    ax.set_xlabel("test accuracy (%)")


def _label(row: dict[str, Any]) -> str:
    name = f"{row['method']}, {row['architecture']}, {row['augmentation']}"
    if pd.notna(row["iterations_of_paper"]) and row["iterations"] != row["iterations_of_paper"]:
        name += f" ({row['iterations']:,.0f} of {row['iterations_of_paper']:,.0f})"
    return name


def curves(points: pd.DataFrame, ends: pd.DataFrame, methods: Mapping[str, str]) -> Figure:
    """Draw accuracy along the iterations, a line per method.

    ``methods`` (``figure_plan.methods``) has the algorithm of each. Those with a
    curve are styled among themselves, as a printed line has only its colour.

    There is a panel per dataset, IPC, architecture, augmentation and optimizer.
    ``points`` and ``ends`` are the frames of ``paper.curves``. A horizontal line
    shows the printed number; an error bar at the paper's iterations shows the
    extrapolation of a curve.
    """
    drawn = set(points["method"])
    styles = style.method_styles({name: of for name, of in methods.items() if name in drawn})
    panels = _panels(points, _PANEL)
    titles = [f"{d}, IPC {ipc}\n{', '.join(way)}" for d, ipc, *way in panels]
    titles = titles or ["no cell has networks along its iterations"]
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
        "error bars: 95 % interval of the mean; dashed: printed number of the method; "
        "open: fitted curve extrapolated to the paper's iterations, with its 95 % interval"
    )
    style.annotate(figure, "Accuracy along the iterations", note, [*styles], handles)
    return figure


def _first(iterations: pd.Series) -> float:
    after = iterations[iterations > 0]
    return float(after.min()) if len(after) else 1.0


def _ticks(first: float, last: float) -> list[float]:
    """Return 0, and ticks from ``first`` to ``last`` in steps of about a factor of three."""
    after = [first * factor * 10.0**power for power in range(7) for factor in (1, 3)]
    return [0.0, *(at for at in after if at <= last)]


def _curve(ax: Axes, rows: pd.DataFrame, end: pd.Series, looks: Mapping[str, Any]) -> Line2D:
    """Draw a method's curve, its printed number and its extrapolation; return the curve's line."""
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
