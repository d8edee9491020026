"""The grid: the condensed sets and cells of a config.

Free of torch. The path of a cell's records identifies it, so a cell that
several experiments share is computed once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path

from condensation.config.experiments import OWN, Axes
from condensation.config.schema import Config
from condensation.workflow import layout

WHOLE = "all"  # the IPC of the full training set
# how a set is evaluated: attributes of a cell, and the axes of an experiment that they come from
WAY = {"architecture": "architectures", "augmentation": "augmentations"}
WAY |= {"optimizer": "optimizers", "labels": "labels"}


@dataclass(frozen=True)
class SetId:
    """A condensed set; with ``iteration``, its snapshot after so many iterations."""

    dataset: str
    method: str
    ipc: str
    condensation_seed: int
    iteration: int | None = None

    @property
    def wildcards(self) -> dict[str, str]:
        """The wildcards of the jobs that make and evaluate it."""
        snapshot = layout.fill(layout.SNAPSHOT, iteration=self.iteration)
        return {
            "dataset": self.dataset,
            "method": self.method,
            "ipc": self.ipc,
            "condensation_seed": str(self.condensation_seed),
            "snapshot": "" if self.iteration is None else snapshot,
        }

    @property
    def folder(self) -> str:
        """Its folder, relative to the results."""
        return layout.fill(layout.SET + "{snapshot}", **self.wildcards)


@dataclass(frozen=True)
class Cell:
    """A condensed set, and the network, augmentation, optimizer and labels that evaluate it."""

    set: SetId
    architecture: str
    augmentation: str
    optimizer: str
    labels: str = OWN

    @property
    def wildcards(self) -> dict[str, str]:
        """The wildcards of its jobs, without the seeds."""
        return self.set.wildcards | {
            "architecture": self.architecture,
            "augmentation": self.augmentation,
            "optimizer": self.optimizer,
            "labels": "" if self.labels == OWN else layout.fill(layout.LABELS, which=self.labels),
        }

    @property
    def folder(self) -> str:
        """The folder of its records, relative to the results."""
        return layout.fill(layout.CELL, **self.wildcards)


@dataclass(frozen=True)
class Grid:
    """All sets and cells of a config.

    Attributes
    ----------
    cells : every cell with its number of evaluation seeds, the largest of any experiment.
    experiments : per experiment, its cells with its number of evaluation seeds.
    seeds_per_job : evaluation seeds that share a job.
    existing : first and last seed of the records that exist, by the cell's folder: more seeds
        leave them as they are.
    ranked : the condensed sets and names of references that rank architectures, by their folder
        relative to the results.
    chunks : first and last position of the sampled architectures that share a job.
    """

    cells: dict[Cell, int]
    experiments: dict[str, dict[Cell, int]]
    seeds_per_job: int
    existing: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    ranked: dict[str, SetId | str] = field(default_factory=dict)
    chunks: list[tuple[int, int]] = field(default_factory=list)

    @cached_property
    def sets(self) -> list[SetId]:
        """Every condensed set, once; not its snapshots."""
        of_cells = [replace(cell.set, iteration=None) for cell in self.cells]
        of_ranking = [source for source in self.ranked.values() if isinstance(source, SetId)]
        return list(dict.fromkeys([*of_cells, *of_ranking]))

    @cached_property
    def datasets(self) -> list[str]:
        """Every dataset that a cell uses, once."""
        return list(dict.fromkeys(cell.set.dataset for cell in self.cells))

    def rankings(self) -> Iterator[str]:
        """Yield the path of every record of trained architectures, relative to the results."""
        for folder in self.ranked:
            yield from self.rankings_of(folder)

    def rankings_of(self, folder: str) -> Iterator[str]:
        """Yield the paths of the records of one ranked set or reference."""
        dataset, _, ranked = folder.partition("/")
        for first, last in self.chunks:
            yield layout.fill(
                layout.RANKING, dataset=dataset, ranked=ranked, first=first, last=last
            )

    def evaluations(self) -> Iterator[tuple[Cell, int, int]]:
        """Yield the cell of every evaluation job, with its first and last evaluation seed."""
        for cell, seeds in self.cells.items():
            existing = self.existing.get(cell.folder, [])
            first = 0
            while first < seeds:
                last = _last_seed(first, seeds, self.seeds_per_job, existing)
                yield cell, first, last
                first = last + 1

    def records(self, experiment: str | None = None) -> Iterator[str]:
        """Yield the path of every record, or of an experiment's, relative to the results."""
        seeds = self.cells if experiment is None else self.experiments[experiment]
        for cell, first, last in self.evaluations():
            if first < seeds.get(cell, 0):
                yield layout.fill(layout.RECORD, **cell.wildcards, first=first, last=last)


