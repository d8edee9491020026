"""What a run shows at its end: accuracies, the files to open first, and the time. Free of torch."""

import csv
from collections.abc import Sequence
from pathlib import Path

from condensation.config.experiments import OWN
from condensation.core.progress import duration
from condensation.workflow.grid import WAY

_WIDTH = 100  # characters of a line

Accuracies = dict[tuple[str, str], str]  # by (method, IPC), in percent


def text(table: Path, first: Sequence[str], sets: str, seconds: float) -> str:
    """Return the last lines of a run.

    Parameters
    ----------
    table : ``accuracy.csv``.
    first : paths of the files to open first.
    sets : the pattern of the paths of the condensed sets.
    seconds : how long the run took.
    """
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["iteration"] == "end"]
    lines = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        way, accuracies = _most_complete([row for row in rows if row["dataset"] == dataset])
        shown = ", ".join(value for value in way if value != OWN)
        lines += [f"Test accuracy on {dataset} in percent ({shown}):", *_grid(accuracies)]
    lines += ["Open first:", *(f"  {path}" for path in first)]
    lines += [f"Condensed sets: {sets}", f"The run took {duration(seconds)}."]
    return "\n".join(lines)


def _most_complete(rows: Sequence[dict[str, str]]) -> tuple[tuple[str, ...], Accuracies]:
    """Return how most cells are evaluated (``grid.WAY``), and their accuracies."""
    ways: dict[tuple[str, ...], Accuracies] = {}
    for row in rows:
        mean = f"{float(row['mean']):.1f}" if row["mean"] not in ("", "nan") else "-"
        cells = ways.setdefault(tuple(row[name] for name in WAY), {})
        cells.setdefault((row["method"], row["ipc"]), mean)
    return max(ways.items(), key=lambda item: len(item[1]))


def _grid(accuracies: Accuracies) -> list[str]:
    """Return a row per IPC and a column per method, or the other way round if that is too wide."""
    methods = list(dict.fromkeys(method for method, _ in accuracies))
    sizes = list(dict.fromkeys(ipc for _, ipc in accuracies))
    by_size = [["IPC", *methods]]
    by_size += [[ipc, *(accuracies.get((name, ipc), "") for name in methods)] for ipc in sizes]
    lines = _aligned(by_size)
    if len(lines[0]) > _WIDTH:
        lines = _aligned([list(column) for column in zip(*by_size, strict=True)])
    return lines


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            text.rjust(width) if at else text.ljust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
