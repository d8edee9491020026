"""The leaderboard: one static page that works from disk, without a network.

The table is HTML, so that it can be read without scripts; DataTables, whose
bundle comes with the package itables, sorts and pages it. What stands behind a
row is JSON in the page, and becomes text there, never markup.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from itables.utils import read_package_file

from condensation.leaderboard.ranks import CELL
from condensation.results.frames import COUNTS

_BESIDE = Path(__file__).parent
COLUMNS = ["rank", "ranked", "method", *CELL, "state", "mean", "low", "high", "std"]
COLUMNS += [*COUNTS, "seconds", "memory_mb"]


def csv(board: pd.DataFrame) -> str:
    """Return the rows of the page as CSV: ``ranks.rows`` with ``details.costs``."""
    whole = board.assign(rank=board["rank"].astype("Int64"))
    return whole[COLUMNS].to_csv(index=False, lineterminator="\n", float_format="%.4f")


def render(board: pd.DataFrame, behind: Mapping[str, Any]) -> str:
    """Return the page: ``ranks.rows`` with ``details.costs``, and ``details.gather``.

    The same input gives the same text.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_BESIDE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"seconds": _seconds, "base64": _base64}
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":")}
    values = {name: list(dict.fromkeys(board[name])) for name in CELL}
    return environment.get_template("page.html").render(
        rows=[_plain(row) for row in board[COLUMNS].to_dict("records")],
        values=values,
        varied=[name for name in CELL if len(values[name]) != 1],  # the others are no columns
        behind=behind,
        csv=csv(board),
        css=(_BESIDE / "page.css").read_text(encoding="utf-8"),
        js=(_BESIDE / "page.js").read_text(encoding="utf-8"),
        datatables_css=read_package_file("html", "dt_bundle.css"),
        datatables_js=read_package_file("html", "dt_bundle.js"),
    )


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Absent numbers as None."""
    return {name: None if value != value else value for name, value in row.items()}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _seconds(value: float) -> str:
    """A duration for reading."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= 1.5 * size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.1f} s" if value >= 1 else f"{value:.1g} s"
