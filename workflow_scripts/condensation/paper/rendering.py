"""Tables as Markdown, and as LaTeX with booktabs."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from condensation.paper import names as paper_names
from condensation.results import frames
from condensation.workflow.grid import WHOLE


@dataclass(frozen=True)
class Table:
    """A table: ``rows`` and ``columns`` name the columns of ``entries`` that index it.

    ``notes`` stand above the Markdown; ``caption`` below the title in LaTeX.
    """

    number: int
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    entries: pd.DataFrame
    notes: tuple[str, ...] = ()
    caption: str = ""


MARKS = {"within": "=", "outside": "≠", "other protocol": "~", "no interval": "?", "": ""}
_LONG = 45  # rows of a LaTeX table that fit on a page


def lay_out(table: Table, text: Callable[[dict[str, Any]], str], empty: str = "-") -> pd.DataFrame:
    """Return the entries as text, indexed by the rows and columns of the table."""
    shown = table.entries.assign(
        text=[text(entry) for entry in table.entries.to_dict("records")],
        ipc=[_ipc(ipc) for ipc in table.entries["ipc"]],
    )
    rows, columns = list(table.rows), list(table.columns)
    laid = shown.pivot(index=rows, columns=columns, values="text")
    orders = {"ipc": [_ipc(ipc) for ipc in frames.ipc_order(table.entries["ipc"])]}

    def ordered(names: list[str]) -> pd.MultiIndex:
        """Return the combinations that exist, each name in the order of its first entry."""
        present = shown[names].drop_duplicates()
        ranks = {
            name: {
                value: i
                for i, value in enumerate(orders.get(name, list(dict.fromkeys(shown[name]))))
            }
            for name in names
        }
        keys = present.apply(lambda column: column.map(ranks[column.name]))
        return pd.MultiIndex.from_frame(present.loc[keys.sort_values(names).index])

    index, header = ordered(rows), ordered(columns)
    if len(rows) == 1:
        index = index.get_level_values(0)
    if len(columns) == 1:
        header = header.get_level_values(0)
    return laid.reindex(index=index, columns=header).fillna(empty)


def _ipc(ipc: str) -> str:
    return "whole set" if ipc == WHOLE else ipc


def format_number(entry: dict[str, Any], most_digits: int = 2) -> str:
    """Return our number as text: mean and population std, or its status, and failed networks.

    ``most_digits`` is the number of decimals of numbers from 1.
    """
    if entry["status"] == "missing":
        return "missing" if entry["missing"] else "-"
    if entry["status"] != "ok":
        return {"oom": "OOM"}.get(entry["status"], entry["status"])
    digits = _digits(entry["mean"], most_digits)
    text = f"{entry['mean']:.{digits}f}"
    if entry["std"] == entry["std"]:
        text += f" ± {entry['std']:.{digits}f}"
    failed = [f"{entry[name]} {name.replace('oom', 'OOM')}" for name in frames.LOST if entry[name]]
    return f"{text} ({', '.join(failed)})" if failed else text


def _digits(value: float, most: int) -> int:
    return 0 if abs(value) >= 500 else most if abs(value) >= 1 else 4


def format_with_print(entry: dict[str, Any]) -> str:
    """Return our number, the printed one and the difference in brackets, and the verdict's mark."""
    if not entry["printed"]:
        return ""
    ours = format_number(entry | {"std": float("nan")})
    printed = entry["printed"] + ("†" if entry["implied"] else "")
    if entry["difference"] != entry["difference"]:
        return f"{ours} ({printed})"
    gap = round(entry["difference"], 2) + 0.0  # no -0.00
    return f"{ours} ({printed}, {gap:+.2f}) {MARKS[entry['verdict']]}"


