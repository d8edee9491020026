"""The leaderboard: one static page that works from disk, without a network.

The table is HTML and readable without scripts. DataTables, bundled with the
package itables, sorts and pages it. The details of rows are JSON in the page,
which the script inserts as text, never as markup.
"""

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from itables.utils import read_package_file

from condensation.leaderboard import ranks
from condensation.leaderboard.ranks import CELL
from condensation.results import budgets, gains
from condensation.results.frames import COUNTS

_FOLDER = Path(__file__).parent
COLUMNS = ["rank", "ranked", "method", *CELL, "state", "mean", "low", "high", "std"]
COLUMNS += gains.COLUMNS
COLUMNS += [*COUNTS, "seconds", "memory_mb", *budgets.COLUMNS]


def csv(board: pd.DataFrame) -> str:
    """Return the rows of the page, ``board`` of ``render``, as CSV."""
    board = board.assign(rank=board["rank"].astype("Int64"))
    return board[COLUMNS].to_csv(index=False, lineterminator="\n", float_format="%.4f")


def render(board: pd.DataFrame, details: Mapping[str, Any]) -> str:
    """Return the page; the same input gives the same text.

    ``board`` joins ``ranks.rows``, ``details.costs``, ``details.budgets_of`` and
    ``gains.of_cells``; ``details`` are those of ``details.row_details``.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"seconds": _seconds, "bytes": _bytes, "base64": _base64}
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":")}
    lows, highs = (board[name].fillna(board["mean"]) for name in ("low", "high"))
    values = {name: list(dict.fromkeys(board[name])) for name in CELL}
    return environment.get_template("page.html").render(
        rows=[_plain(row) for row in board[COLUMNS].to_dict("records")],
        values=values,
        varied=[name for name in CELL if len(values[name]) != 1],  # the others have no column
        # of all rows; the script narrows it to those shown
        scale=_scale(lows.min(), highs.max()),
        details={**details, "opening": ranks.opening(board)},
        csv=csv(board),
        css=(_FOLDER / "page.css").read_text(encoding="utf-8"),
        js=(_FOLDER / "page.js").read_text(encoding="utf-8"),
        datatables_css=read_package_file("html", "dt_bundle.css"),
        datatables_js=read_package_file("html", "dt_bundle.js"),
    )


def _scale(low: float, high: float) -> tuple[int, int]:
    """Return whole percents around an interval; 0 and 100 without one."""
    if low != low or high != high:
        return 0, 100
    first = math.floor(max(low, 0))
    return first, max(first + 1, math.ceil(min(high, 100)))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with None for absent numbers."""
    return {name: None if value != value else value for name, value in row.items()}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _bytes(value: float) -> str:
    """Return a size as text; prefixes are powers of ten."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} B"


def _seconds(value: float) -> str:
    """Return a duration as text."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= 1.5 * size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.1f} s" if value >= 1 else f"{value:.1g} s"
