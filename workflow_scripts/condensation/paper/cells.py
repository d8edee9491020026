"""The cells of a config by their properties, and the printed number of each.

An entry is one number of a table: its place, our mean, spreads and interval,
and the printed number of the same cell if the paper has one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from typing import Any

import pandas as pd

from condensation.config.experiments import OWN
from condensation.config.schema import Config
from condensation.paper import names as paper_names
from condensation.paper import printed
from condensation.paper.printed import Key, Number
from condensation.results import frames, statistics
from condensation.workflow.grid import WHOLE

WAY = ("architecture", "augmentation", "optimizer")
RAW = " (raw input)"
# the axes that the paper's tables fix, and the axis that varies in each
_FIXED = {"architecture": "ConvNet", "augmentation": "DSA", "optimizer": "SGD"}
_VARIED = {
    1: "augmentation",
    2: "architecture",
    4: "augmentation",
    5: "architecture",
    7: "optimizer",
}


@dataclass(frozen=True)
class Cell:
    """The networks of a cell; ``networks`` are rows of ``frames.runs`` by both seeds."""

    dataset: str
    method: str
    ipc: str
    architecture: str
    augmentation: str
    optimizer: str
    networks: pd.DataFrame = field(repr=False, compare=False)

    @property
    def set(self) -> tuple[str, str, str]:
        """Dataset, method and IPC."""
        return self.dataset, self.method, self.ipc


@dataclass(frozen=True)
class Cells:
    """All finished cells of a config, and the printed numbers.

    Attributes
    ----------
    cells : by dataset, method, IPC, architecture, augmentation and optimizer.
    reference : the architecture, augmentation and optimizer that tables fix.
    numbers : printed numbers, with KIP's columns corrected.
    slips : the value that other printed tables imply, for printed numbers that contradict them.
    """

    config: Config
    cells: dict[tuple[str, ...], Cell]
    reference: dict[str, str]
    numbers: dict[Key, Number]
    slips: dict[Key, Decimal]

    def names(self, axis: str, **fixed: str) -> list[str]:
        """Return the names on an axis among cells with these values, in the config's order."""
        names = {
            getattr(cell, axis)
            for cell in self.cells.values()
            if all(getattr(cell, key) == value for key, value in fixed.items())
        }
        if axis == "ipc":
            return frames.ipc_order(names)
        return [name for name in getattr(self.config, axis + "s") if name in names]

    def others(self, axis: str) -> dict[str, str]:
        """Return the reference on the two other axes (architecture, augmentation, optimizer)."""
        return {name: value for name, value in self.reference.items() if name != axis}

    def sets(self, **fixed: str) -> list[tuple[str, str, str]]:
        """Return (dataset, method, IPC) of cells with these values, in the paper's order."""
        sets = {
            cell.set
            for cell in self.cells.values()
            if all(getattr(cell, key) == value for key, value in fixed.items())
        }
        ordered = product(self.names("dataset"), self.names("ipc"), self.names("method"))
        keys = [(dataset, method, ipc) for dataset, ipc, method in ordered]
        return [key for key in keys if key in sets]

    def varied_sets(self, axis: str) -> list[tuple[str, str, str]]:
        """Return the sets with several cells along an axis; all sets if there are none."""
        sets = self.sets(**self.others(axis))
        return [key for key in sets if len(self.along(axis, key)) > 1] or sets

    def along(self, axis: str, set_key: tuple[str, str, str]) -> dict[str, Cell]:
        """Return a set's cells along an axis by name, with the reference on the other axes."""
        fixed = self.others(axis)
        keys = {
            name: (*set_key, *(fixed.get(way, name) for way in WAY))
            for name in self.names(axis, **fixed)
        }
        return {name: self.cells[key] for name, key in keys.items() if key in self.cells}

    def reference_cell(self, set_key: tuple[str, str, str]) -> Cell | None:
        """Return a set's cell with the reference on all axes."""
        return self.cells.get((*set_key, *(self.reference[name] for name in WAY)))

    def entry(
        self,
        number: int,
        cells: Sequence[Cell | None],
        column: str | None,
        differs: Iterable[str] = (),
        **where: str,
    ) -> dict[str, Any]:
        """Return an entry: the mean over ``cells`` per network, and the printed number.

        ``where`` is the entry's place; ``column`` is the paper's name of the table's column, or
        None; ``differs`` adds deviations from the paper's protocol.
        """
        present = [cell for cell in cells if cell is not None]
        if not present or len(present) < len(cells):
            return where | no_numbers("missing")
        failed = {
            status: sum(int((cell.networks["status"] == status).sum()) for cell in present)
            for status in frames.LOST
        }
        # a row per pair of seeds, a column per cell
        by_cell = pd.concat([cell.networks["accuracy"].astype(float) for cell in present], axis=1)
        mean = by_cell.mean(axis=1, skipna=False)
        columns = self._printed_columns(number, present, mean.dropna(), column, differs)
        return where | our_numbers(mean, failed) | columns

    def _printed_columns(
        self,
        number: int,
        cells: Sequence[Cell],
        accuracy: pd.Series,
        column: str | None,
        differs: Iterable[str],
    ) -> dict[str, Any]:
        """Return the printed number of the same cell, and its distance from ours."""
        first = cells[0]
        dataset = paper_names.dataset(self.config, first.dataset)
        method = paper_names.method(self.config, *first.set)
        if None in (dataset, method, column):
            return not_printed()
        ipc = "" if first.ipc == WHOLE else first.ipc
        key = (number, dataset.name, method.name.removesuffix(RAW), ipc, column)
        printed_number = self.numbers.get(key)
        if printed_number is None or (method.name.endswith(RAW) and number != 9):
            return not_printed()
        reasons = [*dataset.differs, *method.differs]
        for cell in cells:
            reasons += paper_names.protocol(self.config, cell.augmentation)
            for axis in WAY:
                name = getattr(paper_names, axis)(self.config, getattr(cell, axis))
                if axis != _VARIED.get(number) and (name is None or name.name != _FIXED[axis]):
                    return not_printed()
                reasons += name.differs if name else [f"{axis} {getattr(cell, axis)}"]
        reasons = list(dict.fromkeys([*reasons, *differs]))
        columns = compare_with_print(accuracy, printed_number, reasons)
        return columns | {"implied": str(self.slips.get(key, ""))}

    def paper_name(self, axis: str, value: str) -> str | None:
        """Return the paper's name of an architecture, augmentation or optimizer."""
        name = getattr(paper_names, axis)(self.config, value)
        return name.name if name else None


