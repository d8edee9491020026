"""Tidy tables from records."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from condensation.config.experiments import OWN
from condensation.config.schema import Config
from condensation.core.errors import InputError
from condensation.results import statistics
from condensation.results.records import FAILED, Records, cell_of, check
from condensation.workflow.grid import WAY, WHOLE, Cell, Grid, SetId

_SET = ["dataset", "method", "ipc", "condensation_seed", "iteration"]
_NETWORK = [*_SET, *WAY, "evaluation_seed"]
CELL = ["dataset", "method", "ipc", "iteration", *WAY]
_VALUES = ["accuracy", "first_half", "second_half", "loss", "calibration_error"]
_RECORD = ["set_status", "set_labels", "other_code", "record"]
MISSING = "missing"  # the status of a network without a record
LOST = (*FAILED, MISSING)
COUNTS = ["sets", "networks", *LOST]
_STATISTICS = ["mean", "std", "std_of_sets", "low", "high"]
FINAL = "end"  # the iteration of a finished set


def runs(
    records: Records, config: Config | None = None, left_out: list[str] | None = None
) -> pd.DataFrame:
    """Return one row per trained network: the cell, both seeds, accuracy (percent) and loss.

    ``first_half`` and ``second_half`` are accuracies on half of the test images
    each, ``set_status`` is the status of the condensed set, ``set_labels`` says whether its own
    are ``soft`` or ``hard``, and ``other_code`` marks records that other code made, or whose set it
    made.

    Raises
    ------
    InputError
        For a record that ``records.check`` refuses and for two records of one network;
        ``config`` and ``left_out`` as there.
    """
    rows = []
    for record in check(records, config, left_out):
        for row in record["rows"]:
            halves = row.get("accuracy_of_halves") or [None, None]
            values = {name: row.get(name) for name in ("accuracy", "loss", "calibration_error")}
            values |= dict(zip(("first_half", "second_half"), halves, strict=True))
            set_facts = record.get("set") or {}
            values["set_status"] = set_facts.get("status") or "ok"
            values["set_labels"] = set_facts.get("labels") or ""
            values |= {"other_code": record["other_code"], "record": record["path"]}
            rows.append(_network_key(record, row) | {"status": row["status"]} | values)
    columns = [*_NETWORK, "status", *_VALUES, *_RECORD]
    frame = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(_VALUES, float))
    repeated = frame[frame.duplicated(_NETWORK, keep=False)]
    if len(repeated):
        files = " and ".join(sorted(set(repeated["record"]))[:2])
        raise InputError(f"two records of the same network: {files}")
    return frame


def with_missing(frame: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Return ``runs`` with a row of status ``missing`` for each network without a record."""
    recorded = set(frame[_NETWORK].itertuples(index=False, name=None))
    rows = [
        dict(zip(_NETWORK, key, strict=True))
        | {"status": MISSING, "set_status": "", "set_labels": "", "other_code": False, "record": ""}
        for cell, seeds in grid.cells.items()
        for seed in range(seeds)
        if (key := _key(cell, seed)) not in recorded
    ]
    if not rows:
        return frame
    return pd.DataFrame([*frame.to_dict("records"), *rows], columns=frame.columns).astype(
        dict.fromkeys(_VALUES, float)
    )


