"""What a run says beside the paper: every cell with its printed number, findings, statements.

All functions return tidy frames; accuracies and differences are in percent
points, intervals are of 95 %.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condensation.config.schema import Config
from condensation.core import storage
from condensation.core.errors import InputError
from condensation.paper import cells as paper_cells
from condensation.paper import curves, printed, statement_cells, statements
from condensation.paper import names as paper_names
from condensation.paper.cells import RAW, Cells
from condensation.paper.printed import Key, Number
from condensation.results import frames, statistics
from condensation.workflow import grid
from condensation.workflow.grid import WHOLE

FAR = 2.0  # points; a larger difference from print wants a sentence
_SET = ["dataset", "method", "ipc"]
_DIFFERENCE = ["paired_on", "n", "difference", "low", "high"]
_SEEDS = ["condensation_seed", "evaluation_seed"]


def cells(found: Cells, sets: pd.DataFrame, networks: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell: ours, the printed number of Table 4, 5 or 9, iterations and cost.

    Parameters
    ----------
    sets : the frame of ``tables.costs``.
    networks : per network ``seconds``, ``memory_mb`` and the cell; see ``network_costs``.
    """
    rows = []
    for cell in found.cells.values():
        name = paper_names.method(found.config, *cell.set)
        number = 5 if cell.architecture != found.reference["architecture"] else 4
        column = found.name(*_axis(number, cell))
        if name and name.name.endswith(RAW) and number == 4 and column == "DSA":
            number, column = 9, "raw input"
        if cell.optimizer != found.reference["optimizer"]:
            column = None
        where = dict(zip(_SET, cell.set, strict=True))
        where |= {way: getattr(cell, way) for way in paper_cells.WAY}
        ours, theirs = iterations(found.config, cell.method)
        where |= {"table": number, "iterations": ours, "iterations_of_paper": theirs}
        rows.append(found.entry(number, [cell], column, **where))
    frame = paper_cells.frame(rows)
    cost = sets.groupby(_SET, sort=False)[["seconds", "memory_mb"]].mean()
    frame = frame.join(cost.add_prefix("set_"), on=_SET)
    cost = networks.groupby([*_SET, *paper_cells.WAY])[["seconds", "memory_mb"]].mean()
    return frame.join(cost.add_prefix("network_"), on=[*_SET, *paper_cells.WAY])


