"""The frames that ``statements`` judges: from the cells of a run, and from the printed tables.

Entries have the paper's names, where it has one. If several entries of a config
stand for the same method of the paper, only the one closest to it counts (then
the one with most iterations, then the first), so that no method counts twice.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from condensation.config.schema import Config
from condensation.paper import names, printed
from condensation.paper.cells import RAW, WAY, Cell, Cells
from condensation.paper.printed import Key, Number
from condensation.paper.statements import CELLS, CURVES, RANKINGS
from condensation.results import frames, statistics
from condensation.workflow.grid import WHOLE

ARCHITECTURES_OF_TABLE3 = 100  # of the paper's text; the released code draws 110
_CHANCE = {"CIFAR-10": 10.0, "CIFAR-100": 1.0, "TinyImageNet": 0.5}
_KEY = CELLS[:5]
_SEEDS = ["condensation_seed", "evaluation_seed"]


def cells_from_run(collected: Cells) -> pd.DataFrame:
    """Return the finished cells of methods in the paper, with the optimizer of the tables.

    ``std`` and ``n`` are over the means of sets where a cell has several sets, else over its
    ``networks``.
    """
    config, rows = collected.config, []
    for order, cell in enumerate(collected.cells.values()):
        name = None if cell.ipc == WHOLE else names.method(config, *cell.set)
        if name is None or name.name.endswith(RAW):
            continue
        if cell.optimizer != collected.reference["optimizer"]:
            continue
        summary = _summary(cell)
        if summary is None:
            continue
        ways = {way: getattr(names, way)(config, getattr(cell, way)) for way in WAY[:2]}
        dataset = names.dataset(config, cell.dataset)
        rows.append(
            {
                "dataset": cell.dataset,
                "method": name.name,
                "ipc": int(cell.ipc),
                **{way: known.name if known else getattr(cell, way) for way, known in ways.items()},
                **summary,
                "chance": _CHANCE.get(dataset.name if dataset else "", np.nan),
                "entry": cell.method,
                "far": len(name.differs),
                "iterations": -(getattr(config.methods[cell.method], "iterations", None) or 0),
                "far_way": sum(len(known.differs) for known in ways.values() if known),
                "order": order,
            }
        )
    frame = pd.DataFrame(rows, columns=[*CELLS, "networks", *_RANK])
    frame = frame.sort_values([name for name in _RANK if name != "entry"])
    first = frame.groupby(["dataset", "method", "ipc"])["entry"].transform("first")
    frame = frame[frame["entry"] == first].drop_duplicates(_KEY).sort_values("order")
    return frame[[*CELLS, "networks"]].reset_index(drop=True)


_RANK = ["entry", "far", "iterations", "far_way", "order"]


def curves_from_run(
    config: Config, runs: pd.DataFrame, starts: Mapping[str, tuple[str, str]]
) -> pd.DataFrame:
    """Return the cells of methods that differ only in their start, at each iteration.

    ``runs`` have one optimizer; ``starts`` holds by method the name of its group
    and its start. The iteration of a finished set is its method's number of iterations.
    """
    rows = []
    part = runs[runs["method"].isin(list(starts)) & runs["accuracy"].notna()]
    for key, block in part.groupby(frames.CELL, sort=False):
        where = dict(zip(frames.CELL, key, strict=True))
        group, start = starts[where["method"]]
        end = config.methods[where["method"]].iterations
        iteration = end if where["iteration"] == frames.FINAL else int(where["iteration"])
        rows.append(
            {
                **{name: where[name] for name in ("dataset", "architecture", "augmentation")},
                **{"method": group, "ipc": int(where["ipc"]), "start": start},
                "iteration": iteration,
                **_spread(block["accuracy"], block["condensation_seed"]),
                "networks": block.set_index(_SEEDS)["accuracy"].astype(float),
            }
        )
    # a snapshot of the last iteration equals the finished set
    frame = pd.DataFrame(rows, columns=[*CURVES, "networks"])
    return frame.drop_duplicates(CURVES[:7]).reset_index(drop=True)


def rankings_from_run(config: Config, ranking: pd.DataFrame) -> pd.DataFrame:
    """Return the condensed sets of a table ``nas.csv``, with their rank correlations."""
    rows = []
    for row in ranking.to_dict("records"):
        name = None
        if row["method"] in config.methods:
            name = names.METHOD_NAMES.get(config.methods[row["method"]].algorithm)
        if name and row["ipc"] != WHOLE and row["spearman"] == row["spearman"]:
            rows.append(
                {
                    **{"dataset": config.nas.dataset, "method": name, "ipc": int(row["ipc"])},
                    **{"correlation": row["spearman"], "n": int(row["architectures"])},
                }
            )
    return pd.DataFrame(rows, columns=RANKINGS)


def cells_from_print(numbers: Mapping[Key, Number]) -> pd.DataFrame:
    """Return the cells of Tables 4, 5 and 6, from numbers with corrected KIP columns.

    ``std`` is over five networks of one set, so it does not cover the choice of
    the set. A cell in several tables counts once, as in the first.
    """
    rows = []
    for (table, dataset, method, ipc, column), number in numbers.items():
        if table in (4, 5, 6) and method != printed.WHOLE and number.value is not None:
            axes = {"architecture": "ConvNet", "augmentation": "DSA"}
            axes |= {4: {"augmentation": column}, 5: {"architecture": column}, 6: {}}[table]
            spread = None if number.std is None else float(number.std)
            rows.append(
                {
                    **{"table": table, "dataset": dataset, "method": method, "ipc": int(ipc)},
                    **axes,
                    **{"mean": float(number.value), "std": spread, "n": printed.NETWORKS},
                    "chance": _CHANCE[dataset],
                }
            )
    frame = pd.DataFrame(rows, columns=["table", *CELLS]).sort_values("table", kind="stable")
    return frame.drop_duplicates(_KEY)[CELLS].astype({"std": float}).reset_index(drop=True)


def rankings_from_print(numbers: Mapping[Key, Number]) -> pd.DataFrame:
    """Return the correlations of Table 3, over the paper's 100 architectures."""
    rows = [
        (dataset, method, int(ipc), float(number.value), ARCHITECTURES_OF_TABLE3)
        for (table, dataset, method, ipc, column), number in numbers.items()
        if (table, column) == (3, "spearman_correlation") and ipc
    ]
    return pd.DataFrame(rows, columns=RANKINGS)


def _summary(cell: Cell) -> dict[str, Any] | None:
    networks = cell.networks["accuracy"].astype(float).dropna()
    if networks.empty:
        return None
    sets = pd.Series(networks.index.get_level_values("condensation_seed"), networks.index)
    return _spread(networks, sets) | {"networks": networks}


def _spread(accuracy: pd.Series, sets: pd.Series) -> dict[str, float]:
    summary = statistics.summary(accuracy, sets)
    several = summary["std_of_sets"] is not None
    return {
        "mean": summary["mean"],
        "std": summary["std_of_sets"] if several else summary["std"],
        "n": sets.nunique() if several else len(accuracy),
    }