@contextlib.contextmanager
def readable_table(path: str | Path) -> Iterator[None]:
    """Turn what pandas raises for a damaged or foreign table into an InputError."""
    try:
        yield
    except (OSError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a table of this pipeline, or damaged ({reason})") from error


def load_runs(path: str | Path) -> pd.DataFrame:
    """Read the frame of ``runs`` from a CSV file; InputError if it holds another table."""
    text = dict.fromkeys([*_SET, *WAY, "status", *_RECORD], str)
    kinds = text | {"condensation_seed": int, "evaluation_seed": int, "other_code": bool}
    kinds |= dict.fromkeys(_VALUES, float)
    with readable_table(path):
        frame = pd.read_csv(
            path, dtype=text, keep_default_na=False, na_values={n: [""] for n in _VALUES}
        )
        frame["other_code"] = frame["other_code"].map({"True": True, "False": False})
        return frame.astype(kinds)


def load_accuracy(path: str | Path) -> pd.DataFrame:
    """Read the frame of ``accuracy`` from a CSV file, absent numbers as NaN.

    Raises
    ------
    InputError
        If it holds another table.
    """
    # read as text first: names may look like numbers, and `none` is a name
    with readable_table(path):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table = table.replace({name: {"": "nan"} for name in _STATISTICS})
        return table.astype(dict.fromkeys(_STATISTICS, float) | dict.fromkeys(COUNTS, int))


def costs(set_costs: Mapping[SetId, Mapping[str, Any]], runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per condensed set with its cost, from the contents of ``cost.json``.

    ``seconds_per_iteration`` (median) and its quartiles are NaN for a method
    without iterations; ``memory_mb`` is the peak of the device on CUDA, else of
    the process; ``failed`` is the status of a failed set, else empty.
    """
    statuses = runs.set_index(["dataset", "method", "ipc", "condensation_seed"])["set_status"]
    statuses = statuses[~statuses.index.duplicated()]
    rows = []
    for set_id, cost in set_costs.items():
        key = (set_id.dataset, set_id.method, set_id.ipc, set_id.condensation_seed)
        status = statuses.get(key, "ok")
        quartiles = cost.get("seconds_per_iteration_quartiles") or [None, None]
        rows.append(
            {
                **dict(zip(_SET, key, strict=False)),
                "seconds_per_iteration": cost.get("seconds_per_iteration"),
                "first_quartile": quartiles[0],
                "third_quartile": quartiles[1],
                "seconds": cost["seconds"],
                "memory_mb": cost.get("peak_cuda_mb", cost["peak_rss_mb"]),
                "device": cost["device_name"],
                "failed": "" if status in ("ok", "") else status,
            }
        )
    numbers = ["seconds_per_iteration", "first_quartile", "third_quartile", "seconds", "memory_mb"]
    frame = pd.DataFrame(rows, columns=[*_SET[:-1], *numbers, "device", "failed"])
    return frame.astype(dict.fromkeys(numbers, float))


def per_class(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per network and class: the cell, both seeds, ``class`` and accuracy."""
    rows = [
        _network_key(record, row) | {"class": name, "accuracy": value}
        for record in records
        for row in record["rows"]
        for name, value in (row.get("per_class") or {}).items()
    ]
    return pd.DataFrame(rows, columns=[*_NETWORK, "class", "accuracy"])


def corruptions(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per network and corruption, of records with ``corruptions``.

    The cell, both seeds, ``corruption``, ``clean``, which is the accuracy on the images as they
    are, and ``accuracy``, the mean over the strengths of the corruption; NaN where the network gave
    no result at some strength.
    """
    rows = [
        _network_key(record, row)
        | {"corruption": name, "clean": row["accuracy"]}
        | {"accuracy": None if None in accuracies else sum(accuracies) / len(accuracies)}
        for record in records
        for row in record["rows"]
        for name, accuracies in (row.get("corruptions") or {}).items()
    ]
    columns = ["corruption", "clean", "accuracy"]
    return pd.DataFrame(rows, columns=[*_NETWORK, *columns]).astype(
        {"clean": float, "accuracy": float}
    )


def _network_key(record: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    key = {"evaluation_seed": row["seed"], **cell_of(record)}
    return key | {"iteration": _iteration(key.get("iteration"))}


def accuracy(frame: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Return one row per experiment and cell.

    ``statistics.summary`` describes ``mean``, the spreads and the 95 % interval
    from ``low`` to ``high``. Networks that ``diverged``, ran out of memory
    (``oom``) or are ``missing`` are counted and left out.

    Raises
    ------
    InputError
        For a network of the grid without a record, and for a record that the grid does not
        ask for.
    """
    _require_all(frame, grid)
    keyed = frame.set_index(_NETWORK)[["accuracy", "status"]]
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
            rows.append(
                {
                    "experiment": experiment,
                    **dict(zip(CELL, key, strict=True)),
                    "sets": values["set"].nunique(),
                    "networks": len(values),
                    **{status: int((values["status"] == status).sum()) for status in LOST},
                    **statistics.summary(values["accuracy"], values["set"]),
                }
            )
    return pd.DataFrame(rows, columns=["experiment", *CELL, *COUNTS, *_STATISTICS])


def _require_all(frame: pd.DataFrame, grid: Grid) -> None:
    networks = frame[_NETWORK].itertuples(index=False, name=None)
    files = dict(zip(networks, frame["record"], strict=True))
    expected = {_key(cell, seed) for cell, seeds in grid.cells.items() for seed in range(seeds)}
    for key in sorted(expected - set(files)):
        network = ", ".join(f"{n} {v}" for n, v in zip(_NETWORK, key, strict=True))
        raise InputError(f"no record of this network: {network}; `snakemake evaluations` makes it")
    for key in sorted(set(files) - expected):
        raise InputError(f"{files[key]}: holds a network that no experiment asks for; move it away")


def _by_cell(cells: Iterable[Cell]) -> dict[tuple, list[Cell]]:
    """Group cells that differ in the condensation seed alone."""
    groups: dict[tuple, list[Cell]] = {}
    for cell in cells:
        key = (cell.set.dataset, cell.set.method, cell.set.ipc, _iteration(cell.set.iteration))
        groups.setdefault((*key, *(getattr(cell, way) for way in WAY)), []).append(cell)
    return groups


def _key(cell: Cell, evaluation_seed: int) -> tuple:
    """Return the values of ``_NETWORK``."""
    set_id = cell.set
    key = (set_id.dataset, set_id.method, set_id.ipc, set_id.condensation_seed)
    ways = (getattr(cell, way) for way in WAY)
    return (*key, _iteration(set_id.iteration), *ways, evaluation_seed)


def _iteration(iteration: int | None) -> str:
    return FINAL if iteration is None else str(iteration)


def ipc_order(values: Iterable[str]) -> list[str]:
    """Return IPC values from small to large, the whole training set last."""
    return sorted(set(values), key=lambda ipc: float("inf") if ipc == WHOLE else int(ipc))


def markdown(
    table: pd.DataFrame, runs: pd.DataFrame | None = None, mixed: Sequence[str] = ()
) -> str:
    """Return the accuracy table as Markdown: a section per experiment, a column per IPC.

    ``runs`` adds a note on records that other code made, ``mixed`` one on precisions
    (``records.mixed_precisions``).
    """
    parts = [
        "# Accuracy\n\nTest accuracy in percent: the mean of a cell ± the population standard "
        "deviation over its networks. `sets` counts condensed sets, `networks` the networks "
        "trained on them, each on one set.\n"
    ]
    if missing := int(table["missing"].sum()):
        parts.append(
            f"Incomplete: {missing} of {int(table['networks'].sum())} networks are missing, "
            "because a job failed or has not run yet. Run again to make them.\n"
        )
    old = [] if runs is None else sorted(set(runs["record"][runs["other_code"]]))
    if old:
        parts.append(
            f"Other code than the present made {len(old)} records or their sets, with the same "
            f"options (`snakemake --touch` accepts that). The first of them is {old[0]}\n"
        )
    if mixed:
        parts.append(f"Computed in different precisions: {'; '.join(mixed)}.\n")
    if table.empty:
        parts.append("No experiment holds a cell.\n")
    for (experiment, dataset), part in table.groupby(["experiment", "dataset"], sort=False):
        part = part.assign(cell=[_text(row) for row in part.to_dict("records")])
        rows = [*WAY, "method", "sets", "networks"]
        if (part["labels"] == OWN).all():
            rows.remove("labels")
        if (part["iteration"] != FINAL).any():
            rows.insert(rows.index("method") + 1, "iteration")
        wide = part.pivot(index=rows, columns="ipc", values="cell")
        wide = wide[ipc_order(part["ipc"])].reindex(
            pd.MultiIndex.from_frame(part[rows].drop_duplicates())
        )
        wide.columns = [f"IPC {ipc}" if ipc != WHOLE else "whole set" for ipc in wide.columns]
        text = wide.fillna("").reset_index().to_markdown(index=False, disable_numparse=True)
        if part["mean"].isna().all():
            text = f"No network of this experiment gave a result.\n\n{text}"
        parts.append(f"## {experiment}: {dataset}\n\n{text}\n")
    return "\n".join(parts)


def _text(row: dict[str, Any]) -> str:
    if row["oom"]:
        return "OOM"
    lost = {name: row[name] for name in LOST if row[name]}
    if row["mean"] != row["mean"]:
        return next(iter(lost), "-")
    text = f"{row['mean']:.2f}"
    if row["std"] == row["std"]:
        text += f" ± {row['std']:.2f}"
    counts = ", ".join(f"{count} {name}" for name, count in lost.items())
    return f"{text} ({counts})" if counts else text
