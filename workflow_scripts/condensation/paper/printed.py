"""The paper's printed numbers, and the slips in them.

The files of ``config/paper`` hold Tables 1 to 9 of DC-BENCH (Cui et al., 2022)
as printed. Sums are done in decimals, because a slip is a matter of the last digit.
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pandas as pd

from condensation.core.errors import InputError

TABLES = range(1, 10)
NETWORKS = 5  # behind every printed mean and spread
WITHOUT, AUGMENTATIONS = "n/a", ("imagenet_aug", "randaug", "autoaug", "DSA")
TRANSFER = ("MLP", "ResNet18", "ResNet152", "ViT")
WHOLE = "Whole Dataset"
# Table 4 heads KIP's five columns one place too far to the left: what is printed under the first
# name belongs under the second. DSA and n/a follow from Tables 1, 2, 5 and 7, the order of the
# other three from the rotation.
KIP_COLUMNS = dict(zip((WITHOUT, *AUGMENTATIONS), (*AUGMENTATIONS, WITHOUT), strict=True))
_LARGEST = 10**9  # seconds and MB are printed too
_ROUNDING = Decimal("0.005")  # of two printed decimals
_COLUMN = {  # what tells a table's columns apart
    1: "statistic",
    2: "architecture",
    3: "metric",
    4: "augmentation",
    5: "architecture",
    6: None,
    7: "optimizer",
    8: "metric",
    9: "kmeans_feature",
}

Key = tuple[int, str, str, str, str]  # table, dataset, method, IPC, column


@dataclass(frozen=True)
class Number:
    """One printed number; ``value`` and ``std`` are None where there is none."""

    text: str
    value: Decimal | None
    std: Decimal | None


def load(files: list[str | Path]) -> dict[Key, Number]:
    """Return every printed number of ``table<n>.csv`` and ``whole_dataset.csv``.

    ConvNetD3 and ConvNetD4 are both ``ConvNet``; an IPC is text, and that of
    the whole training set is empty. Table 4's columns are those printed.

    Raises InputError for a file that is none of these, or damaged.
    """
    numbers = {}
    for path in map(Path, files):
        stem = path.stem.removeprefix("table")
        table = 4 if path.stem == "whole_dataset" else int(stem) if stem.isdecimal() else None
        if table not in TABLES:
            raise InputError(f"{path}: expected table1.csv to table9.csv, or whole_dataset.csv")
        try:
            rows = pd.read_csv(path, dtype=str, keep_default_na=False)
            for row in rows.to_dict("records"):
                key, number = _number(table, row)
                numbers[key] = number
        except (OSError, KeyError, ArithmeticError, ValueError) as error:
            raise InputError(f"{path}: not a table of printed numbers ({error!r})") from error
    return numbers


def _number(table: int, row: dict[str, str]) -> tuple[Key, Number]:
    ipc = row["ipc_in_released_code" if table == 3 else "ipc"]
    column = row[_COLUMN[table]] if _COLUMN[table] else ""
    if column.startswith("ConvNet"):
        column = "ConvNet"
    if row["method"] == WHOLE:
        column = "DSA"
    text = row["mean"] or "-"
    value = None if text in ("-", "OOM") else _decimal(text)
    std = _decimal(row["std"]) if row.get("std") else None
    return (table, row["dataset"], row["method"], ipc, column), Number(text, value, std)


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not abs(number) < _LARGEST:
        raise ValueError(f"{text} is no printed number")
    return number


def reread(numbers: dict[Key, Number]) -> dict[Key, Number]:
    """Return the numbers with Table 4's KIP columns under the names that they belong to."""
    return {
        (*key[:4], KIP_COLUMNS[key[4]]) if key[0] == 4 and key[2] == "KIP" else key: number
        for key, number in numbers.items()
    }


def slips(numbers: dict[Key, Number]) -> pd.DataFrame:
    """Return the cells of Tables 1 and 2 that Tables 4 and 5 contradict by more than rounding.

    A row: ``table, dataset, method, ipc, column, printed, implied, difference, remark``;
    ``implied`` is what Table 4 (for Table 1) or Table 5 (for Table 2) gives as printed.
    """
    rows = []
    for (table, dataset, method, ipc, column), number in numbers.items():
        if table not in (1, 2) or number.value is None or method == WHOLE:
            continue
        implied = _implied(numbers, table, dataset, method, ipc, column)
        if implied is not None and abs(number.value - implied) > _ROUNDING:
            cell = (table, dataset, method, ipc, column)
            about = dict(zip(("table", "dataset", "method", "ipc", "column"), cell, strict=True))
            about |= {"printed": number.value, "implied": implied}
            about["difference"] = number.value - implied
            rows.append(about | {"remark": _remark(numbers, *cell, number.value, implied)})
    columns = ["table", "dataset", "method", "ipc", "column"]
    return pd.DataFrame(rows, columns=[*columns, "printed", "implied", "difference", "remark"])


