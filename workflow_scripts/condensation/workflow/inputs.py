"""Which files the jobs of each rule read, by wildcards: the input functions of the rules."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from condensation.config.experiments import DISTILLED
from condensation.workflow import figure_plan, jobs, layout
from condensation.workflow.grid import SetId
from condensation.workflow.targets import Targets

Files = dict[str, Any]  # input name -> path or paths


@dataclass(frozen=True)
class Inputs:
    """The input functions of a config's rules; each takes Snakemake's wildcards."""

    targets: Targets

    def archives(self, wildcards: Any) -> list[str]:
        """Return what a dataset is prepared from: a local path, or downloads."""
        folder = self._path(layout.DOWNLOADS)
        return jobs.archives_of(self._config, wildcards.dataset, folder)

    def expert(self, wildcards: Any) -> Files:
        """Return the whitening that an expert is trained with, if there is one."""
        entry = self._config.trajectories[wildcards.trajectories]
        return self._whitening(wildcards.dataset, entry.preprocessing)

    def view(self, wildcards: Any) -> Files:
        """Return the whitening of a view of the images, if it has one."""
        return self._whitening(wildcards.dataset, wildcards.view)

    def method(self, wildcards: Any) -> Files:
        """Return what a method reads beside the dataset.

        Whitening, features, a teacher, experts, users' files.
        """
        files = self.whitening(wildcards)
        if features := jobs.features_of(self._config, wildcards.method):
            names = {"features": features, "condensation_seed": wildcards.condensation_seed}
            files["features"] = self._path(layout.FEATURES, dataset=wildcards.dataset, **names)
        if teacher := self._config.methods[wildcards.method].teacher_read:
            files |= self._teacher(wildcards, teacher)
        if experts := jobs.experts_of(self._config, wildcards.method):
            names = {"dataset": wildcards.dataset, "trajectories": experts[0]}
            files["experts"] = [
                self._path(layout.EXPERT, **names, expert=block)
                for block in jobs.expert_blocks(self._config, wildcards.method)
            ]
        if imported := jobs.imported_files(self._config, self.set_id(wildcards)):
            files["files"] = imported
        return files

    def set_id(self, wildcards: Any) -> SetId:
        """Return the condensed set of a job."""
        seed = int(wildcards.condensation_seed)
        return SetId(wildcards.dataset, wildcards.method, wildcards.ipc, seed)

    def whitening(self, wildcards: Any) -> Files:
        """Return the whitening of a method's sets, if it has one."""
        preprocessing = self._config.preprocessing_of(wildcards.method)
        return self._whitening(wildcards.dataset, preprocessing)

    def evaluation(self, wildcards: Any) -> Files:
        """Return what an evaluation reads beside dataset and set: whitening and teacher."""
        files = self.whitening(wildcards)
        if layout.labels(wildcards.labels) in DISTILLED:
            files |= self._teacher(wildcards, self._config.teacher.features)
        return files

    def architectures_table(self, wildcards: Any) -> Files:
        """Return the table of true accuracies of architectures, if the ranking needs one."""
        table = jobs.architectures_table(self._config, self._path(layout.DOWNLOADS))
        return {"table": table} if table else {}

    def ranked_by(self, wildcards: Any) -> SetId | str:
        """Return the condensed set or the reference that a job trains architectures on."""
        return self.targets.grid.ranked[f"{wildcards.dataset}/{wildcards.ranked}"]

    def ranked(self, wildcards: Any) -> Files:
        """Return the condensed set that architectures are trained on, and its whitening."""
        set_id = self.ranked_by(wildcards)
        if not isinstance(set_id, SetId):
            return {}
        preprocessing = self._config.preprocessing_of(set_id.method)
        condensed = self.targets.condensed(set_id)
        return {"condensed": condensed, **self._whitening(set_id.dataset, preprocessing)}

    def pictures(self, wildcards: Any) -> Files:
        """Return the datasets and condensed sets of a picture."""
        targets = self.targets
        names = targets.pictures[wildcards.picture]
        sets = [
            set_id for name in names for set_id in figure_plan.pictured_sets(targets.grid, name)
        ]
        return {"datasets": list(map(targets.dataset, names)), **self._sets(sets)}

    def measures(self, wildcards: Any) -> Files:
        """Return what the measures of a set need beside dataset and set: neighbours, whitening."""
        view = self._config.preprocessing_of(wildcards.method)
        neighbours = self._path(layout.NEIGHBOURS, dataset=wildcards.dataset, view=view)
        return {"neighbours": neighbours, **self.whitening(wildcards)}

    def nearest(self, wildcards: Any) -> Files:
        """Return the first condensed set of each method at an IPC, and their measures."""
        sets = [
            set_id
            for set_id in self.targets.sets
            if (set_id.dataset, set_id.ipc) == (wildcards.dataset, wildcards.ipc)
            and set_id.condensation_seed == 0
        ]
        measures = [self._path(layout.MEASURES, **set_id.wildcards) for set_id in sets]
        return {"measures": measures, **self._sets(sets)}

    def embedding(self, wildcards: Any) -> Files:
        """Return the condensed sets of a map of features, and the networks that embed them."""
        networks = self.targets.embedders(wildcards.dataset)
        return {"networks": networks, **self._sets(self.targets.embedded(wildcards.dataset))}

    def all_sets(self, wildcards: Any) -> Files:
        """Return all condensed sets, with their whitenings."""
        return self._sets(self.targets.sets)

    def nas_table(self, wildcards: Any) -> Files:
        """Return the table of the ranking of architectures, if there is one."""
        return {"nas": self.targets.nas_tables[0]} if self.targets.nas_tables else {}

    @property
    def _config(self) -> Any:
        return self.targets.config

    def _path(self, pattern: str, **wildcards: Any) -> str:
        return self.targets.paths(pattern, **wildcards)

    def _whitening(self, dataset: str, preprocessing: str) -> Files:
        if preprocessing == "standardize":
            return {}
        names = {"dataset": dataset, "preprocessing": preprocessing}
        return {"whitening": self._path(layout.WHITENING, **names)}

    def _teacher(self, wildcards: Any, features: str) -> Files:
        """Return the network that was trained on the images as the method sees them."""
        view = self._config.preprocessing_of(wildcards.method)
        names = {"dataset": wildcards.dataset, "features": features, "view": view}
        return {"teacher": self._path(layout.EMBEDDER, **names)}

    def _sets(self, sets: Iterable[SetId]) -> Files:
        """Return the files of condensed sets, and of the whitenings that made them."""
        targets = self.targets
        sets = [set_id for set_id in sets if targets.available(targets.condensed(set_id))]
        kinds = dict.fromkeys((s.dataset, self._config.preprocessing_of(s.method)) for s in sets)
        whitenings = [path for kind in kinds for path in self._whitening(*kind).values()]
        condensed = list(map(targets.condensed, sets))
        return {"condensed": condensed} | ({"whitenings": whitenings} if whitenings else {})
