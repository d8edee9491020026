"""From records to tidy tables."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from condensation import storage
from condensation.errors import InputError
from condensation.grid import WHOLE, Cell, Grid, SetId

_SET = ["dataset", "method", "ipc", "condensation_seed", "iteration"]
_WAY = ["architecture", "augmentation", "optimizer"]
CELL = ["dataset", "method", "ipc", "iteration", *_WAY]
FINAL = "end"  # the iteration of a finished set


def runs(records: Iterable[str | Path]) -> pd.DataFrame:
    """Return one row per trained network: the cell, both seeds, accuracy (percent) and loss.

    Raises InputError for a damaged record, and for two records of one network.
    """
    rows = []
    for path in records:
        record = storage.read_json(path)
        for row in record["rows"]:
            about = {"evaluation_seed": row["seed"], **record["cell"], "status": row["status"]}
            about["iteration"] = _iteration(about.get("iteration"))
            values = {"accuracy": row["accuracy"], "loss": row["loss"]}
            rows.append(about | values | {"record": str(path)})
    columns = [*_SET, *_WAY, "evaluation_seed", "status", "accuracy", "loss", "record"]
    frame = pd.DataFrame(rows, columns=columns)
    twice = frame[frame.duplicated([*_SET, *_WAY, "evaluation_seed"], keep=False)]
    if len(twice):
        files = " and ".join(sorted(set(twice["record"]))[:2])
        raise InputError(f"two records of the same network: {files}")
    return frame


def accuracy(frame: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Return one row per experiment and cell.

    ``mean`` and ``std`` (population, as in the paper) are over all networks of
    the cell, but for those that ``diverged`` or ran out of memory (``oom``),
    which are counted; ``std_of_sets`` is that of the sets' means, where a cell
    has several condensed sets.
    """
    keyed = frame.set_index([*_SET, *_WAY, "evaluation_seed"])[["accuracy", "status"]]
    keyed = dict(zip(keyed.index, keyed.itertuples(index=False, name=None), strict=True))
    rows = []
    for experiment, cells in grid.experiments.items():
        for key, members in _by_cell(cells).items():
            values = pd.DataFrame(
                [
                    (cell.set.condensation_seed, *keyed[_key(cell, seed)])
                    for cell in members
                    for seed in range(cells[cell])
                ],
                columns=["set", "accuracy", "status"],
            ).astype({"accuracy": float})
            of_sets = values.groupby("set")["accuracy"].mean()
            rows.append(
                {
                    "experiment": experiment,
                    **dict(zip(CELL, key, strict=True)),
                    "sets": len(of_sets),
                    "networks": len(values),
                    "oom": int((values["status"] == "oom").sum()),
                    "diverged": int((values["status"] == "diverged").sum()),
                    "mean": values["accuracy"].mean(),
                    "std": values["accuracy"].std(ddof=0),
                    "std_of_sets": of_sets.std(ddof=0) if len(of_sets) > 1 else None,
                }
            )
    return pd.DataFrame(rows)


def _by_cell(cells: Iterable[Cell]) -> dict[tuple, list[Cell]]:
    """Cells that differ in the condensation seed alone, together."""
    groups: dict[tuple, list[Cell]] = {}
    for cell in cells:
        one = cell.set
        key = (one.dataset, one.method, one.ipc, _iteration(one.iteration))
        groups.setdefault((*key, *(getattr(cell, way) for way in _WAY)), []).append(cell)
    return groups


def _key(cell: Cell, evaluation_seed: int) -> tuple:
    one: SetId = cell.set
    ways = (getattr(cell, way) for way in _WAY)
    about = (one.dataset, one.method, one.ipc, one.condensation_seed, _iteration(one.iteration))
    return (*about, *ways, evaluation_seed)


def _iteration(iteration: int | None) -> str:
    return FINAL if iteration is None else str(iteration)


def ipc_order(values: Iterable[str]) -> list[str]:
    """Return IPC values from small to large, the whole training set last."""
    return sorted(set(values), key=lambda ipc: float("inf") if ipc == WHOLE else int(ipc))


def markdown(table: pd.DataFrame) -> str:
    """Return the accuracy table for reading: an experiment a section, an IPC a column."""
    parts = [
        "# Accuracy\n\nTest accuracy in percent, mean ± population standard deviation over all "
        "networks of a cell. `sets` is the number of condensed sets, `networks` the number of "
        "networks trained on them, each on one.\n"
    ]
    for (experiment, dataset), part in table.groupby(["experiment", "dataset"], sort=False):
        part = part.assign(
            cell=list(map(_text, part["mean"], part["std"], part["diverged"], part["oom"])),
        )
        rows = [*_WAY, "method", "sets", "networks"]
        if (part["iteration"] != FINAL).any():
            rows.insert(rows.index("method") + 1, "iteration")
        wide = part.pivot(index=rows, columns="ipc", values="cell")
        wide = wide[ipc_order(part["ipc"])].reindex(
            pd.MultiIndex.from_frame(part[rows].drop_duplicates())
        )
        wide.columns = [f"IPC {ipc}" if ipc != WHOLE else "whole set" for ipc in wide.columns]
        text = wide.fillna("").reset_index().to_markdown(index=False, disable_numparse=True)
        parts.append(f"## {experiment}: {dataset}\n\n{text}\n")
    return "\n".join(parts)


def _text(mean: float, std: float, diverged: int, oom: int) -> str:
    if oom:
        return "OOM"
    text = f"{mean:.2f} ± {std:.2f}" if mean == mean else "-"
    return f"{text} ({diverged} diverged)" if diverged else text