def expand(config: Config, results: Path | None = None) -> Grid:
    """Return the union of all experiments.

    Parameters
    ----------
    results : the folder whose records are kept: jobs train only the seeds that they lack. None
        keeps none.
    """
    cells: dict[Cell, int] = {}
    experiments: dict[str, dict[Cell, int]] = {}
    for name, blocks in config.experiments.items():
        experiments[name] = {}
        for axes in blocks:
            for cell in _cells(config, axes):
                for seeds in (cells, experiments[name]):
                    seeds[cell] = max(seeds.get(cell, 0), axes.evaluation_seeds)
    existing = {}
    if results is not None:
        folders = {cell.folder for cell in cells}
        paths = (path for folder in folders for path in results.joinpath(folder).glob("seeds*"))
        existing = seeds_of(str(path.relative_to(results)) for path in paths)
    seeds_per_job = config.evaluation.seeds_per_job
    return Grid(cells, experiments, seeds_per_job, existing, dict(_ranked(config)), _chunks(config))


def seeds_of(records: Iterable[str]) -> dict[str, list[tuple[int, int]]]:
    """Return first and last seed of each record by the folder of its cell.

    ``records`` are paths relative to the results; other files are left out.
    """
    seeds: dict[str, list[tuple[int, int]]] = {}
    for path in records:
        if (ends := layout.seeds_of(path)) is not None:
            seeds.setdefault(path.rpartition("/")[0], []).append(ends)
    return seeds


def _last_seed(first: int, seeds: int, per_job: int, existing: list[tuple[int, int]]) -> int:
    """Return the last seed of the record that begins at ``first``.

    A record that is there, or else the seeds up to the next such record or multiple of ``per_job``.
    """
    if fitting := [last for start, last in existing if start == first and last < seeds]:
        return max(fitting)
    later = [start for start, last in existing if start > first and last < seeds]
    return min(first - first % per_job + per_job, seeds, *later) - 1


def _ranked(config: Config) -> Iterator[tuple[str, SetId | str]]:
    nas = config.nas
    if nas is None:
        return
    for block in nas.sets:
        for method, ipc in product(block.methods, block.ipc):
            for seed in range(block.condensation_seeds):
                set_id = SetId(nas.dataset, method, str(ipc), seed)
                yield layout.fill(layout.RANKED_SET, **set_id.wildcards), set_id
    for name in nas.references:
        yield layout.fill(layout.RANKED_REFERENCE, dataset=nas.dataset, reference=name), name


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
            # the full training set has one IPC, and no random choice to repeat
            for ipc in [WHOLE] if whole else map(str, axes.ipc):
                for seed in range(1 if whole else axes.condensation_seeds):
                    final = SetId(dataset, method, ipc, seed)
                    for set_id in [final, *_snapshots(config, axes, final)]:
                        for way in product(*(getattr(axes, axis) for axis in WAY.values())):
                            yield Cell(set_id, *way)


def _snapshots(config: Config, axes: Axes, final: SetId) -> list[SetId]:
    entry = config.methods[final.method]
    if not axes.snapshots:
        return []
    return [replace(final, iteration=i) for i in sorted(set(getattr(entry, "snapshots", [])))]


def pictured_ipc(grid: Grid, dataset: str) -> str | None:
    """Return the IPC whose sets are drawn: the largest up to 10 that most methods have.

    Most are more than two thirds of the methods at the commonest IPC. If no IPC is up to 10, the
    smallest is drawn.
    """
    methods: dict[int, set[str]] = {}
    for set_id in grid.sets:
        if set_id.dataset == dataset and set_id.ipc != WHOLE:
            methods.setdefault(int(set_id.ipc), set()).add(set_id.method)
    if not methods:
        return None
    small = [ipc for ipc in methods if ipc <= 10]
    if not small:
        return str(min(methods))
    most = max(len(methods[ipc]) for ipc in small)
    return str(max(ipc for ipc in small if 3 * len(methods[ipc]) > 2 * most))
