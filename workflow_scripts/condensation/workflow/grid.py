"""The grid: which condensed sets and cells a config asks for, and where each one lives.

Free of torch. A cell's path is its identity, so a cell that several
experiments share is computed once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

from condensation.config.experiments import Axes
from condensation.config.methods import Plugin
from condensation.config.schema import Config

WHOLE = "all"  # the IPC of the full training set


@dataclass(frozen=True)
class SetId:
    """One condensed set; or, with ``iteration``, what it was after so many iterations."""

    dataset: str
    method: str
    ipc: str
    condensation_seed: int
    iteration: int | None = None

    @property
    def folder(self) -> str:
        """Its folder, relative to the results."""
        final = f"{self.dataset}/{self.method}/ipc{self.ipc}/set{self.condensation_seed}"
        return final if self.iteration is None else f"{final}/snapshots/iteration{self.iteration}"


@dataclass(frozen=True)
class Cell:
    """One condensed set, judged in one way."""

    set: SetId
    architecture: str
    augmentation: str
    optimizer: str

    @property
    def folder(self) -> str:
        """The folder of its records, relative to the results."""
        parts = (self.architecture, self.augmentation, self.optimizer)
        return "/".join((self.set.folder, "evaluation", *parts))


@dataclass(frozen=True)
class Grid:
    """All that a config asks for.

    Attributes
    ----------
    cells : every cell with its number of evaluation seeds, the most that any experiment wants.
    experiments : per experiment, its cells with its own number of evaluation seeds.
    seeds_per_job : evaluation seeds that share a job.
    ranked : what architectures are ranked with, by its folder relative to the results: a
        condensed set, or the name of a reference.
    chunks : first and last position of the sampled architectures that share a job.
    """

    cells: dict[Cell, int]
    experiments: dict[str, dict[Cell, int]]
    seeds_per_job: int
    ranked: dict[str, SetId | str] = field(default_factory=dict)
    chunks: list[tuple[int, int]] = field(default_factory=list)

    @cached_property
    def sets(self) -> list[SetId]:
        """Every condensed set, once; not its snapshots."""
        of_cells = [replace(cell.set, iteration=None) for cell in self.cells]
        of_ranking = [one for one in self.ranked.values() if isinstance(one, SetId)]
        return list(dict.fromkeys([*of_cells, *of_ranking]))

    @cached_property
    def datasets(self) -> list[str]:
        """Every dataset that a cell uses, once."""
        return list(dict.fromkeys(cell.set.dataset for cell in self.cells))

    def rankings(self) -> Iterator[str]:
        """Yield the path of every record of trained architectures, relative to the results."""
        for folder in self.ranked:
            for first, last in self.chunks:
                yield f"{folder}/architectures{first}-{last}.json"

    def evaluations(self) -> Iterator[tuple[Cell, int, int]]:
        """Yield the cell of every evaluation job, with its first and last evaluation seed."""
        for cell, seeds in self.cells.items():
            for first in range(0, seeds, self.seeds_per_job):
                yield cell, first, min(first + self.seeds_per_job, seeds) - 1

    def records(self, experiment: str | None = None) -> Iterator[str]:
        """Yield the path of every record file, or of an experiment's, relative to the results."""
        asked = self.cells if experiment is None else self.experiments[experiment]
        for cell, first, last in self.evaluations():
            if first < asked.get(cell, 0):
                yield f"{cell.folder}/seeds{first}-{last}.json"


def expand(config: Config) -> Grid:
    """Return the union of all experiments."""
    cells: dict[Cell, int] = {}
    experiments: dict[str, dict[Cell, int]] = {}
    for name, blocks in config.experiments.items():
        experiments[name] = {}
        for axes in blocks:
            for cell in _cells(config, axes):
                for known in (cells, experiments[name]):
                    known[cell] = max(known.get(cell, 0), axes.evaluation_seeds)
    ranked = dict(_ranked(config))
    return Grid(cells, experiments, config.evaluation.seeds_per_job, ranked, _chunks(config))


def _ranked(config: Config) -> Iterator[tuple[str, SetId | str]]:
    nas = config.nas
    if nas is None:
        return
    for block in nas.sets:
        for method, ipc in product(block.methods, block.ipc):
            for seed in range(block.condensation_seeds):
                one = SetId(nas.dataset, method, str(ipc), seed)
                yield f"{one.folder}/nas", one
    for name in nas.references:
        yield f"{nas.dataset}/nas/{name}", name


def _chunks(config: Config) -> list[tuple[int, int]]:
    nas = config.nas
    if nas is None:
        return []
    size, count = nas.architectures_per_job, nas.architectures
    return [(first, min(first + size, count) - 1) for first in range(0, count, size)]


def _cells(config: Config, axes: Axes) -> Iterator[Cell]:
    for dataset in axes.datasets:
        for method in axes.methods:
            whole = config.methods[method].algorithm == "whole"
            # the full training set has one IPC and no choice to repeat
            for ipc in [WHOLE] if whole else map(str, axes.ipc):
                for seed in range(1 if whole else axes.condensation_seeds):
                    final = SetId(dataset, method, ipc, seed)
                    for one in [final, *_snapshots(config, axes, final)]:
                        for way in product(axes.architectures, axes.augmentations, axes.optimizers):
                            yield Cell(one, *way)


def _snapshots(config: Config, axes: Axes, final: SetId) -> list[SetId]:
    entry = config.methods[final.method]
    if not axes.snapshots or isinstance(entry, Plugin):
        return []
    return [replace(final, iteration=i) for i in sorted(set(getattr(entry, "snapshots", [])))]


def pictured_ipc(grid: Grid, dataset: str) -> str | None:
    """Return the IPC whose sets are drawn: the largest up to 10 that most methods have.

    Most: more than two thirds of what any of them has. Without one up to 10, the smallest.
    """
    methods: dict[int, set[str]] = {}
    for one in grid.sets:
        if one.dataset == dataset and one.ipc != WHOLE:
            methods.setdefault(int(one.ipc), set()).add(one.method)
    if not methods:
        return None
    small = [ipc for ipc in methods if ipc <= 10]
    if not small:
        return str(min(methods))
    most = max(len(methods[ipc]) for ipc in small)
    return str(max(ipc for ipc in small if 3 * len(methods[ipc]) > 2 * most))
