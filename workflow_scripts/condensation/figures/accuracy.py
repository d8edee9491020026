"""Figures 1 to 6: accuracy by augmentation, IPC, architecture and iteration."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from condensation.config.experiments import OWN
from condensation.figures import data, style
from condensation.results.frames import FINAL
from condensation.workflow.figure_plan import Panel
from condensation.workflow.grid import WHOLE

Styles = Mapping[str, Mapping[str, Any]]
_NOT_IN_TITLE = ("experiment", "dataset", "ipc")


def draw(table: pd.DataFrame, plan: Mapping[str, Any], styles: Styles) -> Figure:
    """Draw one of the figures of ``plan.accuracy_figures``."""
    kinds = {"bars": bars, "lines": lines, "curves": curves}
    return kinds[plan["draw"]](table, plan["panels"], plan["across"], styles)


def bars(table: pd.DataFrame, panels: Sequence[Panel], across: str, styles: Styles) -> Figure:
    """Draw a group of bars per value of ``across``, a bar per method, a panel per dataset and IPC.

    The place of a method without a cell stays empty; a failed method has its
    reason there.
    """
    parts = [data.select(table, panel["where"]) for panel in panels]
    present = {method for part in parts for method in part["method"]}
    shown = [method for method in styles if method in present]
    groups = max(len(panel["values"]) for panel in panels)
    width = min(max(2.8, 0.6 + 0.095 * (len(shown) + 1.5) * groups), 9.0)
    most = max(1, min(3, int(16 / width)))
    figure, axes = panels_of(panels, (width, 2.7), most=most)
    width = figure.get_figwidth() / min(most, len(panels))  # a single panel is wider than asked for
    handles: dict = {}
    for (ax, panel), part in zip(axes, parts, strict=True):
        cells = part.set_index([across, "method"])
        step = 1 / (len(shown) + 1.5)
        for number, method in enumerate(shown):
            rows = cells.reindex([(value, method) for value in panel["values"]])
            at = np.arange(len(rows)) + (number - (len(shown) - 1) / 2) * step
            looks = style.bar(styles[method]) | {"error_kw": {"linewidth": 0.9}}
            drawn = ax.bar(
                *(at, rows["mean"], step),
                yerr=data.spread(rows),
                capsize=min(2.5, 12 * step),
                label=method,
                **looks,
            )
            handles[method] = drawn
            for x, (_, row) in zip(at, rows.iterrows(), strict=True):
                why_missing(ax, x, row)
        ax.set_xticks(np.arange(len(panel["values"])), _broken(panel["values"], width))
        ax.set_xlim(-0.55, len(panel["values"]) - 0.45)
        ax.grid(axis="x", visible=False)
    title = f"Accuracy by {across}" + common(panels)
    note = f"error bars: {data.spread_name(table)}"
    if start_where_bars_differ([ax for ax, _ in axes]):
        note += "; bars do not start at 0"
    style.annotate(figure, title, note, shown, handles)
    return figure


def lines(table: pd.DataFrame, panels: Sequence[Panel], across: str, styles: Styles) -> Figure:
    """Draw accuracy against IPC, a panel per dataset, with the whole dataset as a dashed line."""
    figure, axes = panels_of(panels, (5.0, 3.7), most=3)
    handles: dict = {}
    for ax, panel in axes:
        part = data.select(table, panel["where"])
        part = part[part["ipc"] != WHOLE]
        methods = [method for method in styles if method in set(part["method"])]
        ipcs = [int(value) for value in panel["values"]]
        closest = min(np.diff(np.log(ipcs)), default=1.0)
        for number, method in enumerate(methods):
            rows = part[part["method"] == method]
            rows = rows.assign(at=rows["ipc"].astype(int)).sort_values("at")
            # shift methods, so that their error bars do not cover each other
            aside = np.exp(0.3 * min(closest, 0.4) * (number / max(len(methods) - 1, 1) - 0.5))
            _line(ax, rows["at"] * aside, rows, method, styles, handles)
        for _, row in data.whole(table, panel["where"]).iterrows():
            _reference(ax, row, styles[row["method"]], handles)
        ax.set_xscale("log")
        ax.set_xlabel("images per class")
        ax.minorticks_off()
        ax.set_xticks(ipcs, _spaced(ipcs))
        ax.set_xlim(ipcs[0] / 1.35, ipcs[-1] * 1.35)
    within_percent(ax for ax, _ in axes)
    note = f"error bars: {data.spread_name(table)}"
    title = f"Accuracy against images per class{common(panels)}"
    style.annotate(figure, title, note, styles, handles)
    return figure


def curves(table: pd.DataFrame, panels: Sequence[Panel], across: str, styles: Styles) -> Figure:
    """Draw accuracy against condensation iteration, a line per method, a panel per IPC.

    Finished sets have their method's number of iterations.
    """
    figure, axes = panels_of(panels, (4.0, 2.9), most=3)
    handles: dict = {}
    for ax, panel in axes:
        part = data.select(table, panel["where"], final=False)
        for method in panel["methods"]:
            rows = part[part["method"] == method]
            at = rows["iteration"].where(rows["iteration"] != FINAL, panel["ends"][method])
            rows = rows.assign(at=at.astype(int)).sort_values("at")
            # a snapshot of the last iteration equals the finished set
            rows = rows.drop_duplicates("at", keep="last")
            _line(ax, rows["at"], rows, method, styles, handles)
        ax.set_xlabel("condensation iteration")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    within_percent(ax for ax, _ in axes)
    note = f"error bars: {data.spread_name(table)}"
    title = f"Accuracy along the condensation{common(panels)}"
    style.annotate(figure, title, note, styles, handles)
    return figure


def panels_of(
    panels: Sequence[Panel], size: tuple[float, float], most: int
) -> tuple[Figure, list[tuple[Axes, Panel]]]:
    """Return a figure, and each panel with its axes: a row per dataset (and algorithm).

    Datasets with a single panel each share rows.
    """
    rows: dict[tuple, list[Panel]] = {}
    for panel in panels:
        rows.setdefault((panel.get("algorithm"), panel["where"]["dataset"]), []).append(panel)
    single = len(rows) == len(panels)
    groups = [list(panels)] if single else list(rows.values())
    titles = [[_title(panel, panels) for panel in row] for row in groups]
    labels = ["test accuracy (%)"] * len(groups)
    figure, axes = style.panels(titles, size, labels, most, share=not single)
    return figure, list(zip(chain(*axes), chain(*groups), strict=True))


def within_percent(axes: Iterable[Axes]) -> None:
    """Clip the y axes to 0 and 100.

    Call it after all drawing: axes with set limits ignore what is drawn later.
    """
    for ax in axes:
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, 0), min(high, 100))


def start_where_bars_differ(axes: Sequence[Axes]) -> bool:
    """Start the y axes of bars below the lowest bar or interval; return whether any is above 0.

    An axis starts at 0 if the differences are visible anyway, that is, more than
    half of the highest bar. Call it after all drawing.
    """
    for ax in axes:
        sharing = ax.get_shared_y_axes().get_siblings(ax)
        ends = np.concatenate([_heights(neighbour) for neighbour in sharing])
        if not len(ends):
            continue
        differ = ends.max() - ends.min()
        start = max(0.0, ends.min() - 0.3 * differ) if differ < 0.5 * ends.max() else 0.0
        above = 0.05 * (ends.max() - start or 1.0)
        ax.set_ylim(start if differ else 0.0, min(100.0, ends.max() + above))
    return any(ax.get_ylim()[0] > 0 for ax in axes)


def _heights(ax: Axes) -> np.ndarray:
    """Return the ends of the bars and error bars of an axis."""
    tops = [bar.get_height() for bar in ax.patches]
    ends = [line[:, 1] for drawn in ax.collections for line in drawn.get_segments() if len(line)]
    heights = np.concatenate([np.array(tops, float), *ends])
    return heights[np.isfinite(heights)]


def _title(panel: Panel, panels: Sequence[Panel]) -> str:
    where = panel["where"]
    title = where["dataset"] + (f", IPC {where['ipc']}" if "ipc" in where else "")
    if "algorithm" in panel:
        title = f"{panel['algorithm']} on {title}"
    return title if common(panels) else f"{title}\n{_way(panel)}"


def common(panels: Sequence[Panel]) -> str:
    """Return the title's part for how the sets of all panels are evaluated (``grid.WAY``)."""
    ways = {_way(panel) for panel in panels}
    return f": {ways.pop()}" if len(ways) == 1 else ""


