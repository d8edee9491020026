"""The cells of a config, found by what they are, and beside each the printed number.

An entry is one number of a table: where it stands, mean, spreads and interval
of ours, and the printed number of the same cell, where the paper has one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from typing import Any

import pandas as pd

from condensation.config.schema import Config
from condensation.paper import names as paper_names
from condensation.paper.printed import Key, Number
from condensation.results import frames, statistics
from condensation.workflow.grid import WHOLE

WAY = ("architecture", "augmentation", "optimizer")
RAW = " (raw input)"
# in the paper's tables; and the one that each lets vary
_FIXED = {"architecture": "ConvNet", "augmentation": "DSA", "optimizer": "SGD"}
_FREE = {1: "augmentation", 2: "architecture", 4: "augmentation", 5: "architecture", 7: "optimizer"}


@dataclass(frozen=True)
class Cell:
    """Sets of one dataset, method and IPC judged in one way; ``networks`` are rows of ``runs``."""

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
    """All finished cells of a config, and what is needed to lay them out.

    Attributes
    ----------
    cells : by dataset, method, IPC, architecture, augmentation and optimizer.
    reference : the name on each axis of judging that a table fixes it at.
    numbers : the printed ones, KIP's columns reread.
    slips : of those that other printed tables contradict, what these imply.
    """

    config: Config
    cells: dict[tuple[str, ...], Cell]
    reference: dict[str, str]
    numbers: dict[Key, Number]
    slips: dict[Key, Decimal]

    def used(self, axis: str, **fixed: str) -> list[str]:
        """Return the names on an axis among cells with these values, in the config's order."""
        found = {
            getattr(cell, axis)
            for cell in self.cells.values()
            if all(getattr(cell, key) == value for key, value in fixed.items())
        }
        if axis == "ipc":
            return frames.ipc_order(found)
        return [name for name in getattr(self.config, axis + "s") if name in found]

    def others(self, axis: str) -> dict[str, str]:
        """Return the reference on the two other axes of judging."""
        return {name: value for name, value in self.reference.items() if name != axis}

    def sets(self, **fixed: str) -> list[tuple[str, str, str]]:
        """Return (dataset, method, IPC) of cells with these values, in the paper's order."""
        found = {
            cell.set
            for cell in self.cells.values()
            if all(getattr(cell, key) == value for key, value in fixed.items())
        }
        every = product(self.used("dataset"), self.used("ipc"), self.used("method"))
        ordered = [(dataset, method, ipc) for dataset, ipc, method in every]
        return [one for one in ordered if one in found]

    def varied(self, axis: str) -> list[tuple[str, str, str]]:
        """Return the sets that were judged in several ways on an axis; if none was, all."""
        fixed = self.others(axis)
        every = self.sets(**fixed)
        several = [one for one in every if len(self.along(axis, one)) > 1]
        return several or every

    def along(self, axis: str, one: tuple[str, str, str]) -> dict[str, Cell]:
        """Return a set's cells along an axis of judging, the other two as the reference."""
        fixed = self.others(axis)
        found = {}
        for name in self.used(axis, **fixed):
            key = (*one, *(fixed.get(way, name) for way in WAY))
            if key in self.cells:
                found[name] = self.cells[key]
        return found

    def at(self, one: tuple[str, str, str], **way: str) -> Cell | None:
        """Return a set's cell, by default as the reference has it."""
        chosen = self.reference | way
        return self.cells.get((*one, *(chosen[name] for name in WAY)))

    # --- entries ---

    def entry(
        self,
        number: int,
        cells: Sequence[Cell | None],
        column: str | None,
        differs: Iterable[str] = (),
        **where: str,
    ) -> dict[str, Any]:
        """Return an entry: the mean over ``cells`` of every network, beside the printed number.

        ``column`` is the paper's name of the table's column, None if it has none.
        """
        about = dict(where)
        present = [cell for cell in cells if cell is not None]
        if not present or len(present) < len(cells):
            return about | nothing("missing")
        failed = {
            status: sum(int((cell.networks["status"] == status).sum()) for cell in present)
            for status in frames.LOST
        }
        # networks of the same two seeds, one of each cell
        wide = pd.concat([cell.networks["accuracy"].astype(float) for cell in present], axis=1)
        mean = wide.mean(axis=1, skipna=False)
        about |= measured(mean, failed)
        return about | self.beside(number, present, mean.dropna(), column, differs)

    def beside(
        self,
        number: int,
        cells: Sequence[Cell],
        accuracy: pd.Series,
        column: str | None,
        differs: Iterable[str],
    ) -> dict[str, Any]:
        """Return the printed number of the same cell, and how far it is from ours."""
        first = cells[0]
        dataset = paper_names.dataset(self.config, first.dataset)
        method = paper_names.method(self.config, *first.set)
        if None in (dataset, method, column):
            return unprinted()
        ipc = "" if first.ipc == WHOLE else first.ipc
        key = (number, dataset.name, method.name.removesuffix(RAW), ipc, column)
        found = self.numbers.get(key)
        if found is None or (method.name.endswith(RAW) and number != 9):
            return unprinted()
        reasons = [*dataset.differs, *method.differs]
        for cell in cells:
            reasons += paper_names.protocol(self.config, cell.augmentation)
            for axis in WAY:
                name = getattr(paper_names, axis)(self.config, getattr(cell, axis))
                if axis != _FREE.get(number) and (name is None or name.name != _FIXED[axis]):
                    return unprinted()
                reasons += name.differs if name else [f"{axis} {getattr(cell, axis)}"]
        about = compare(accuracy, found, list(dict.fromkeys([*reasons, *differs])))
        return about | {"implied": str(self.slips.get(key, ""))}

    def name(self, axis: str, value: str) -> str | None:
        """Return the paper's name of an architecture, augmentation or optimizer."""
        found = getattr(paper_names, axis)(self.config, value)
        return found.name if found else None