def _implied(
    numbers: dict[Key, Number], table: int, dataset: str, method: str, ipc: str, column: str
) -> Decimal | None:
    source = 4 if table == 1 else 5
    names = {"avg": AUGMENTATIONS, "best": AUGMENTATIONS, "Transfer": TRANSFER}
    wanted = names.get(column, (column,))
    cells = [numbers.get((source, dataset, method, ipc, name)) for name in wanted]
    values = [cell.value for cell in cells if cell is not None]
    if len(values) < len(wanted):
        return None
    return max(values) if column == "best" else sum(values) / len(values)


def _remark(
    numbers: dict[Key, Number],
    table: int,
    dataset: str,
    method: str,
    ipc: str,
    column: str,
    printed: Decimal,
    implied: Decimal,
) -> str:
    if method == "KIP" and table == 1:
        again = _implied(reread(numbers), table, dataset, method, ipc, column)
        if again is not None and abs(again - printed) <= _ROUNDING:
            return "agrees once Table 4's KIP columns are read one place on"
    if abs(printed - implied) <= 2 * _ROUNDING:
        return "rounding"
    if sorted(str(printed)) == sorted(f"{implied:.2f}"):
        return "the same digits in another order"
    dsa = numbers.get((4, dataset, method, ipc, "DSA"))
    if column == "best" and dsa is not None and dsa.value == printed:
        return "DSA's value, which is not the best one"
    return ""


def implied(numbers: dict[Key, Number]) -> dict[Key, Decimal]:
    """Return what the other tables imply for each cell of ``slips``."""
    found = slips(numbers)
    keys = found[["table", "dataset", "method", "ipc", "column"]]
    return dict(zip(keys.itertuples(index=False, name=None), found["implied"], strict=True))


def checks(numbers: dict[Key, Number]) -> pd.DataFrame:
    """Return which tables repeat each other's numbers: ``check, agree, of, exceptions``.

    Mean and, where both print one, spread are compared.
    """

    def agreement(name: str, pairs: list[tuple[Key, Key]]) -> dict:
        wrong = []
        for one, other in pairs:
            a, b = numbers[one], numbers[other]
            spreads_differ = None not in (a.std, b.std) and a.std != b.std
            if a.value != b.value or spreads_differ:
                wrong.append(f"{one[2]} {one[1]} {one[3]}".strip())
        agree = len(pairs) - len(wrong)
        return {"check": name, "agree": agree, "of": len(pairs), "exceptions": ", ".join(wrong)}

    def pairs(table: int, column: str, other: str, only: str = "", shift: int = 4) -> list:
        found = []
        for key in numbers:
            if key[0] == table and key[4] == column and key[2] != WHOLE and only in key[2]:
                partner = (shift, *key[1:4], other)
                if partner in numbers and numbers[key].value is not None:
                    found.append((key, partner))
        return found

    whole = [(key, (4, *key[1:])) for key in numbers if key[0] == 1 and key[2] == WHOLE]
    return pd.DataFrame(
        [
            agreement("Table 5, ConvNet = Table 4, DSA", pairs(5, "ConvNet", "DSA")),
            agreement("Table 6 = Table 4, DSA", pairs(6, "", "DSA")),
            agreement("Table 7, SGD = Table 4, DSA", pairs(7, "SGD", "DSA")),
            agreement("Table 9, embedding = Table 4, DSA", pairs(9, "embedding", "DSA")),
            agreement("Table 1, whole set = the text's", whole),
            agreement("KIP: Table 1, n/a = Table 4, column DSA", pairs(1, WITHOUT, "DSA", "KIP")),
            agreement(
                "KIP: Table 5, ConvNet = Table 4, column autoaug",
                pairs(5, "ConvNet", "autoaug", "KIP"),
            ),
            agreement(
                "KIP: Table 7, SGD = Table 4, column autoaug", pairs(7, "SGD", "autoaug", "KIP")
            ),
        ]
    )


def markdown(numbers: dict[Key, Number]) -> str:
    """Return the page of the paper's slips."""
    found, held = slips(numbers), checks(numbers)
    kip = [
        {"dataset": dataset, "ipc": ipc}
        | {name: numbers[(4, dataset, "KIP", ipc, name)].text for name in KIP_COLUMNS}
        for table, dataset, method, ipc, column in numbers
        if (table, method, column) == (4, "KIP", WITHOUT)
    ]
    kip.append({"dataset": "read as", "ipc": "", **KIP_COLUMNS})
    parts = [
        "# Slips in the printed tables",
        "Computed from the numbers as printed (`config/paper`). Table 1 follows from Table 4, and "
        "Table 2 from Table 5; a cell is listed where they differ by more than rounding (0.005).",
        f"## {len(found)} cells of Tables 1 and 2",
        found.to_markdown(index=False, disable_numparse=True),
        "## KIP's rows of Table 4",
        "Its columns are printed one place off: Table 1's n/a is the column headed DSA in every "
        "row, and Tables 5 and 7 quote the column headed autoaug as DSA's. The last line says what "
        "each column is. For the first three that is inferred from the rotation.",
        pd.DataFrame(kip).to_markdown(index=False, disable_numparse=True),
        "## Where tables repeat each other",
        held.to_markdown(index=False),
    ]
    return "\n\n".join(parts) + "\n"