def collect(config: Config, runs: pd.DataFrame, printed_numbers: Mapping[Key, Number]) -> Cells:
    """Return the cells of ``runs`` (``frames.runs``) whose sets are finished, with own labels.

    The reference is the config's ConvNet, DSA augmentation and SGD. If there
    are several of a kind, or none, it is the name with most cells.
    ``printed_numbers`` are those of ``printed.load``.
    """
    final = runs[(runs["iteration"] == frames.FINAL) & (runs["labels"] == OWN)]
    index = ["condensation_seed", "evaluation_seed"]
    cells = {
        key: Cell(*key, part.set_index(index).sort_index())
        for key, part in final.groupby(["dataset", "method", "ipc", *WAY], sort=False)
    }

    def most_used(axis: str, preferred: Callable[[Any], bool]) -> str:
        names = pd.Series([getattr(cell, axis) for cell in cells.values()], dtype=object)
        counts = names.value_counts(sort=False)
        entries = getattr(config, axis + "s")
        candidates = [name for name in counts.index if preferred(entries[name])]
        return max(candidates or counts.index, key=lambda name: counts[name], default="")

    reference = {
        "architecture": most_used("architecture", lambda entry: entry.network == "convnet"),
        "augmentation": most_used("augmentation", lambda entry: entry.policy == "dsa"),
        "optimizer": most_used("optimizer", lambda entry: entry.algorithm == "sgd"),
    }
    numbers = printed.correct_kip_columns(printed_numbers)
    return Cells(config, cells, reference, numbers, printed.implied_values(printed_numbers))


def no_numbers(status: str) -> dict[str, Any]:
    """Return the columns of an entry without numbers; ``missing``, or another status."""
    counts = {"status": status, "sets": 0, "networks": 0, **dict.fromkeys(frames.LOST, 0)}
    return counts | dict.fromkeys(("mean", "std", "std_of_sets", "low", "high")) | not_printed()


def our_numbers(accuracy: pd.Series, failed: dict[str, int]) -> dict[str, Any]:
    """Return our numbers of an entry from its networks, indexed by both seeds."""
    sets = accuracy.index.get_level_values("condensation_seed")
    counts = {"status": "ok", "sets": sets.nunique(), "networks": len(accuracy), **failed}
    if accuracy.notna().sum() == 0:
        counts["status"] = next((name for name in frames.LOST if failed[name]), "diverged")
    return counts | statistics.summary(accuracy, pd.Series(sets, accuracy.index))


def mean_of_sets(accuracy: pd.Series) -> float:
    """Return the mean over the sets' means of networks, indexed by both seeds."""
    return accuracy.astype(float).groupby(level="condensation_seed").mean().mean()


def not_printed() -> dict[str, Any]:
    """Return the columns of the printed number for an entry that the paper does not have."""
    empty = {"printed": "", "printed_std": None, "difference": None, "interval": None}
    empty["implied"] = ""
    return empty | {"verdict": "", "differs": ""}


def compare_with_print(accuracy: pd.Series, number: Number, differs: list[str]) -> dict[str, Any]:
    """Return ``printed``, its spread, ours - printed, the interval and the verdict.

    ``interval`` is the half width of the 95 % interval of the difference
    (``statistics.half_width``). The verdict is ``within`` or ``outside`` it,
    ``no interval`` for a single network, and ``other protocol`` if ``differs``
    lists deviations from the paper's experiment.
    """
    std = None if number.std is None else float(number.std)
    columns = not_printed() | {"printed": number.text, "printed_std": std}
    columns["differs"] = "; ".join(differs)
    if number.value is None or not len(accuracy):
        return columns
    columns["difference"] = mean_of_sets(accuracy) - float(number.value)
    sets = pd.Series(accuracy.index.get_level_values("condensation_seed"), accuracy.index)
    columns["interval"] = half = statistics.half_width(accuracy, sets, std)
    if differs:
        columns["verdict"] = "other protocol"
    elif half != half:
        columns["verdict"] = "no interval"
    else:
        columns["verdict"] = "within" if abs(columns["difference"]) <= half else "outside"
    return columns


_NUMBERS = ["status", "sets", "networks", *frames.LOST, "mean", "std", "std_of_sets"]
_NUMBERS += ["low", "high", "printed", "printed_std", "implied", "difference", "interval"]
_NUMBERS += ["verdict"]


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a frame of entries: their places first, then the numbers, then the remarks."""
    entries = pd.DataFrame(rows)
    if entries.empty:
        return pd.DataFrame(columns=["dataset", "method", "ipc", *_NUMBERS, "differs"])
    places = [name for name in entries.columns if name not in [*_NUMBERS, "differs"]]
    entries = entries[[*places, *_NUMBERS, "differs"]]
    floats = ["mean", "std", "std_of_sets", "low", "high", "printed_std", "difference", "interval"]
    return entries.astype(dict.fromkeys(floats, float))
