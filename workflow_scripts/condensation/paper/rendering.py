"""A table for reading: Markdown, and LaTeX with booktabs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from condensation.results import frames
from condensation.workflow.grid import WHOLE


@dataclass(frozen=True)
class Table:
    """One table: ``rows`` and ``columns`` are the columns of ``entries`` that lay it out."""

    number: int
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    entries: pd.DataFrame
    notes: tuple[str, ...] = ()


MARKS = {"within": "=", "outside": "≠", "other protocol": "~", "no interval": "?", "": ""}
_LONG = 45  # rows of a LaTeX table that still fits on a page


def wide(table: Table, text: Callable[[dict[str, Any]], str], empty: str = "-") -> pd.DataFrame:
    """Return the table as it is laid out, each entry as ``text`` writes it."""
    shown = table.entries.assign(
        text=[text(entry) for entry in table.entries.to_dict("records")],
        ipc=[_ipc(ipc) for ipc in table.entries["ipc"]],
    )
    rows, columns = list(table.rows), list(table.columns)
    laid = shown.pivot(index=rows, columns=columns, values="text")
    orders = {"ipc": [_ipc(ipc) for ipc in frames.ipc_order(table.entries["ipc"])]}

    def ordered(names: list[str]) -> pd.MultiIndex:
        """The combinations that exist, each name in the order of its first entry."""
        found = shown[names].drop_duplicates()
        ranks = {
            name: {
                value: i
                for i, value in enumerate(orders.get(name, list(dict.fromkeys(shown[name]))))
            }
            for name in names
        }
        keys = found.apply(lambda column: column.map(ranks[column.name]))
        return pd.MultiIndex.from_frame(found.loc[keys.sort_values(names).index])

    index, header = ordered(rows), ordered(columns)
    if len(rows) == 1:
        index = index.get_level_values(0)
    if len(columns) == 1:
        header = header.get_level_values(0)
    return laid.reindex(index=index, columns=header).fillna(empty)


def _ipc(ipc: str) -> str:
    return "whole set" if ipc == WHOLE else ipc


def number(entry: dict[str, Any], plus_minus: str = "±") -> str:
    """Return ours as text: mean and population std; why there is none; how many failed."""
    if entry["status"] == "missing":
        return "missing" if entry["missing"] else "-"
    if entry["status"] != "ok":
        return {"oom": "OOM"}.get(entry["status"], entry["status"])
    digits = _digits(entry["mean"])
    text = f"{entry['mean']:.{digits}f}"
    if entry["std"] == entry["std"]:
        text += f" {plus_minus} {entry['std']:.{digits}f}"
    failed = [f"{entry[name]} {name.replace('oom', 'OOM')}" for name in frames.LOST if entry[name]]
    return f"{text} ({', '.join(failed)})" if failed else text


def _digits(value: float) -> int:
    return 0 if abs(value) >= 500 else 2 if abs(value) >= 1 else 4


def beside(entry: dict[str, Any]) -> str:
    """Return ours, and in brackets the printed number, the difference and the verdict's mark."""
    if not entry["printed"]:
        return ""
    ours = number(entry | {"std": float("nan")})
    printed = entry["printed"] + ("†" if entry["implied"] else "")
    if entry["difference"] != entry["difference"]:
        return f"{ours} ({printed})"
    gap = round(entry["difference"], 2) + 0.0  # no -0.00
    return f"{ours} ({printed}, {gap:+.2f}) {MARKS[entry['verdict']]}"


def markdown(table: Table) -> str:
    """Return the table for reading; below it, where there are any, the printed numbers."""
    parts = [f"# Table {table.number}: {table.title}"]
    parts += [note for note in table.notes if note]
    if table.entries.empty:
        return "\n\n".join([parts[0], "This config holds no cell of this table."]) + "\n"
    if table.entries["std"].notna().any():
        parts.append(
            "Test accuracy in percent, mean ± population standard deviation over networks; the CSV "
            "has 95 % intervals. `-`: not in this config."
        )
    parts.append(_flat(wide(table, number)))
    known = table.entries[table.entries["printed"] != ""]
    if len(known):
        counts = known["verdict"].value_counts()
        legend = ", ".join(
            f"{mark} {verdict} ({counts.get(verdict, 0)})"
            for verdict, mark in MARKS.items()
            if mark
        )
        parts += [
            "## Beside the printed numbers",
            f"Ours (printed, ours - printed), and a verdict: {legend}. The interval is that of the "
            "difference of two means (95 %, Welch's t), from the spread of our networks and the "
            "printed one of five, or ours alone where none is printed. It knows the spread of "
            "networks, not that of condensed sets, unless the config makes several. † is a slip of "
            "the paper (docs/printed_slips.md).",
            _flat(wide(Table(**{**vars(table), "entries": known}), beside, "")),
        ]
        differs = dict.fromkeys(
            reason for text in known["differs"] if text for reason in text.split("; ")
        )
        if differs:
            parts += [
                "What differs from the paper's protocol:",
                "\n".join(f"- {d}" for d in differs),
            ]
    return "\n\n".join(parts) + "\n"


def _flat(laid: pd.DataFrame) -> str:
    laid = laid.copy()
    if isinstance(laid.columns, pd.MultiIndex):
        laid.columns = [" ".join(map(str, names)) for names in laid.columns]
    elif laid.columns.name == "ipc":
        laid.columns = [name if name == "whole set" else f"IPC {name}" for name in laid.columns]
    laid = laid.reset_index().rename(columns={"ipc": "IPC"})
    return laid.to_markdown(index=False, disable_numparse=True)


def latex(table: Table) -> str:
    """Return the table for a paper: booktabs, and longtable where it is longer than a page."""
    if table.entries.empty:
        return f"% Table {table.number}: this config holds no cell of this table.\n"
    laid = wide(table, lambda entry: number(entry, "\\pm"))
    laid = laid.map(
        lambda text: f"${text}$" if "\\pm" in text and "(" not in text else _mixed(text)
    )
    laid.index.names = [_plain(name) for name in laid.index.names]
    laid.columns.names = [None] * laid.columns.nlevels
    long = len(laid) > _LONG
    style = laid.style.format_index(escape="latex", axis=0).format_index(escape="latex", axis=1)
    text = style.to_latex(
        hrules=True,
        column_format="l" * laid.index.nlevels + "r" * len(laid.columns),
        multicol_align="c",
        multirow_align="t",
        environment="longtable" if long else None,
        position_float=None if long else "centering",
        caption=f"{table.title}.",
        label=f"tab:{table.number}",
    )
    return (
        "% needs \\usepackage{booktabs, multirow" + (", longtable" if long else "") + "}\n" + text
    )


def _mixed(text: str) -> str:
    return text.replace("\\pm", "$\\pm$").replace("%", "\\%").replace("_", "\\_")


def _plain(name: str) -> str:
    return "IPC" if name == "ipc" else name.replace("_", " ")
