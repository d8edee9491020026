"""What all figures share: a method's looks, panels, legends, and how a figure is written.

A method is told by colour and, for grey prints and colour-blind readers, by
marker, line and hatch as well.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from condensation.storage import atomic

# 10 colours, 11 markers, 7 hatches and 3 lines: no two of 110 methods look alike
_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h"]
_HATCHES = ["", "////", "....", "\\\\\\\\", "xxxx", "----", "++++"]
_LINES = ["-", (0, (5, 1)), (0, (3, 1, 1, 1))]
_INK = "0.15"

THEME = {
    "axes.titlesize": "medium",
    "figure.titlesize": "medium",
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,  # letters stay letters
    "svg.hashsalt": "condensation",
}


def theme() -> None:
    """Set the looks of axes and text."""
    sns.set_theme(style="whitegrid", context="notebook", font_scale=0.9, rc=THEME)


def method_styles(methods: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """Return colour, marker, line, hatch and title per method: the same in every figure.

    ``methods`` (``plan.methods``) in the config's order; the place decides, so a
    method looks the same whatever else is drawn. The whole dataset is black.
    """
    palette = sns.color_palette("colorblind")
    styles = {}
    for place, (name, about) in enumerate(methods.items()):
        reference = about["algorithm"] == "whole"
        styles[name] = {
            "color": (0.0, 0.0, 0.0) if reference else palette[place % len(palette)],
            "marker": _MARKERS[place % len(_MARKERS)],
            "linestyle": (0, (6, 3)) if reference else _LINES[place % len(_LINES)],
            "hatch": _HATCHES[place % len(_HATCHES)],
            "title": about["title"],
        }
    return styles


def line(style: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a line with markers."""
    looks = {key: style[key] for key in ("color", "marker", "linestyle")}
    return looks | {"markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.6}


def bar(style: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a bar."""
    looks = {key: style[key] for key in ("color", "hatch")}
    return looks | {"edgecolor": _INK, "linewidth": 0.6, "ecolor": "black"}


def panels(
    rows: Sequence[Sequence[str]], size: tuple[float, float], most: int = 4
) -> tuple[Figure, dict[tuple[int, int], Axes]]:
    """Return a figure and its axes by (row, place) of ``rows``, each row from the left.

    A row of more than ``most`` panels goes on below. The axes of a row share
    their y axis.
    """
    theme()
    lines = [
        (number, row, range(first, min(first + most, len(row))))
        for number, row in enumerate(rows)
        for first in range(0, len(row), most)
    ]
    columns = max(len(places) for _, _, places in lines)
    width = 0.8 + size[0] * columns
    figure = plt.figure(figsize=(max(width, 5.5), 0.9 + size[1] * len(lines)), layout="constrained")
    grid = figure.add_gridspec(len(lines), columns)
    axes: dict[tuple[int, int], Axes] = {}
    for at, (number, row, places) in enumerate(lines):
        for column, place in enumerate(places):
            ax = figure.add_subplot(grid[at, column], sharey=axes.get((number, 0)))
            ax.set_title(row[place])
            axes[number, place] = ax
    return figure, axes


def is_first_of_line(place: int, most: int = 4) -> bool:
    """Return whether a panel stands at the left edge."""
    return place % most == 0


def legend(figure: Figure, names: Iterable[str], handles: Mapping[str, Any]) -> None:
    """Put one legend below the panels, in the order of ``names``, for those drawn."""
    shown = [name for name in dict.fromkeys(names) if name in handles]
    if not shown:
        return
    letters = max(map(len, shown)) + 7
    columns = max(1, min(len(shown), int(figure.get_figwidth() * 11 / letters)))
    figure.legend(
        *([handles[name] for name in shown], shown),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=2.6,
    )


def heading(figure: Figure, title: str, note: str = "") -> None:
    """Put a title, and below it in small letters what must be known to read the figure."""
    width = int(figure.get_figwidth() * 13)
    note = "\n".join(textwrap.wrap(note, width))
    title = "\n".join(textwrap.wrap(title, int(figure.get_figwidth() * 10)))
    text = f"{title}\n{note}" if note else title
    figure.suptitle(text, fontsize="small", linespacing=1.4)


def save(figure: Figure, *paths: str | Path) -> None:
    """Write ``figure`` to each of ``paths``, PNG or PDF by their ending; same figure, same bytes.

    Written under a temporary name and renamed.
    """
    for path in map(Path, paths):
        form = path.suffix[1:]
        unknown = {"pdf": {"CreationDate": None, "Producer": None, "Creator": None}}
        metadata = unknown.get(form, {"Software": None})
        with atomic(path) as temporary:
            figure.savefig(temporary, format=form, dpi=150, metadata=metadata)
    plt.close(figure)