def _way(panel: Panel) -> str:
    kept = {key: value for key, value in panel["where"].items() if key not in _NOT_IN_TITLE}
    return ", ".join(value for value in kept.values() if value != OWN)


def _line(
    ax: Axes, at: pd.Series, rows: pd.DataFrame, method: str, styles: Styles, handles: dict
) -> None:
    drawn = ax.errorbar(
        *(at, rows["mean"]),
        yerr=data.spread(rows),
        capsize=2.5,
        elinewidth=0.9,
        label=method,
        **style.line(styles[method]),
    )
    handles[method] = drawn.lines[0]
    for x, (_, row) in zip(at, rows.iterrows(), strict=True):
        why_missing(ax, x, row, f"{method}: ")


def why_missing(ax: Axes, x: float, row: pd.Series, who: str = "") -> None:
    """Write at the foot of the panel why a row has no accuracy, if it has none."""
    if reason := data.missing_reason(row):
        looks = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": "x-small"}
        ax.text(x, 0.02, who + reason, transform=ax.get_xaxis_transform(), **looks)


def _reference(ax: Axes, row: pd.Series, looks: Mapping[str, Any], handles: dict) -> None:
    kept = {key: looks[key] for key in ("color", "linestyle")}
    handles[row["method"]] = ax.axhline(row["mean"], label=row["method"], **kept)
    below, above = data.spread(row.to_frame().T.infer_objects())[:, 0]
    if np.isfinite(below + above):
        ax.axhspan(row["mean"] - below, row["mean"] + above, color=looks["color"], alpha=0.12, lw=0)


def _spaced(ipcs: Sequence[int]) -> list[str]:
    """Return the labels of a log axis, without those that would touch the next."""
    apart = 0.07 * np.log(ipcs[-1] / ipcs[0])
    labels: list[str] = []
    last = np.inf
    for ipc in reversed(ipcs):
        free = last - np.log(ipc) > apart
        labels.append(str(ipc) if free else "")
        last = np.log(ipc) if free else last
    return labels[::-1]


def _broken(names: Sequence[str], width: float) -> list[str]:
    """Break names below the groups of a panel ``width`` inches wide."""
    letters = int(11 * width / len(names))
    return [
        "\n".join(textwrap.wrap(name.replace("_", "_ "), letters, break_long_words=False)).replace(
            "_ ", "_"
        )
        for name in names
    ]
