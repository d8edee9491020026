"""The paper's printed numbers, and the slips in them.

The files of ``config/paper`` hold Tables 1 to 9 of DC-BENCH (Cui et al., 2022)
as printed. Sums use decimals, because slips show in the last digit.
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pandas as pd

from condensation.core.errors import InputError

TABLES = range(1, 10)
NETWORKS = 5  # per printed mean and spread
WITHOUT, AUGMENTATIONS = "n/a", ("imagenet_aug", "randaug", "autoaug", "DSA")
TRANSFER = ("MLP", "ResNet18", "ResNet152", "ViT")
WHOLE = "Whole Dataset"
# The headings of KIP's five columns in Table 4 are rotated by one place: numbers under the first
# name belong to the second. For DSA and n/a this follows from Tables 1, 2, 5 and 7, for the other
# three from the rotation.
KIP_COLUMNS = dict(zip((WITHOUT, *AUGMENTATIONS), (*AUGMENTATIONS, WITHOUT), strict=True))
_LARGEST = 10**9  # seconds and MB are printed too
_ROUNDING = Decimal("0.005")  # of two printed decimals
_COLUMN = {  # the name of a table's column axis
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
_KEY = ["table", "dataset", "method", "ipc", "column"]


@dataclass(frozen=True)
class Number:
    """One printed number; ``value`` and ``std`` are None if they are missing."""

    text: str
    value: Decimal | None
    std: Decimal | None


def load(files: list[str | Path]) -> dict[Key, Number]:
    """Return the printed numbers of ``table<n>.csv`` and ``whole_dataset.csv``.

    ConvNetD3 and ConvNetD4 are both ``ConvNet``; an IPC is text, and empty for
    the whole training set. KIP's columns of Table 4 have the printed names.

    Raises
    ------
    InputError
        For another or a damaged file.
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
        raise ValueError(f"{text} is not a printed number")
    return number


def correct_kip_columns(numbers: dict[Key, Number]) -> dict[Key, Number]:
    """Return the numbers with KIP's columns of Table 4 under their right names."""
    return {
        (*key[:4], KIP_COLUMNS[key[4]]) if key[0] == 4 and key[2] == "KIP" else key: number
        for key, number in numbers.items()
    }


def slips(numbers: dict[Key, Number]) -> pd.DataFrame:
    """Return the cells of Tables 1 and 2 that Tables 4 and 5 contradict by more than rounding.

    Columns ``table, dataset, method, ipc, column, printed, implied, difference, remark``;
    ``implied`` follows from Table 4 (for Table 1) or Table 5 (for Table 2) as printed.
    """
    rows = []
    for (table, dataset, method, ipc, column), number in numbers.items():
        if table not in (1, 2) or number.value is None or method == WHOLE:
            continue
        implied = _implied(numbers, table, dataset, method, ipc, column)
        if implied is not None and abs(number.value - implied) > _ROUNDING:
            key = (table, dataset, method, ipc, column)
            remark = _remark(numbers, *key, number.value, implied)
            rows.append((*key, number.value, implied, number.value - implied, remark))
    return pd.DataFrame(rows, columns=[*_KEY, "printed", "implied", "difference", "remark"])


def _implied(
    numbers: dict[Key, Number], table: int, dataset: str, method: str, ipc: str, column: str
) -> Decimal | None:
    source = 4 if table == 1 else 5
    names = {"avg": AUGMENTATIONS, "best": AUGMENTATIONS, "Transfer": TRANSFER}
    columns = names.get(column, (column,))
    cells = [numbers.get((source, dataset, method, ipc, name)) for name in columns]
    values = [cell.value for cell in cells if cell is not None]
    if len(values) < len(columns):
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
        corrected = _implied(correct_kip_columns(numbers), table, dataset, method, ipc, column)
        if corrected is not None and abs(corrected - printed) <= _ROUNDING:
            return "agrees with Table 4's KIP columns under their right names"
    if abs(printed - implied) <= 2 * _ROUNDING:
        return "rounding"
    if sorted(str(printed)) == sorted(f"{implied:.2f}"):
        return "the same digits in another order"
    dsa = numbers.get((4, dataset, method, ipc, "DSA"))
    if column == "best" and dsa is not None and dsa.value == printed:
        return "the value of DSA, which is not the best"
    return ""


def implied_values(numbers: dict[Key, Number]) -> dict[Key, Decimal]:
    """Return the value that the other tables imply for each cell of ``slips``."""
    table = slips(numbers)
    keys = table[_KEY].itertuples(index=False, name=None)
    return dict(zip(keys, table["implied"], strict=True))


def repeated_numbers(numbers: dict[Key, Number]) -> pd.DataFrame:
    """Compare numbers that several tables print: columns ``check, agree, of, exceptions``.

    Compares the means, and the spreads where both tables print one.
    """

    def agreement(name: str, pairs: list[tuple[Key, Key]]) -> dict:
        wrong = []
        for first, second in pairs:
            a, b = numbers[first], numbers[second]
            spreads_differ = None not in (a.std, b.std) and a.std != b.std
            if a.value != b.value or spreads_differ:
                wrong.append(f"{first[2]} {first[1]} {first[3]}".strip())
        agree = len(pairs) - len(wrong)
        return {"check": name, "agree": agree, "of": len(pairs), "exceptions": ", ".join(wrong)}

    def pairs(table: int, column: str, other: str, only: str = "", shift: int = 4) -> list:
        matches = []
        for key in numbers:
            if key[0] == table and key[4] == column and key[2] != WHOLE and only in key[2]:
                partner = (shift, *key[1:4], other)
                if partner in numbers and numbers[key].value is not None:
                    matches.append((key, partner))
        return matches

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
    slips_found, repeats = slips(numbers), repeated_numbers(numbers)
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
        "Table 2 from Table 5; the list has the cells that differ by more than 0.005. The "
        "one marked *rounding* differs by 0.01, which rounding alone can cause.",
        f"## {len(slips_found)} cells of Tables 1 and 2",
        slips_found.to_markdown(index=False, disable_numparse=True),
        "## KIP's rows of Table 4",
        "The headings are rotated by one place: in all rows Table 1's n/a equals the column headed "
        "DSA, and Tables 5 and 7 have the column headed autoaug as DSA. The last line gives the "
        "right names. For the first three columns they follow from the rotation.",
        pd.DataFrame(kip).to_markdown(index=False, disable_numparse=True),
        "## Numbers that several tables print",
        repeats.to_markdown(index=False),
    ]
    return "\n\n".join(parts) + "\n"
