"""What a run of a config makes: its files, by kind. Free of torch."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from condensation.config.experiments import OWN
from condensation.config.schema import Config
from condensation.workflow import figure_plan, jobs, layout
from condensation.workflow.grid import WHOLE, Cell, Grid, SetId, pictured_ipc
from condensation.workflow.layout import Layout

_PAPER_TABLE_FORMS = ("csv", "md", "tex")
_FIGURE_FORMS = ("png", "pdf")


@dataclass(frozen=True)
class Targets:
    """The files of a config; with ``partial: true``, only those that existing files allow.

    Attributes
    ----------
    exists : whether a file is there; only asked with ``partial: true``.
    """

    config: Config
    grid: Grid
    paths: Layout
    exists: Callable[[str], bool] = lambda path: Path(path).is_file()

    def available(self, *paths: str) -> bool:
        """Return whether files may be inputs: without ``partial: true``, jobs make all of them."""
        return not self.config.partial or all(map(self.exists, paths))

    # --- results ---

    @cached_property
    def sets(self) -> list[SetId]:
        """Condensed sets."""
        return jobs.made_sets(self.config, self.grid)

    def condensed(self, set_id: SetId) -> str:
        """Return the file of a condensed set."""
        return self.paths(layout.CONDENSED, **set_id.wildcards)

    def dataset(self, name: str) -> str:
        """Return the file of a prepared dataset."""
        return self.paths(layout.DATASET, dataset=name)

    @cached_property
    def costs(self) -> list[str]:
        """What each condensed set cost."""
        return [self.paths(layout.COST, **set_id.wildcards) for set_id in self.sets]

    @cached_property
    def datasets(self) -> list[str]:
        """Prepared datasets of cells."""
        return list(filter(self.available, map(self.dataset, self.grid.datasets)))

    @cached_property
    def records(self) -> list[str]:
        """Records of evaluations."""
        return self._records(self.grid.cells)

    def records_of(self, experiment: str) -> list[str]:
        """Return the records of evaluations of one experiment."""
        return self._records(self.grid.experiments[experiment])

    def _records(self, seeds: dict[Cell, int]) -> list[str]:
        files = (
            (self.paths(layout.RECORD, **cell.wildcards, first=first, last=last), cell.set)
            for cell, first, last in self.grid.evaluations()
            if first < seeds.get(cell, 0)
        )
        return [
            record for record, set_id in files if self.available(record, self.condensed(set_id))
        ]

    @cached_property
    def downloads(self) -> set[str]:
        """Official archives and tables."""
        folder = self.paths(layout.DOWNLOADS)
        names = dict.fromkeys(set_id.dataset for set_id in self.grid.sets)
        files = {path for name in names for path in jobs.archives_of(self.config, name, folder)}
        if self.config.nas and (table := jobs.architectures_table(self.config, folder)):
            files.add(table)
        return {path for path in files if path.startswith(f"{folder}/")}

    # --- the ranking of architectures ---

    @property
    def architectures(self) -> str:
        """The sample of architectures."""
        return self.paths(layout.ARCHITECTURES, dataset=self.config.nas.dataset)

    @cached_property
    def unranked(self) -> list[str]:
        """Folders with missing records: their set would be ranked on other architectures."""
        return [
            folder
            for folder in self.grid.ranked
            if not self.available(*map(self.paths, self.grid.rankings_of(folder)))
        ]

    @cached_property
    def rankings(self) -> list[str]:
        """Records of trained architectures; none where there is nothing to compare with."""
        nas = self.config.nas
        if nas is None:
            return []
        whole = layout.fill(layout.RANKED_REFERENCE, dataset=nas.dataset, reference=nas.whole)
        if nas.truth == "whole" and whole in self.unranked:
            return []
        if not self.available(self.architectures):
            return []
        ranked = [folder for folder in self.grid.ranked if folder not in self.unranked]
        return [self.paths(path) for folder in ranked for path in self.grid.rankings_of(folder)]

    @cached_property
    def nas_tables(self) -> list[str]:
        """Tables of the ranking of architectures."""
        names = ("nas.csv", "nas.md", "nas_architectures.csv")
        return [self.paths.table(name) for name in names] if self.rankings else []

    @cached_property
    def nas_figures(self) -> list[str]:
        """The figure of the ranking of architectures."""
        return self._figures([f"nas_{self.config.nas.dataset}"] if self.rankings else [])

    # --- tables ---

    @cached_property
    def paper_tables(self) -> list[int]:
        """Numbers of the paper's tables that the config has cells of."""
        axes = {1: "augmentation", 2: "architecture", 4: "augmentation", 5: "architecture"}
        axes |= {6: "ipc", 7: "optimizer"}
        numbers = {number for number, axis in axes.items() if self._varies(axis)}
        numbers |= {3} if self.rankings else set()
        numbers |= {8} if any(set_id.ipc != WHOLE for set_id in self.grid.sets) else set()
        cells = (cell for cell in self.grid.cells if cell.labels == OWN)  # as in the paper
        methods = (self.config.methods[cell.set.method] for cell in cells)
        features = {entry.features for entry in methods if entry.algorithm == "kcenter"}
        numbers |= {9} if len(features) > 1 else set()
        return sorted(numbers)

    def _varies(self, axis: str) -> bool:
        """Return whether any cells differ along an axis and along no other."""
        values: dict[tuple[str, ...], set[str]] = {}
        for cell in self.grid.cells:
            paper_kind = cell.labels == OWN and cell.set.iteration is None
            if paper_kind and cell.set.ipc != WHOLE:
                others = cell.wildcards
                value = others.pop(axis)
                values.setdefault(tuple(others.values()), set()).add(value)
        return any(len(several) > 1 for several in values.values())

    @cached_property
    def tables(self) -> list[str]:
        """All tables but those of the ranking of architectures, and the config as used."""
        names = ["accuracy.csv", "accuracy.md", "runs.csv", "per_class.csv"]
        names += ["statistics.md", "ranking.json"]
        names += ["robustness.csv"] if self.config.evaluation.corruptions else []
        paper = [path for form in _PAPER_TABLE_FORMS for path in self.paper_table_files(form)]
        return [*map(self.paths.table, names), *paper, self.paths(layout.CONFIG)]

    def paper_table_files(self, form: str) -> list[str]:
        """Return the files of the paper's tables; ``form`` is csv, md or tex."""
        return [self.paths.table(f"table{number}.{form}") for number in self.paper_tables]

    # --- figures ---

    @cached_property
    def accuracy_figures(self) -> dict[str, dict[str, Any]]:
        """Figures that the accuracy table is drawn as, with what they show."""
        return figure_plan.accuracy_figures(self.config, self.grid)

    @cached_property
    def cost_panels(self) -> list[figure_plan.Panel]:
        """Panels of accuracy against cost."""
        return figure_plan.cost_panels(self.grid, self.sets)

    @cached_property
    def panel_costs(self) -> list[str]:
        """The costs of the sets in ``cost_panels``, in their order."""
        folders = (folder for panel in self.cost_panels for _, folder in panel["sets"])
        return [self.paths(f"{folder}/cost.json") for folder in folders]

    @cached_property
    def maps(self) -> list[str]:
        """The maps of features that figure 7 shows."""
        return [
            self.paths(path)
            for dataset, path in figure_plan.maps(self.config, self.grid).items()
            if (networks := self.embedders(dataset))
            and self.available(self.dataset(dataset), *networks)
        ]

    def embedded(self, dataset: str) -> list[SetId]:
        """Return the condensed sets that figure 7 shows of a dataset."""
        sets = figure_plan.embedded_sets(self.config, self.grid, dataset)
        return [set_id for set_id in sets if self.available(self.condensed(set_id))]

    def embedders(self, dataset: str) -> list[str]:
        """Return the networks that embed those sets, one for each kind of preprocessing."""
        sets = self.embedded(dataset)
        views = dict.fromkeys(self.config.preprocessing_of(set_id.method) for set_id in sets)
        names = {"dataset": dataset, "features": self.config.figure7.features}
        return [self.paths(layout.EMBEDDER, **names, view=view) for view in views]

    @cached_property
    def pictures(self) -> dict[str, list[str]]:
        """The datasets of each picture of condensed images."""
        pictures = {
            f"condensed_{name}": [name]
            for name in self.grid.datasets
            if pictured_ipc(self.grid, name) and self.available(self.dataset(name))
        }
        if len(pictures) > 1:  # for a single dataset both pictures would be the same
            pictures["figure8"] = [name for names in pictures.values() for name in names]
        return pictures

    @cached_property
    def figures(self) -> list[str]:
        """All figures but that of the ranking of architectures."""
        names = [*self.accuracy_figures, *self.pictures]
        names += ["figure7"] if self.maps else []
        names += ["cost_accuracy", "critical_difference"] if self.cost_panels else []
        return self._figures(sorted(names))

    def _figures(self, names: Iterable[str]) -> list[str]:
        return [self.paths.figure(name, form) for name in names for form in _FIGURE_FORMS]

    # --- what sets are like ---

    @cached_property
    def measures(self) -> list[str]:
        """What each set of images is like beside the real ones; not those of whole datasets."""
        return [
            self.paths(layout.MEASURES, **set_id.wildcards)
            for set_id in self.sets
            if set_id.ipc != WHOLE and self.available(self.dataset(set_id.dataset))
        ]

    @cached_property
    def set_reports(self) -> list[str]:
        """The table of ``measures``, and figures of images beside their nearest real ones."""
        names = [
            layout.fill(layout.NEAREST_FIGURE, dataset=dataset, ipc=ipc)
            for dataset, ipc in self.datasets_and_ipcs
            if self.available(self.dataset(dataset))
        ]
        return [self.paths.table("sets.csv"), *self._figures(names)]

    # --- reports ---

    @cached_property
    def datasets_and_ipcs(self) -> list[tuple[str, str]]:
        """The dataset and IPC of condensed sets, each pair once."""
        sets = (set_id for set_id in self.sets if set_id.ipc != WHOLE)
        return list(dict.fromkeys((set_id.dataset, set_id.ipc) for set_id in sets))

    @cached_property
    def has_snapshots(self) -> bool:
        """Whether any cell evaluates a snapshot."""
        return any(cell.set.iteration is not None for cell in self.grid.cells)

    @cached_property
    def leaderboard(self) -> str:
        """The page of all cells."""
        return self.paths(layout.LEADERBOARD)

    @cached_property
    def provenance(self) -> str:
        """What made the results."""
        return self.paths(layout.PROVENANCE)

    @cached_property
    def to_open_first(self) -> list[str]:
        """The files that a reader opens first: a table, the leaderboard and a picture of sets."""
        pictures = [self.paths.figure(name, "png") for name in self.pictures]
        return [self.paths.table("accuracy.md"), self.leaderboard, *pictures[:1]]

    @cached_property
    def readable(self) -> list[str]:
        """Tables, figures and pages; of the paper's tables the Markdown alone."""
        hidden = {*self.paper_table_files("csv"), *self.paper_table_files("tex")}
        tables = [path for path in self.tables if path not in hidden]
        figures = [*self.figures, *self.nas_tables, *self.nas_figures]
        return [*tables, *figures, self.leaderboard]