def markdown(table: Table) -> str:
    """Return the table as Markdown, followed by a comparison with the printed numbers."""
    parts = [f"# Table {table.number}: {table.title}"]
    parts += [note for note in table.notes if note]
    if table.entries.empty:
        return "\n\n".join([parts[0], "This config holds no cell of this table."]) + "\n"
    if table.entries["std"].notna().any():
        parts.append(
            "Test accuracy in percent: mean ± population standard deviation over networks; the CSV "
            "has 95 % intervals. `-`: not in this config."
        )
    parts.append(_flat(lay_out(table, format_number)))
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
            f"Ours (printed, ours - printed), and a verdict: {legend}. The verdict uses the 95 % "
            "interval of the difference of two means (Welch's t), from the spread of our networks "
            "and the printed spread of five (ours alone if none is printed). It covers the spread "
            "of networks, and that of condensed sets only if the config makes several. † marks a "
            "slip of the paper (docs/printed_slips.md).",
            _flat(lay_out(Table(**{**vars(table), "entries": known}), format_with_print, "")),
        ]
        differs = dict.fromkeys(
            reason for text in known["differs"] if text for reason in text.split("; ")
        )
        if differs:
            parts += [
                "Differences from the paper's protocol:",
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
    """Return the table as LaTeX, no wider than a page: booktabs, and longtable if it is long.

    Numbers have one decimal, and their spread as an index.
    """
    if table.entries.empty:
        return f"% Table {table.number}: this config holds no cell of this table.\n"
    laid = lay_out(table, lambda entry: format_number(entry, most_digits=1)).map(_latex_number)
    laid.index, laid.columns = _in_print(laid.index), _in_print(laid.columns)
    long = len(laid) > _LONG
    style = laid.style.hide(names=True).hide(names=True, axis=1)
    style = style.format_index(escape="latex", axis=0).format_index(escape="latex", axis=1)
    text = style.to_latex(
        hrules=True,
        column_format="l" * laid.index.nlevels + "r" * len(laid.columns),
        multicol_align="c",
        multirow_align="t",
        environment="longtable" if long else None,
        position_float=None if long else "centering",
        caption=_caption(table),
        label=f"tab:{table.number}",
    )
    # the names of the rows' levels belong into the last line of the header
    names = [_plain(name) for name in table.rows]
    empty = r"^(?: *&){" + str(len(names)) + "}"
    head = re.compile(empty + r"(.*\\\\\n\\midrule)", re.M)
    text = head.sub(lambda match: " & ".join(names) + " &" + match[1], text)
    if long:
        text = f"{{\\scriptsize\\setlength{{\\tabcolsep}}{{3pt}}\n{text}}}\n"
    else:
        text = text.replace(
            "\\begin{tabular}",
            "\\footnotesize\\setlength{\\tabcolsep}{4pt}\n"
            "\\begin{adjustbox}{max width=\\linewidth}\n\\begin{tabular}",
        ).replace("\\end{tabular}", "\\end{tabular}\n\\end{adjustbox}")
    packages = "booktabs, multirow, " + ("longtable" if long else "adjustbox")
    return f"% needs \\usepackage{{{packages}}}\n{text}"


def _caption(table: Table) -> str:
    parts = [f"{table.title}.", table.caption]
    networks = table.entries["networks"] if table.entries["std"].notna().any() else ()
    counts = sorted({int(count) for count in networks if count})
    if counts:
        several = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
        parts.append(
            f"Test accuracy in percent: mean and population standard deviation over {several} "
            "networks."
        )
    return _escaped(" ".join(part for part in parts if part))


def _in_print(index: pd.Index) -> pd.Index:
    """Return an index with the names of print."""
    if isinstance(index, pd.MultiIndex):
        levels = [_in_print(index.get_level_values(name)) for name in index.names]
        return pd.MultiIndex.from_arrays(levels, names=index.names)
    return index.map(lambda value: paper_names.in_print(str(index.name), value))


def _latex_number(text: str) -> str:
    return re.sub(r"^(\S+) ± (\S+)", r"$\1_{\\pm \2}$", _escaped(text))


def _escaped(text: str) -> str:
    return re.sub(r"([%_&#$])", r"\\\1", text)


def _plain(name: str) -> str:
    return "IPC" if name == "ipc" else name.replace("_", " ")
