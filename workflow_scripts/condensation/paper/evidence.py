"""The evidence of a run: all cells beside the printed numbers, findings, statements.

All functions return tidy frames. Accuracies and differences are in percent
points, intervals have 95 %.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from condensation.config.experiments import OWN
from condensation.config.schema import Config
from condensation.core.errors import InputError
from condensation.paper import cells as paper_cells
from condensation.paper import curves, statement_cells, statements
from condensation.paper import names as paper_names
from condensation.paper.cells import RAW, Cells
from condensation.paper.printed import Key, Number
from condensation.results import dd_ranking, frames, gains, statistics
from condensation.results.records import RecordError, Records, cell_of
from condensation.workflow import grid, layout
from condensation.workflow.grid import WHOLE

FAR = 2.0  # points; the page marks larger differences from print
_SET = ["dataset", "method", "ipc"]
_CELL = [*_SET, *paper_cells.WAY]
_DIFFERENCE = ["paired_on", "n", "difference", "low", "high"]
_SEEDS = ["condensation_seed", "evaluation_seed"]


def tables_from_records(
    config: Config,
    contents: Records,
    printed_numbers: Mapping[Key, Number],
    ranking: pd.DataFrame | None = None,
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Return the tables of ``all_tables``, gains over Random, scores of DD-Ranking, and accuracy.

    Networks without a record are missing.

    Parameters
    ----------
    contents : records and costs by their path below the results.
    printed_numbers : as ``printed.load`` returns them.
    ranking : the run's table ``nas.csv``, if it ranked architectures.

    Raises
    ------
    InputError
        For a record that does not fit the config, for two that overlap in their seeds, and for a
        record without its cost.
    """
    cells = replace(grid.expand(config), existing=grid.seeds_of(contents))
    records = {path: contents[path] for path in cells.records() if path in contents}
    set_costs = {f"{set_id.folder}/cost.json": set_id for set_id in cells.sets}
    expected = {*records, *set_costs, *map(_cost_path, records)}
    expected |= _covered(contents, records)
    if foreign := [path for path in contents if path not in expected]:
        for path in foreign:
            if other := _overlapping(path, records, cells):
                raise InputError(
                    f"{path} and {other} hold the same seeds, with other numbers or divided into "
                    "records in another way. Join files that divide seeds alike (the same "
                    "evaluation.seeds_per_job), or leave out the file with one of the two"
                )
        raise InputError(
            f"{len(foreign)} of {len(contents)} records and costs do not belong to the config, "
            f"the first of them {foreign[0]}. Give the config that the records were made with"
        )
    if lost := [path for path in map(_cost_path, records) if path not in contents]:
        raise InputError(f"{lost[0]}: missing, although its record is there")
    try:
        runs = frames.runs(records, config)
    except RecordError as error:
        raise InputError(
            f"{error.problem}. Give the config that the records were made with"
        ) from error
    runs = frames.with_missing(runs, cells)
    set_costs = {set_id: contents[path] for path, set_id in set_costs.items() if path in contents}
    collected = paper_cells.collect(config, runs, printed_numbers)
    costs = frames.costs(set_costs, runs), network_costs(contents, records)
    printed_kind = runs[runs["labels"] == OWN]  # the paper has no other labels
    tables = all_tables(collected, printed_kind, *costs, ranking)
    final = runs[runs["iteration"] == frames.FINAL]
    of_cells = gains.cells_of(final)
    algorithms = {name: entry.algorithm for name, entry in config.methods.items()}
    tables["gains"] = gains.ordered(of_cells, algorithms)
    tables["scores"] = dd_ranking.of_runs(final, of_cells, config)
    return tables, frames.accuracy(runs, cells)


def _covered(contents: Records, records: Records) -> set[str]:
    """Return the other records whose rows ``records`` hold too, and their costs.

    Two runs of a config may split the same seeds into records in different ways.
    """
    rows = {
        (path.rpartition("/")[0], row["seed"]): row
        for path, record in records.items()
        for row in record["rows"]
    }
    covered = {
        path
        for path, record in contents.items()
        if layout.seeds_of(path)
        and all(rows.get((path.rpartition("/")[0], row["seed"])) == row for row in record["rows"])
    }
    return covered | set(map(_cost_path, covered))


