"""The evidence as a Markdown page: all cells, the findings, and the code and jobs of the run."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from condensation.paper import curves
from condensation.paper.evidence import FAR
from condensation.results import frames, records

_WAY = ["architecture", "augmentation"]
_TITLE = "# Beside the printed numbers\n\n"
_UNITS = "Accuracies are test accuracies in percent, intervals have 95 %."


def markdown(tables: Mapping[str, pd.DataFrame], head: str) -> str:
    """Return the page: the head, then the tables of ``evidence.all_tables``."""
    sections = {
        "cells": _cells,
        "statements": _statements,
        "augmentation": _augmentation,
        "ends": _ends,
        "start": _start,
        "spread": _spread,
    }
    parts = [section(tables[name]) for name, section in sections.items() if name in tables]
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
    """Return the head of the page for a run, from its provenance."""
    git, machine, rules = (provenance[name] for name in ("git", "machine", "rules"))
    hours = sum(rule["seconds"] for rule in rules.values()) / 3600
    commit = f"commit `{git['commit'][:7]}`" if git["commit"] else "a copy without git"
    if git["dirty"]:
        commit += " with uncommitted changes"
    longest = sorted(rules.items(), key=lambda item: -item[1]["seconds"])[:4]
    spent = ", ".join(f"{name} {rule['seconds'] / 3600:.2f}" for name, rule in longest)
    return _TITLE + (
        f"Made by {commit}, torch {provenance['versions']['torch']}, {machine['cores']} cores; "
        f"{hours:.2f} hours of jobs in total ({spent}). {_UNITS}\n"
    )


def head_of_records(contents: Mapping[str, Mapping[str, Any]], files: int) -> str:
    """Return the head of the page for records by path, joined from ``files`` files."""
    sets = networks = 0.0
    for held in contents.values():
        if "rows" in held and "device_name" in held:  # the cost of networks
            networks += sum(row["seconds"] for row in held["rows"]) / 3600
        elif "device_name" in held:
            sets += held["seconds"] / 3600
    mixed = "; ".join(records.mixed_precisions(contents.values()))
    return _TITLE + (
        f"Made from the records of {files} file{'s' * (files > 1)}; {sets + networks:.2f} hours of "
        f"jobs (sets {sets:.2f}, networks {networks:.2f}; features, experts and whitening have no "
        f"records). {_UNITS}\n"
        + (f"\nComputed in different precisions: {mixed}.\n" if mixed else "")
    )


def _cells(cells: pd.DataFrame) -> str:
    text = (
        "\n## Cell by cell\n\n"
        "`ours` is the mean with its interval: over the means of sets where "
        "there are several, else over the networks of a single set, which does not generalize to "
        f"another set. Differences of more than {FAR:g} points are bold; their interval includes "
        "both spreads, and the spread between sets if we know it. Seconds and peak MB (of the "
        "process, or of the device on CUDA) are per set and per network.\n"
    )
    blocks = dict(iter(cells.groupby(["dataset", "ipc"], sort=False)))
    order = frames.ipc_order(cells["ipc"])
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
        "Each row has a statistic, its interval, and the verdict; these cells do not decide a "
        "statement that the interval leaves open. Means count each comparison once, so their "
        "interval is over sets, methods and datasets; extremes have simultaneous intervals. Values "
        "are percent points, except a share in 7 and a correlation in 8. `statements.py` has the "
        "rule of each.\n\n"
        f"From the records:\n\n{statements_table(frame, 'records')}\n\n"
        "From the paper's printed tables alone (4, 5 and 6; 3 for the ranking; KIP's columns of "
        "Table 4 under the right headings). The printed spread is over five networks of one set "
        "and does not cover the choice of the set, so intervals of single sets (4, 6, 8, and the "
        "orders of pairs in 7) are too narrow for the method:\n\n"
        f"{statements_table(frame, 'print')}\n"
    )


def _augmentation(frame: pd.DataFrame) -> str:
    single = frame[frame["method"] != "all"] if len(frame) else frame
    return _section(
        "Does augmentation at evaluation alone raise the accuracy?",
        _gaps(frame, ["dataset", "ipc", "architecture", "augmentation", "method"]),
        _counted(single) if len(single) else "",
        "No set has networks both with and without augmentation.",
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
        "`last` is the accuracy at the last evaluated iteration, `best` the best of all, chosen on "
        "the test images, as TM's printed number is (of 51). A curve still rises if its end lies "
        "above its value at half the iterations by more than the noise. `heading` extrapolates "
        "a fit of a - b / (d^c + n^c) to the paper's iterations, with a bootstrap interval for "
        f"these sets (for curves of at least {curves.FEWEST} points after the start). All points: "
        "`curves.csv`.\n\n"
        "![Accuracy along the iterations](curves.png)",
        "No cell has networks along its iterations.",
    )


def _printed_after(row: dict[str, Any]) -> str:
    if not row["printed"]:
        return "-"
    return f"{_printed(row)} ({row['iterations_of_paper']:,.0f})"


def _start(frame: pd.DataFrame) -> str:
    return _section(
        "Does another start converge faster than random images?",
        _gaps(frame, ["dataset", "ipc", "augmentation", "method", "start", "iteration"]),
        "Accuracy minus that of the same method from random images, after the same number of "
        "iterations; `along` is the mean over the iterations between start and end.",
        "No method has several starts and networks along its iterations.",
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
        "Standard deviation of the accuracy over networks of one set, and over sets and networks "
        "together; the share of the variance that comes from the choice of the set, with its "
        "interval.",
        "No cell has several sets with several networks each.",
    )


def _section(title: str, rows: list[dict[str, str]], text: str, text_if_empty: str) -> str:
    return f"\n## {title}\n\n" + (f"{text}\n\n{_table(rows)}\n" if rows else f"{text_if_empty}\n")


def _counted(frame: pd.DataFrame) -> str:
    above, below = (frame["low"] > 0).sum(), (frame["high"] < 0).sum()
    unknown = frame["low"].isna().sum()
    both_sides = len(frame) - above - below - unknown
    text = f"The interval of the difference lies above 0 in {above} of {len(frame)} comparisons, "
    text += f"below in {below}, and contains 0 in {both_sides}"
    return text + (f"; {unknown} have one pair and no interval." if unknown else ".")


def _gaps(frame: pd.DataFrame, columns: list[str]) -> list[dict[str, str]]:
    rows = []
    for row in frame.to_dict("records"):
        unit = row["paired_on"].removesuffix("s") if row["n"] == 1 else row["paired_on"]
        gap = _interval(row["difference"], row["low"], row["high"], sign="+")
        where = {name: row[name] for name in columns}
        rows.append(where | {"pairs": f"{row['n']} {unit}", "difference": gap})
    return rows


def _iterations(row: dict[str, Any]) -> str:
    ours, theirs = row["iterations"], row["iterations_of_paper"]
    if pd.isna(ours):
        return "-"
    return f"{ours:.0f}" + ("" if pd.isna(theirs) else f" ({theirs:,.0f})")


def _networks(row: dict[str, Any]) -> str:
    lost = sum(row.get(name, 0) for name in frames.LOST)
    count = f"{row['networks'] - lost} of {row['networks']}" if lost else row["networks"]
    return f"{count} ({row['sets']})"


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
