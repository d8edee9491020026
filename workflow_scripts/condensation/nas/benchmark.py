"""The true accuracies of the architectures of NAS-Bench-201.

The table has a row per architecture: its string, and its test accuracy in
percent after 200 epochs, mean over seeds. Free of torch.
"""

import csv
import math
from pathlib import Path

from condensation.core.errors import InputError, nearest
from condensation.networks import cells201

ARCHITECTURE = "ArchitectureString"


def read(path: str | Path, column: str) -> dict[str, float]:
    """Return the accuracy in percent by architecture string, in the order of the table.

    Raises
    ------
    InputError,
        With the line, for a missing column, a repeated row, a malformed architecture and an
        accuracy outside 0 to 100.
    """
    accuracies: dict[str, float] = {}
    lines: dict[cells201.Cell, int] = {}
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            present = [name for name in rows.fieldnames or [] if name]
            for name in (ARCHITECTURE, column):
                if name not in present:
                    listed = ", ".join(present) or "none"
                    raise InputError(
                        f"{path}: no column {name!r} (it has: {listed}){nearest(name, present)}"
                    )
            for row in rows:
                line = rows.line_num
                try:
                    cell = cells201.parse((row[ARCHITECTURE] or "").strip())
                except InputError as error:
                    raise InputError(f"{path}, line {line}: {error}") from None
                if cell in lines:
                    raise InputError(
                        f"{path}: {cells201.text(cell)} is there twice, in lines "
                        f"{lines[cell]} and {line}"
                    )
                lines[cell] = line
                accuracies[cells201.text(cell)] = _percent(row[column], path, line, column)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV file ({error})") from error
    if not accuracies:
        raise InputError(f"{path}: holds no architectures")
    return accuracies


def _percent(value: str | None, path: str | Path, line: int, column: str) -> float:
    try:
        accuracy = float(value or "")
    except ValueError:
        accuracy = math.nan
    if not 0 <= accuracy <= 100:
        raise InputError(
            f"{path}, line {line}: {column} is {value!r}; expected an accuracy in percent"
        )
    return accuracy