def _overlapping(path: str, records: Iterable[str], cells: grid.Grid) -> str | None:
    """Return one of ``records`` with seeds of ``path``; None if the config asks for none of it."""
    folder, ends = path.rpartition("/")[0], layout.seeds_of(path)
    asked = max((n for cell, n in cells.cells.items() if cell.folder == folder), default=0)
    if ends is None or ends[1] >= asked:
        return None
    for other in records:
        if other.rpartition("/")[0] == folder:
            first, last = layout.seeds_of(other)
            if first <= ends[1] and ends[0] <= last:
                return other
    return None


def _cost_path(record: str) -> str:
    return record.removesuffix(".json") + ".cost.json"


def network_costs(contents: Records, records: Iterable[str]) -> pd.DataFrame:
    """Return per trained network its cell, ``seconds`` and the peak ``memory_mb`` of its job.

    Networks trained on other labels than the set's own are left out. ``records`` are the paths of
    records in ``contents``.
    """
    rows = []
    for path in records:
        cell, cost = cell_of(contents[path]), contents[_cost_path(path)]
        if cell["labels"] != OWN:
            continue
        memory = cost.get("peak_cuda_mb", cost["peak_rss_mb"])
        cell = {name: cell[name] for name in _CELL}
        rows += [cell | {"seconds": row["seconds"], "memory_mb": memory} for row in cost["rows"]]
    return pd.DataFrame(rows, columns=[*_CELL, "seconds", "memory_mb"])