def collect(
    config: Config, runs: pd.DataFrame, numbers: dict[Key, Number], slips: dict[Key, Decimal]
) -> Cells:
    """Return the cells of ``runs`` (``tables.runs``) whose sets are finished.

    The reference is the config's ConvNet, DSA augmentation and SGD; of several,
    or where there is none, the one of most cells.
    """
    final = runs[runs["iteration"] == frames.FINAL]
    index = ["condensation_seed", "evaluation_seed"]
    cells = {
        key: Cell(*key, part.set_index(index).sort_index())
        for key, part in final.groupby(["dataset", "method", "ipc", *WAY], sort=False)
    }

    def most(axis: str, preferred: Callable[[Any], bool]) -> str:
        names = pd.Series([getattr(cell, axis) for cell in cells.values()], dtype=object)
        counts = names.value_counts(sort=False)
        entries = getattr(config, axis + "s")
        liked = [name for name in counts.index if preferred(entries[name])]
        return max(liked or counts.index, key=lambda name: counts[name], default="")

    reference = {
        "architecture": most("architecture", lambda entry: entry.network == "convnet"),
        "augmentation": most("augmentation", lambda entry: entry.policy == "dsa"),
        "optimizer": most("optimizer", lambda entry: entry.algorithm == "sgd"),
    }
    return Cells(config, cells, reference, numbers, slips)


def nothing(text: str) -> dict[str, Any]:
    """Return the numbers of an entry that has none; ``missing``, or a status."""
    about = {"status": text, "sets": 0, "networks": 0, **dict.fromkeys(frames.LOST, 0)}
    return about | dict.fromkeys(("mean", "std", "std_of_sets", "low", "high")) | unprinted()


def measured(accuracy: pd.Series, failed: dict[str, int]) -> dict[str, Any]:
    """Return the numbers of an entry from its networks, indexed by both seeds."""
    sets = accuracy.index.get_level_values("condensation_seed")
    about = {"status": "ok", "sets": sets.nunique(), "networks": len(accuracy), **failed}
    if accuracy.notna().sum() == 0:
        about["status"] = next((name for name in frames.LOST if failed[name]), "diverged")
    return about | statistics.summary(accuracy, pd.Series(sets, accuracy.index))


def unprinted() -> dict[str, Any]:
    """Return the columns of an entry that the paper has no number for."""
    empty = {"printed": "", "printed_std": None, "difference": None, "interval": None}
    empty["implied"] = ""
    return empty | {"verdict": "", "differs": ""}


def compare(accuracy: pd.Series, number: Number, differs: list[str]) -> dict[str, Any]:
    """Return ``printed``, its spread, ours - printed, the interval and the verdict.

    ``interval`` is the half width of the 95 % interval of the difference
    (``statistics.half_width``); the verdict is ``within`` or ``outside`` it,
    ``no interval`` where one network alone gives none, and ``other protocol``
    where ``differs`` says that the two are not the same experiment.
    """
    std = None if number.std is None else float(number.std)
    about = unprinted() | {"printed": number.text, "printed_std": std}
    about["differs"] = "; ".join(differs)
    if number.value is None or not len(accuracy):
        return about
    about["difference"] = accuracy.mean() - float(number.value)
    sets = pd.Series(accuracy.index.get_level_values("condensation_seed"), accuracy.index)
    about["interval"] = half = statistics.half_width(accuracy, sets, std)
    if differs:
        about["verdict"] = "other protocol"
    elif half != half:
        about["verdict"] = "no interval"
    else:
        about["verdict"] = "within" if abs(about["difference"]) <= half else "outside"
    return about


_NUMBERS = ["status", "sets", "networks", *frames.LOST, "mean", "std", "std_of_sets"]
_NUMBERS += [
    "low",
    "high",
    "printed",
    "printed_std",
    "implied",
    "difference",
    "interval",
    "verdict",
]


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return entries with where they stand first, the numbers after it, remarks last."""
    made = pd.DataFrame(rows)
    if made.empty:
        return pd.DataFrame(columns=["dataset", "method", "ipc", *_NUMBERS, "differs"])
    places = [name for name in made.columns if name not in [*_NUMBERS, "differs"]]
    made = made[[*places, *_NUMBERS, "differs"]]
    floats = ["mean", "std", "std_of_sets", "low", "high", "printed_std", "difference", "interval"]
    return made.astype(dict.fromkeys(floats, float))
