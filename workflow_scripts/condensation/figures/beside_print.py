"""Every cell beside its printed number, with the interval of ours and the spread of print."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from condensation.figures import data, style
from condensation.results.frames import ipc_order

_ROW = 0.21  # inches
_OURS, _THEIRS = "#0173B2", "#D55E00"


def draw(cells: pd.DataFrame) -> Figure:
    """Draw a panel per dataset and IPC, a line per cell that has both numbers.

    ``cells`` is the frame of ``evidence.cells``.
    """
    both = cells[cells["difference"].notna()]
    order = ipc_order(both["ipc"])
    panels = sorted(
        both[["dataset", "ipc"]].drop_duplicates().itertuples(index=False, name=None),
        key=lambda panel: (panel[0], order.index(panel[1])),
    )
    parts = [both[(both["dataset"] == d) & (both["ipc"] == i)] for d, i in panels]
    titles = [f"{dataset}, IPC {ipc}" for dataset, ipc in panels] or ["no cell has both numbers"]
    height = 0.7 + _ROW * max(map(len, parts), default=1)
    figure, (axes,) = style.panels([titles], (5.6, height), [""], most=2, share=False)
    handles: dict[str, Any] = {}
    for ax, part in zip(axes, parts, strict=False):
        _panel(ax, part, handles)
    note = (
        "ours: 95 % interval, over sets where there are several, none for one network; "
        "printed: spread over networks, where it is given"
    )
    style.annotate(figure, "Beside the printed numbers", note, ["ours", "printed"], handles)
    return figure


def _panel(ax: Axes, part: pd.DataFrame, handles: dict[str, Any]) -> None:
    at = np.arange(len(part))
    ours, theirs = part["mean"].astype(float), part["printed"].astype(float)
    spread = part["printed_std"].astype(float).fillna(0)
    looks = {"linestyle": "none", "capsize": 2, "elinewidth": 1.2, "markeredgewidth": 1.2}
    handles["printed"] = ax.errorbar(
        *(theirs, at + 0.14),
        xerr=data.whiskers(theirs, theirs - spread, theirs + spread),
        **looks | {"marker": "D", "markersize": 5, "color": _THEIRS, "markerfacecolor": "white"},
    )
    low, high = (part[end].astype(float).fillna(ours) for end in ("low", "high"))
    handles["ours"] = ax.errorbar(
        *(ours, at - 0.14),
        xerr=data.whiskers(ours, low, high),
        **looks | {"marker": "o", "markersize": 5, "color": _OURS},
    )
    ax.set_yticks(at, [_name(row) for row in part.to_dict("records")], fontsize="small")
    ax.set_ylim(len(part) - 0.4, -0.6)  # the first on top
    start, end = ax.get_xlim()
    ax.set_xlim(max(start, 0), min(end, 100))
    ax.set_xlabel("test accuracy (%)")


def _name(row: dict[str, Any]) -> str:
    name = f"{row['method']}, {row['architecture']}, {row['augmentation']}"
    if pd.notna(row["iterations_of_paper"]) and row["iterations"] != row["iterations_of_paper"]:
        name += f" ({row['iterations']:,.0f} of {row['iterations_of_paper']:,.0f})"
    return name
