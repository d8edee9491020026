"""Styles of methods, panels, legends and output of all figures.

Methods differ in colour and, for grey prints and colour-blind readers, in
marker, line and hatch.
"""

import functools
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from condensation.core import progress
from condensation.core.storage import atomic

# seaborn's "colorblind" without yellow and light pink, which are too light on white
_COLORS = ["#0173B2", "#DE8F05", "#029E73", "#D55E00", "#CC78BC", "#8C613C", "#949494", "#56B4E9"]
# the lengths of these lists have no common factor, so many combinations differ
_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h"]
_HATCHES = ["", "////", "....", "\\\\\\\\", "xxxx", "----", "++++"]
_LINES = ["-", (0, (5, 1)), (0, (3, 1, 1, 1))]
INK = "0.15"

THEME = {
    "axes.titlesize": "medium",
    "figure.titlesize": "medium",
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,  # letters stay letters
    "svg.hashsalt": "condensation",
    "text.parse_math": False,  # a $ in a name is a dollar
}


_more_fonts: list[str] = []  # for letters that the default font lacks


def theme() -> None:
    """Set the style of axes and text."""
    rc = THEME | {"font.family": ["sans-serif", *_more_fonts]}
    sns.set_theme(style="whitegrid", context="notebook", font_scale=0.9, rc=rc)


def readable(names: Sequence[str], instead: Sequence[str] | None = None) -> list[str]:
    """Return ``names`` in a form that figures can show; call it before drawing.

    Finds installed fonts for letters that the default font lacks; later figures use them too. If
    no font has a letter, the counterpart in ``instead`` replaces the name, or a code replaces the
    letter, with a message on the terminal.
    """
    theme()
    usual = font_manager.findfont(font_manager.FontProperties(family=["sans-serif"]))
    lacking = set("".join(names)) - _letters(usual, 0)
    lacking = {letter for letter in lacking if unicodedata.category(letter) not in ("Cc", "Cf")}
    for font in sorted(font_manager.fontManager.ttflist, key=_preference) if lacking else ():
        if lacking & _letters(font.fname, font.index):
            if font.name not in _more_fonts:
                _more_fonts.append(font.name)
            lacking -= _letters(font.fname, font.index)
    theme()
    if replaced := [name for name in names if lacking & set(name)]:
        progress.say(
            f"no installed font has the letters {' '.join(sorted(lacking))} of "
            f"{', '.join(replaced)}: figures show numbers or codes instead; install a font that "
            "has them (Noto Sans CJK for Chinese, Japanese and Korean)"
        )
    codes = {ord(letter): letter.encode("ascii", "backslashreplace").decode() for letter in lacking}
    others = [name.translate(codes) for name in names] if instead is None else instead
    return [
        other if lacking & set(name) else name for name, other in zip(names, others, strict=True)
    ]


def _preference(font: font_manager.FontEntry) -> tuple:
    """Sort upright, regular and sans-serif fonts first, then by name, for reproducible figures."""
    plain = font.style == "normal", font.weight in (400, "normal", "regular")
    return (*(not good for good in plain), "sans" not in font.name.lower(), font.name, font.fname)


@functools.lru_cache(maxsize=256)
def _letters(path: str, index: int) -> frozenset[str]:
    if "LastResort" in path:  # matplotlib's fallback has a box for any letter
        return frozenset()
    try:
        return frozenset(map(chr, FT2Font(path, face_index=index).get_charmap()))
    except (OSError, RuntimeError):  # unreadable
        return frozenset()


def method_styles(methods: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return colour, marker, line and hatch per method, the same in all figures.

    ``methods`` (``figure_plan.methods``) are in the config's order. Methods with
    the name of their algorithm get the first colours. The position decides, so a
    method looks the same in all figures. The whole dataset is black.
    """
    palette = sns.color_palette(_COLORS)
    # methods named as their algorithm, the others, and last the whole dataset
    order = sorted(methods, key=lambda name: (methods[name] == "whole", methods[name] != name))
    styles = {}
    for name, algorithm in methods.items():
        reference, place = algorithm == "whole", order.index(name)
        styles[name] = {
            "color": (0.0, 0.0, 0.0) if reference else palette[place % len(palette)],
            "marker": _MARKERS[place % len(_MARKERS)],
            "linestyle": (0, (6, 3)) if reference else _LINES[place % len(_LINES)],
            "hatch": _HATCHES[place % len(_HATCHES)],
        }
    return styles


def line(style: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a line with markers."""
    looks = {key: style[key] for key in ("color", "marker", "linestyle")}
    return looks | {"markersize": 6.5, "markeredgecolor": INK, "markeredgewidth": 0.6}


def bar(style: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a bar."""
    looks = {key: style[key] for key in ("color", "hatch")}
    return looks | {"edgecolor": INK, "linewidth": 0.6, "ecolor": "black"}


def panels(
    rows: Sequence[Sequence[str]],
    size: tuple[float, float],
    ylabels: Sequence[str],
    most: int = 4,
    share: bool = True,
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure and its axes, for ``rows`` of panel titles.

    Parameters
    ----------
    rows : a row of more than ``most`` panels is broken into lines of equal length.
    size : of a panel, width and height in inches.
    ylabels : per row, at the left edge of its lines.
    share : whether a row has one y axis.
    """
    theme()
    longest = max(map(len, rows))
    columns = -(-longest // -(-longest // most))
    lines = sum(-(-len(row) // columns) for row in rows)
    width = max(0.6 + size[0] * columns, 5.5)
    figure = plt.figure(figsize=(width, 1.0 + size[1] * lines), layout="constrained")
    grid = figure.add_gridspec(lines, columns)
    axes: list[list[Axes]] = []
    line = 0
    for row, ylabel in zip(rows, ylabels, strict=True):
        row_axes: list[Axes] = []
        for place, title in enumerate(row):
            at = grid[line + place // columns, place % columns]
            ax = figure.add_subplot(at, sharey=row_axes[0] if share and row_axes else None)
            ax.set_title(title)
            if place % columns == 0:
                ax.set_ylabel(ylabel)
            row_axes.append(ax)
        axes.append(row_axes)
        line += -(-len(row) // columns)
    return figure, axes


def annotate(
    figure: Figure, title: str, note: str, names: Iterable[str], handles: Mapping[str, Any]
) -> None:
    """Add a title above, and below the panels a legend with a note on how to read the figure.

    The legend has the ``names`` that have handles, in that order.
    """
    wide = int(figure.get_figwidth() * 12)
    figure.suptitle("\n".join(textwrap.wrap(title, wide)), fontsize="medium")
    shown = [name for name in dict.fromkeys(names) if name in handles]
    letters = max(map(len, shown), default=0) + 8
    most = max(1, min(len(shown), wide // letters))
    columns = -(-len(shown) // -(-len(shown) // most)) if shown else 1  # lines of equal length
    drawn = figure.legend(
        *([handles[name] for name in shown], shown),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=2.6,
        title="\n".join(textwrap.wrap(note, int(wide * 1.1))),
        title_fontsize="small",
    )
    drawn.get_title().set_multialignment("center")


def save(figure: Figure, *paths: str | Path) -> None:
    """Write ``figure`` to each of ``paths``, PNG or PDF, with reproducible bytes."""
    for path in map(Path, paths):
        form = path.suffix[1:]
        no_dates = {"pdf": {"CreationDate": None, "Producer": None, "Creator": None}}
        metadata = no_dates.get(form, {"Software": None})
        with atomic(path) as temporary:
            figure.savefig(temporary, format=form, dpi=150, metadata=metadata)
    plt.close(figure)