def every(
    found: Cells,
    runs: pd.DataFrame,
    sets: pd.DataFrame,
    networks: pd.DataFrame,
    ranking: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """Return the tables by name, in the order of the page; see ``cells`` for the arguments.

    ``ranking`` is the table ``nas.csv`` of the run, where it has one.
    """
    beside = cells(found, sets, networks)
    return {
        "cells": beside,
        "statements": of_statements(found, runs, ranking),
        "augmentation": augmentation(found.config, runs),
        "curves": curves.points(found.config, runs),
        "ends": curves.ends(found.config, runs, beside),
        "start": start(found.config, runs),
        "spread": spread(beside, runs),
    }


def of_statements(
    collected: Cells, runs: pd.DataFrame, ranking: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return what the records, and then print alone, say of the paper's nine statements.

    ``source`` is ``records`` or ``print``, the other columns those of ``statements.every``.
    """
    config = collected.config
    runs = runs[runs["optimizer"] == collected.reference["optimizer"]]
    ranked = pd.DataFrame(columns=statements.RANKINGS)
    if ranking is not None:
        ranked = statement_cells.ranked_by_run(config, ranking)
    of_run = statements.every(
        statement_cells.of_run(collected),
        ranked,
        statement_cells.along_run(config, runs, _starts(config)),
    )
    of_print = statements.every(
        statement_cells.of_print(collected.numbers),
        statement_cells.ranked_in_print(collected.numbers),
        pd.DataFrame(columns=statements.ALONG),  # Figures 4 and 6 are drawn, not printed
    )
    both = [of_run.assign(source="records"), of_print.assign(source="print")]
    frame = pd.concat(both, ignore_index=True)
    return frame[["source", *of_run.columns]]


def of_records(
    wanted: Config,
    contents: Mapping[str, Mapping[str, Any]],
    as_printed: Mapping[Key, Number],
    ranking: pd.DataFrame | None = None,
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Return the tables of ``every`` and that of accuracy, from records and costs by path.

    Networks without a record are missing. Raises InputError for a record
    that the config did not ask for, or not in this form, and for one without its cost.
    """
    everything = grid.expand(wanted)
    held = [path for path in everything.records() if path in contents]
    costs_of_sets = {f"{one.folder}/cost.json": one for one in everything.sets}
    asked = {*held, *costs_of_sets, *(_cost_of(path) for path in held)}
    if unasked := [path for path in contents if path not in asked]:
        raise InputError(
            f"{len(unasked)} of {len(contents)} records and costs are not what the config asks "
            f"for, the first {unasked[0]}: give the config that they were made with"
        )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, content in contents.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            storage.write_json(root / path, content)
        try:
            runs = frames.runs([root / path for path in held], wanted)
        except InputError as error:  # its advice is for files of a run, not for those here
            said = str(error).replace(f"{root}/", "").partition(". Delete it")[0]
            raise InputError(f"{said}. Give the config that the records were made with") from error
        runs = frames.with_missing(runs, everything)
        made = {path: one for path, one in costs_of_sets.items() if path in contents}
        sets = frames.costs(made.values(), [root / path for path in made], runs)
    if lost := [path for path in map(_cost_of, held) if path not in contents]:
        raise InputError(f"{lost[0]}: not among the records, though the record beside it is")
    spent = [contents[_cost_of(path)] for path in held]
    networks = network_costs([contents[path] for path in held], spent)
    numbers, slips = printed.reread(as_printed), printed.implied(as_printed)
    found = paper_cells.collect(wanted, runs, numbers, slips)
    return every(found, runs, sets, networks, ranking), frames.accuracy(runs, everything)


def _cost_of(record: str) -> str:
    return record.removesuffix(".json") + ".cost.json"


def as_csv(frame: pd.DataFrame) -> str:
    """Return a table as it is written."""
    return frame.to_csv(index=False, lineterminator="\n", float_format="%.4f")


def _axis(number: int, cell: paper_cells.Cell) -> tuple[str, str]:
    axis = "augmentation" if number == 4 else "architecture"
    return axis, getattr(cell, axis)


def iterations(config: Config, method: str) -> tuple[int | None, int | None]:
    """Return a method's iterations and the paper's; None for one that does not iterate."""
    if method == WHOLE or method not in config.methods:
        return None, None
    entry = config.methods[method]
    ours = getattr(entry, "iterations", None)
    if ours is None or entry.algorithm not in paper_names.METHOD_NAMES:
        return ours, None
    return ours, type(entry)(algorithm=entry.algorithm).iterations


def network_costs(records: Sequence[dict[str, Any]], costs: Sequence[dict[str, Any]]):
    """Return per trained network its cell, ``seconds`` and the peak ``memory_mb`` of its job."""
    rows = []
    for record, cost in zip(records, costs, strict=True):
        memory = cost.get("peak_cuda_mb", cost["peak_rss_mb"])
        about = {name: record["cell"][name] for name in (*_SET, *paper_cells.WAY)}
        rows += [about | {"seconds": row["seconds"], "memory_mb": memory} for row in cost["rows"]]
    return pd.DataFrame(rows, columns=[*_SET, *paper_cells.WAY, "seconds", "memory_mb"])


def augmentation(config: Config, runs: pd.DataFrame) -> pd.DataFrame:
    """Return, per set and network, what an augmentation at evaluation adds to none.

    Differences are of networks of the same two seeds: of sets' means where a
    cell has several sets, else of networks. A row with method ``all`` is the
    mean over the methods of that IPC with the interval over methods.
    """
    final = runs[runs["iteration"] == frames.FINAL]
    without = [n for n, entry in config.augmentations.items() if entry.policy == "none"]
    fixed = [*_SET, "architecture", "optimizer"]
    rows = []
    for key, part in final.groupby(fixed, sort=False):
        wide = part.pivot(index=_SEEDS, columns="augmentation", values="accuracy")
        for none in [name for name in without if name in wide]:
            for name in [name for name in wide if name not in without]:
                about = dict(zip(fixed, key, strict=True)) | {"augmentation": name}
                rows.append(about | _difference(wide, name, none))
    frame = pd.DataFrame(rows, columns=[*fixed, "augmentation", *_DIFFERENCE])
    frame = frame[frame["n"] > 0]
    over = [name for name in fixed if name != "method"] + ["augmentation"]
    return _with_all(frame, over, "method")


def start(config: Config, runs: pd.DataFrame, reference: str = "random") -> pd.DataFrame:
    """Return, along the iterations, what another start adds to that from random images.

    Methods belong together when they differ in ``init`` (and the features that
    K-Center clusters) alone. A row with iteration ``along`` is the mean over
    the iterations after 0 and before the end of each seed, the speed of early progress.
    """
    rows = []
    fixed = ["dataset", "ipc", *paper_cells.WAY]
    for members in _alike(config):
        if reference not in members:
            continue
        part = runs[runs["method"].isin(members.values())]
        for key, block in part.groupby(fixed, sort=False):
            wide = block.pivot(
                index=[*_SEEDS, "iteration"], columns="method", values="accuracy"
            ).astype(float)
            along = {i: wide.xs(i, level="iteration") for i in _in_order(block["iteration"])}
            if len(along) < 2:
                continue
            early = [part for i, part in along.items() if i not in ("0", frames.FINAL)]
            if early:
                along["along"] = sum(early) / len(early)
            for init, name in members.items():
                if init == reference or name not in wide:
                    continue
                for iteration, at in along.items():
                    about = dict(zip(fixed, key, strict=True))
                    about |= {"start": init, "method": name, "iteration": iteration}
                    rows.append(about | _difference(at, name, members[reference]))
    made = pd.DataFrame(rows, columns=[*fixed, "start", "method", "iteration", *_DIFFERENCE])
    return made[made["n"] > 0]


def _alike(config: Config) -> list[dict[str, str]]:
    """Return the methods that differ in their start alone, by start."""
    groups: dict[tuple, dict[str, str]] = {}
    for name, entry in config.methods.items():
        if init := getattr(entry, "init", None):
            same = entry.model_dump(exclude={"init", "features"})
            groups.setdefault(tuple(sorted(map(repr, same.items()))), {})[init] = name
    return list(groups.values())


def _starts(config: Config, reference: str = "random") -> dict[str, tuple[str, str]]:
    """Return by method that of its group which starts from random images, and its own start."""
    return {
        name: (members[reference], init)
        for members in _alike(config)
        if reference in members
        for init, name in members.items()
    }


def spread(found: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return how much of the spread of a number is that of the choice of one set.

    ``share`` is the part of a single network's variance that is the set's
    (``statistics.variance``); ``std_of_networks`` and ``std`` are the spreads
    within a set and in all, ``factor`` their ratio; ``printed_std`` covers
    networks of one set.

    ``found`` is the frame of ``cells``.
    """
    final = runs[runs["iteration"] == frames.FINAL]
    cell = [*_SET, *paper_cells.WAY]
    made = statistics.variance(final, cell)
    within, between = made["inner"].astype(float), made["outer"].astype(float)
    made["std_of_networks"], made["std"] = np.sqrt(within), np.sqrt(within + between)
    made["factor"] = made["std"] / made["std_of_networks"]
    made["share"] = made["share_outer"].astype(float)
    of_print = found.set_index(cell)["printed_std"]
    made["printed_std"] = [of_print.get(tuple(row)) for row in made[cell].to_numpy()]
    names = ["sets", "networks", "std_of_networks", "std", "factor", "share"]
    return made[[*cell, *names, "share_low", "share_high", "printed_std"]]


def _difference(wide: pd.DataFrame, first: str, second: str) -> dict[str, Any]:
    pairs, unit = statistics.pairs(wide, first, second)
    gaps = (pairs[first] - pairs[second]).to_numpy(float)
    low, high = statistics.interval(gaps)
    mean = gaps.mean() if len(gaps) else float("nan")
    return {"paired_on": unit, "n": len(gaps), "difference": mean, "low": low, "high": high}


def _with_all(frame: pd.DataFrame, over: list[str], axis: str) -> pd.DataFrame:
    rows = []
    for key, part in frame.groupby(over, sort=False):
        rows += part.to_dict("records")
        if len(part) > 1:
            low, high = statistics.interval(part["difference"])
            about = dict(zip(over, key, strict=True)) | {axis: "all", "paired_on": axis + "s"}
            mean = part["difference"].mean()
            rows.append(about | {"n": len(part), "difference": mean, "low": low, "high": high})
    return pd.DataFrame(rows, columns=frame.columns)


def _in_order(found: pd.Series) -> list[str]:
    return sorted(set(found), key=lambda i: float("inf") if i == frames.FINAL else int(i))
