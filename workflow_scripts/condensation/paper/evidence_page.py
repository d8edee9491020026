"""The page beside the tables of evidence: every cell, the findings, and what made them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from condensation.paper import curves
from condensation.paper.evidence import FAR
from condensation.results import frames as tables

_WAY = ["architecture", "augmentation"]
_TITLE = "# Beside the printed numbers\n\n"
_UNITS = "Accuracy on the test images in percent, intervals of 95 %."


def markdown(frames: Mapping[str, pd.DataFrame], head: str) -> str:
    """Return the page below its head; the frames are those of ``evidence.every``."""
    sections = {
        "cells": _cells,
        "statements": _statements,
        "augmentation": _augmentation,
        "ends": _ends,
        "start": _start,
        "spread": _spread,
    }
    parts = [section(frames[name]) for name, section in sections.items() if name in frames]
    return "\n".join([head, *parts])


def statements_table(frame: pd.DataFrame, source: str) -> str:
    """Return the table of the nine statements from one source, ``records`` or ``print``."""
    rows = [
        {
            "no.": row["number"],
            "statement": row["statement"],
            "verdict": f"**{row['verdict']}**" if row["comparisons"] else row["verdict"],
            "statistic": row["measure"],
            "value": _interval(row["value"], row["low"], row["high"], sign="+"),
            "comparisons (cells)": f"{row['comparisons']} ({row['cells']})",
            "remark": row["remark"],
        }
        for row in frame[frame["source"] == source].to_dict("records")
    ]
    return _table(rows)


def head_of_run(provenance: dict[str, Any]) -> str:
    """Return the head of the page of one run, from its file of provenance."""
    git, machine, rules = (provenance[name] for name in ("git", "machine", "rules"))
    hours = sum(rule["seconds"] for rule in rules.values()) / 3600
    commit = f"commit `{git['commit'][:7]}`" if git["commit"] else "a copy without git"
    if git["dirty"]:
        commit += " with uncommitted changes"
    longest = sorted(rules.items(), key=lambda item: -item[1]["seconds"])[:4]
    spent = ", ".join(f"{name} {rule['seconds'] / 3600:.2f}" for name, rule in longest)
    return _TITLE + (
        f"Tables of {commit}, torch {provenance['versions']['torch']}, {machine['cores']} cores; "
        f"{hours:.2f} hours of jobs in all ({spent}). {_UNITS}\n"
    )


def head_of_records(contents: Mapping[str, Mapping[str, Any]], files: int) -> str:
    """Return the head of the page of records by path, which come from so many files."""
    sets = networks = 0.0
    for held in contents.values():
        if "rows" in held and "device_name" in held:  # the cost of networks
            networks += sum(row["seconds"] for row in held["rows"]) / 3600
        elif "device_name" in held:
            sets += held["seconds"] / 3600
    return _TITLE + (
        f"Tables of the records of {files} file{'s' * (files > 1)}; {sets + networks:.2f} hours of "
        f"jobs (sets {sets:.2f}, networks {networks:.2f}; features, experts and whitening leave no "
        f"record). {_UNITS}\n"
    )


def _cells(cells: pd.DataFrame) -> str:
    text = (
        "\n## Cell by cell\n\n"
        "`ours` is the mean over all networks with its interval: over the sets' means where there "
        "are several sets, else over the networks of the one set, which says nothing of another "
        f"set. A difference of more than {FAR:g} points is bold; its interval has both spreads, "
        "and that of the paper's one set where ours is known. Seconds and peak MB (of the process, "
        "on CUDA of the device) are of a set and of a network.\n"
    )
    blocks = dict(iter(cells.groupby(["dataset", "ipc"], sort=False)))
    order = tables.ipc_order(cells["ipc"])
    for dataset, ipc in sorted(blocks, key=lambda block: (block[0], order.index(block[1]))):
        part = blocks[dataset, ipc]
        rows = [
            {
                "method": row["method"],
                "network": row["architecture"],
                "augmentation": row["augmentation"],
                "iterations (paper)": _iterations(row),
                "networks (sets)": _networks(row),
                "ours": _interval(row["mean"], row["low"], row["high"], row["status"]),
                "printed": _printed(row),
                "difference": _difference(row),
                "set: s, MB": _cost(row, "set"),
                "network: s, MB": _cost(row, "network"),
            }
            for row in part.to_dict("records")
        ]
        text += f"\n### {dataset}, IPC {ipc}\n\n{_table(rows)}\n"
    return text


def _statements(frame: pd.DataFrame) -> str:
    return (
        "\n## The paper's statements\n\n"
        "Each with a statistic, its interval, and what they decide; a statement that the interval "
        "leaves open is not decided by these cells. Means count each comparison once, so their "
        "interval is over sets, methods and datasets; an extreme has the interval that holds for "
        "all together. Values are percent points, of 7 a share and of 8 a correlation. The rule of "
        "each is in `statements.py`.\n\n"
        f"From the records:\n\n{statements_table(frame, 'records')}\n\n"
        "From the paper's printed tables alone (4, 5 and 6; 3 for the ranking; KIP's columns of "
        "Table 4 under the right headings). The printed spread is over five networks of one set: "
        "it does not hold the choice of the set, so the intervals of single sets (4, 6 and 8, and "
        "the orders of pairs in 7) are too narrow for the method:\n\n"
        f"{statements_table(frame, 'print')}\n"
    )


def _augmentation(frame: pd.DataFrame) -> str:
    every = frame[frame["method"] != "all"] if len(frame) else frame
    return _section(
        "Does augmentation at evaluation alone raise the accuracy?",
        _gaps(frame, ["dataset", "ipc", "architecture", "augmentation", "method"]),
        _counted(every) if len(every) else "",
        "No set was judged both with and without.",
    )


def _ends(frame: pd.DataFrame) -> str:
    rows = [
        {
            **{name: row[name] for name in ("dataset", "ipc", "method", *_WAY)},
            "sets": row["sets"],
            "last (after)": f"{row['last']:.2f} ({row['iteration']:,})",
            "best of looks": f"{row['best']:.2f} of {row['looks']}",
            "still rising": {True: "yes", False: "no"}.get(row["rising"], "-"),
            "heading": _interval(row["heading"], row["heading_low"], row["heading_high"]),
            "printed (after)": _printed_after(row),
        }
        for row in frame.to_dict("records")
    ]
    return _section(
        "Accuracy along the iterations",
        rows,
        "`last` is after the last iteration that was judged, `best` the best of all that were: a "
        "choice made on the test images, as TM's printed number is (of 51). A curve still rises "
        "whose end lies above its value at half the iterations beyond the noise; then `heading` is "
        "what a - b n^-c, fitted to it, expects after the paper's iterations, with the interval of "
        "a bootstrap, for these sets (curves of fewer than "
        f"{curves.FEWEST} points after the start are not judged). All points: `curves.csv`.\n\n"
        "![Accuracy along the iterations](curves.png)",
        "No cell was judged along its iterations.",
    )


def _printed_after(row: dict[str, Any]) -> str:
    if not row["printed"]:
        return "-"
    return f"{_printed(row)} ({row['iterations_of_paper']:,.0f})"


def _start(frame: pd.DataFrame) -> str:
    return _section(
        "Does another start converge faster than random images?",
        _gaps(frame, ["dataset", "ipc", "augmentation", "method", "start", "iteration"]),
        "Accuracy after so many iterations minus that of the same method from random images; "
        "`along` is the mean over the iterations between.",
        "No method was started in several ways and judged along its iterations.",
    )


def _spread(frame: pd.DataFrame) -> str:
    rows = [
        {
            **{name: row[name] for name in ("dataset", "ipc", "method", *_WAY)},
            "networks (sets)": _networks(row),
            "within a set": f"{row['std_of_networks']:.2f}",
            "in all": f"{row['std']:.2f}",
            "ratio": f"{row['factor']:.1f}",
            "share of the set": _interval(row["share"], row["share_low"], row["share_high"]),
            "printed spread": "-" if pd.isna(row["printed_std"]) else f"{row['printed_std']:.2f}",
        }
        for row in frame.to_dict("records")
    ]
    return _section(
        "How much of the spread does one condensed set hide?",
        rows,
        "Standard deviation of a network's accuracy around its set's mean (what a spread over "
        "networks of one set shows), and over sets and networks together; the share of the "
        "variance that is the choice of the set, with its interval.",
        "No cell has several sets with several networks each.",
    )


def _section(title: str, rows: list[dict[str, str]], said: str, nothing: str) -> str:
    return f"\n## {title}\n\n" + (f"{said}\n\n{_table(rows)}\n" if rows else f"{nothing}\n")


def _counted(frame: pd.DataFrame) -> str:
    above, below = (frame["low"] > 0).sum(), (frame["high"] < 0).sum()
    unknown = frame["low"].isna().sum()
    said = f"Of {len(frame)} cells judged with and without, the interval of the difference lies "
    said += f"above 0 in {above}, below in {below}, on both sides in "
    said += f"{len(frame) - above - below - unknown}"
    return said + (f"; {unknown} have one pair and no interval." if unknown else ".")


def _gaps(frame: pd.DataFrame, columns: list[str]) -> list[dict[str, str]]:
    rows = []
    for row in frame.to_dict("records"):
        unit = row["paired_on"].removesuffix("s") if row["n"] == 1 else row["paired_on"]
        gap = _interval(row["difference"], row["low"], row["high"], sign="+")
        about = {name: row[name] for name in columns}
        rows.append(about | {"pairs": f"{row['n']} {unit}", "difference": gap})
    return rows


def _iterations(row: dict[str, Any]) -> str:
    ours, theirs = row["iterations"], row["iterations_of_paper"]
    if pd.isna(ours):
        return "-"
    return f"{ours:.0f}" + ("" if pd.isna(theirs) else f" ({theirs:,.0f})")


def _networks(row: dict[str, Any]) -> str:
    lost = sum(row.get(name, 0) for name in tables.LOST)
    told = f"{row['networks'] - lost} of {row['networks']}" if lost else f"{row['networks']}"
    return f"{told} ({row['sets']})"


def _printed(row: dict[str, Any]) -> str:
    std = row["printed_std"]
    if pd.isna(std):
        return row["printed"] or "-"
    return f"{float(row['printed']):.2f} ± {std:.2f}"


def _difference(row: dict[str, Any]) -> str:
    gap = row["difference"]
    if pd.isna(gap):
        return "-"
    text = f"**{gap:+.2f}**" if abs(gap) > FAR else f"{gap:+.2f}"
    half = row["interval"]
    return text if pd.isna(half) else f"{text} ± {half:.2f}"


def _interval(mean: float, low: float, high: float, status: str = "ok", sign: str = "") -> str:
    if pd.isna(mean):
        return status if status != "ok" else "-"
    text = f"{mean:{sign}.2f}"
    return text if pd.isna(low) else f"{text} ({low:{sign}.2f} to {high:{sign}.2f})"


def _cost(row: dict[str, Any], what: str) -> str:
    seconds, memory = row[f"{what}_seconds"], row[f"{what}_memory_mb"]
    return "-" if pd.isna(seconds) else f"{seconds:,.0f}, {memory:,.0f}"


def _table(rows: list[dict[str, str]]) -> str:
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