def all_tables(
    collected: Cells,
    runs: pd.DataFrame,
    set_costs: pd.DataFrame,
    network_costs: pd.DataFrame,
    ranking: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """Return the tables by name, in the order of the page.

    Parameters
    ----------
    runs, set_costs : of ``frames.runs`` and ``frames.costs``.
    network_costs : of the function of this name.
    ranking : the run's table ``nas.csv``, if it ranked architectures.
    """
    config = collected.config
    cells = cells_beside_print(collected, set_costs, network_costs)
    return {
        "cells": cells,
        "statements": judge_statements(collected, runs, ranking),
        "augmentation": augmentation_gains(config, runs),
        "curves": curves.points(config, runs),
        "ends": curves.ends(config, runs, cells),
        "start": start_gains(config, runs),
        "spread": spread_of_sets(cells, runs),
    }


def cells_beside_print(
    collected: Cells, set_costs: pd.DataFrame, network_costs: pd.DataFrame
) -> pd.DataFrame:
    """Return one row per cell: ours, the printed number of Table 4, 5 or 9, iterations and cost."""
    config, rows = collected.config, []
    for cell in collected.cells.values():
        name = paper_names.method(config, *cell.set)
        table = 5 if cell.architecture != collected.reference["architecture"] else 4
        axis = "augmentation" if table == 4 else "architecture"
        column = collected.paper_name(axis, getattr(cell, axis))
        if name and name.name.endswith(RAW) and table == 4 and column == "DSA":
            table, column = 9, "raw input"
        if cell.optimizer != collected.reference["optimizer"]:
            column = None
        where = {axis: getattr(cell, axis) for axis in _CELL}
        ours, papers = iterations(config, cell.method)
        where |= {"table": table, "iterations": ours, "iterations_of_paper": papers}
        rows.append(collected.entry(table, [cell], column, **where))
    frame = paper_cells.frame(rows)
    cost = set_costs.groupby(_SET, sort=False)[["seconds", "memory_mb"]].mean()
    frame = frame.join(cost.add_prefix("set_"), on=_SET)
    cost = network_costs.groupby(_CELL)[["seconds", "memory_mb"]].mean()
    return frame.join(cost.add_prefix("network_"), on=_CELL)


def judge_statements(
    collected: Cells, runs: pd.DataFrame, ranking: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Judge the paper's nine statements, by the records and by the printed numbers alone.

    ``source`` is ``records`` or ``print``; ``statements.judge_all`` describes the other columns.
    """
    config = collected.config
    runs = runs[runs["optimizer"] == collected.reference["optimizer"]]
    ranked = pd.DataFrame(columns=statements.RANKINGS)
    if ranking is not None:
        ranked = statement_cells.rankings_from_run(config, ranking)
    by_records = statements.judge_all(
        statement_cells.cells_from_run(collected),
        ranked,
        statement_cells.curves_from_run(config, runs, _starts(config)),
    )
    by_print = statements.judge_all(
        statement_cells.cells_from_print(collected.numbers),
        statement_cells.rankings_from_print(collected.numbers),
        pd.DataFrame(columns=statements.CURVES),  # Figures 4 and 6 are drawn, not printed
    )
    both = [by_records.assign(source="records"), by_print.assign(source="print")]
    frame = pd.concat(both, ignore_index=True)
    return frame[["source", *by_records.columns]]


def as_csv(frame: pd.DataFrame) -> str:
    """Return the text of a table's CSV file."""
    return frame.to_csv(index=False, lineterminator="\n", float_format="%.4f")


def iterations(config: Config, method: str) -> tuple[int | None, int | None]:
    """Return a method's iterations, ours and the paper's; None for a method without iterations."""
    if method == WHOLE or method not in config.methods:
        return None, None
    entry = config.methods[method]
    ours = getattr(entry, "iterations", None)
    if ours is None or entry.algorithm not in paper_names.METHOD_NAMES:
        return ours, None
    return ours, type(entry)(algorithm=entry.algorithm).iterations


def augmentation_gains(config: Config, runs: pd.DataFrame) -> pd.DataFrame:
    """Return, per set and network, the gain of an augmentation at evaluation over none.

    Differences pair networks of the same two seeds: means of sets where a cell
    has several sets, else networks. Rows of method ``all`` hold the mean over
    the methods of an IPC, with the interval over methods.
    """
    final = runs[runs["iteration"] == frames.FINAL]
    plain = [n for n, entry in config.augmentations.items() if entry.policy == "none"]
    fixed = [*_SET, "architecture", "optimizer"]
    rows = []
    for key, part in final.groupby(fixed, sort=False):
        by_policy = part.pivot(index=_SEEDS, columns="augmentation", values="accuracy")
        for none in [name for name in plain if name in by_policy]:
            for name in [name for name in by_policy if name not in plain]:
                where = dict(zip(fixed, key, strict=True)) | {"augmentation": name}
                rows.append(where | _difference(by_policy, name, none))
    frame = pd.DataFrame(rows, columns=[*fixed, "augmentation", *_DIFFERENCE])
    frame = frame[frame["n"] > 0]
    over = [name for name in fixed if name != "method"] + ["augmentation"]
    return _with_mean_over_methods(frame, over)


def start_gains(config: Config, runs: pd.DataFrame, reference: str = "random") -> pd.DataFrame:
    """Return, along the iterations, the gain of another start over random images.

    Compares methods that differ only in ``init`` (and in the features that
    K-Center clusters). Rows of iteration ``along`` hold the mean over the
    iterations between 0 and the end, per seed: the speed of early progress.
    """
    rows = []
    fixed = ["dataset", "ipc", *paper_cells.WAY]
    for members in _methods_by_start(config):
        compared = _first_from(members, reference)
        if compared is None:
            continue
        part = runs[runs["method"].isin(members)]
        for key, block in part.groupby(fixed, sort=False):
            by_method = block.pivot(
                index=[*_SEEDS, "iteration"], columns="method", values="accuracy"
            ).astype(float)
            order = _iteration_order(block["iteration"])
            along = {i: by_method.xs(i, level="iteration") for i in order}
            if len(along) < 2:
                continue
            early = [part for i, part in along.items() if i not in ("0", frames.FINAL)]
            if early:
                along["along"] = sum(early) / len(early)
            for name, init in members.items():
                if init == reference or not {name, compared} <= set(by_method):
                    continue
                for iteration, accuracies in along.items():
                    where = dict(zip(fixed, key, strict=True))
                    where |= {"start": init, "method": name, "iteration": iteration}
                    rows.append(where | _difference(accuracies, name, compared))
    frame = pd.DataFrame(rows, columns=[*fixed, "start", "method", "iteration", *_DIFFERENCE])
    return frame[frame["n"] > 0]


def _methods_by_start(config: Config) -> list[dict[str, str]]:
    """Return the start of methods by name, a group for those that differ only in it."""
    groups: dict[tuple, dict[str, str]] = {}
    for name, entry in config.methods.items():
        if init := getattr(entry, "init", None):
            options = entry.model_dump(exclude={"init", "features"})
            groups.setdefault(tuple(sorted(map(repr, options.items()))), {})[name] = init
    return list(groups.values())


def _first_from(members: Mapping[str, str], start: str) -> str | None:
    """Return the first method of a group with a start; None if there is none."""
    return next((name for name, init in members.items() if init == start), None)


def _starts(config: Config, reference: str = "random") -> dict[str, tuple[str, str]]:
    """Return by method the one of its group that starts from random images, and its own start.

    Of methods with the same start (but other features) the first is there.
    """
    return {
        name: (compared, init)
        for members in _methods_by_start(config)
        if (compared := _first_from(members, reference))
        for name, init in members.items()
        if name == _first_from(members, init)
    }


def spread_of_sets(cells: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return how much of the spread of an accuracy comes from the choice of the condensed set.

    ``share`` is the set's share of a single network's variance
    (``statistics.variance``); ``std_of_networks`` and ``std`` are the spreads
    within a set and in total, ``factor`` is their ratio; ``printed_std`` is over
    networks of one set. ``cells`` is the frame of ``cells_beside_print``.
    """
    final = runs[runs["iteration"] == frames.FINAL]
    frame = statistics.variance(final, _CELL)
    within, between = frame["inner"].astype(float), frame["outer"].astype(float)
    frame["std_of_networks"], frame["std"] = np.sqrt(within), np.sqrt(within + between)
    frame["factor"] = frame["std"] / frame["std_of_networks"]
    frame["share"] = frame["share_outer"].astype(float)
    printed_std = cells.set_index(_CELL)["printed_std"]
    frame["printed_std"] = [printed_std.get(tuple(row)) for row in frame[_CELL].to_numpy()]
    names = ["sets", "networks", "std_of_networks", "std", "factor", "share"]
    return frame[[*_CELL, *names, "share_low", "share_high", "printed_std"]]


def _difference(accuracies: pd.DataFrame, first: str, second: str) -> dict[str, Any]:
    pairs, unit = statistics.pairs(accuracies, first, second)
    gaps = (pairs[first] - pairs[second]).to_numpy(float)
    return {"paired_on": unit} | _mean_with_interval(gaps)


def _mean_with_interval(values: np.ndarray) -> dict[str, float]:
    low, high = statistics.interval(values)
    mean = values.mean() if len(values) else float("nan")
    return {"n": len(values), "difference": mean, "low": low, "high": high}


def _with_mean_over_methods(frame: pd.DataFrame, over: list[str]) -> pd.DataFrame:
    rows = []
    for key, part in frame.groupby(over, sort=False):
        rows += part.to_dict("records")
        if len(part) > 1:
            where = dict(zip(over, key, strict=True)) | {"method": "all", "paired_on": "methods"}
            rows.append(where | _mean_with_interval(part["difference"].to_numpy(float)))
    return pd.DataFrame(rows, columns=frame.columns)


def _iteration_order(iterations: pd.Series) -> list[str]:
    return sorted(set(iterations), key=lambda i: float("inf") if i == frames.FINAL else int(i))
