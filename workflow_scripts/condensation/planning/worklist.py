"""The jobs of a config that compute: rules, wildcards and output files."""

from collections.abc import Iterator
from dataclasses import dataclass

from condensation.config.experiments import DISTILLED
from condensation.config.schema import Config
from condensation.workflow import figure_plan, jobs, layout
from condensation.workflow.grid import Grid, SetId


@dataclass(frozen=True)
class Job:
    """A job; ``name`` is its method or architecture.

    ``output`` exists, relative to the results, once the job is done. It is the record of the cost
    if the job writes condensed.
    """

    rule: str
    wildcards: dict[str, str]
    name: str
    output: str

    @property
    def cost(self) -> str | None:
        """The path of the record of the cost; None if the job writes none."""
        return self.output if self.output.endswith("cost.json") else None

    @property
    def title(self) -> str:
        """The job in the words of the plan."""
        words = dict(self.wildcards)
        for key, word in (("ipc", "IPC "), ("condensation_seed", "set "), ("expert", "expert ")):
            if key in words:
                words[key] = word + words[key]
        if "first" in words:
            words["first"] += f"-{words.pop('last')}"
        return f"{self.rule}: " + ", ".join(word.strip("/") for word in words.values() if word)


def all_jobs(config: Config, grid: Grid) -> Iterator[Job]:
    """Yield each job that computes, without downloads, snapshots, tables and pictures."""
    for dataset in dict.fromkeys(condensed.dataset for condensed in grid.sets):
        yield _job("prepare_dataset", layout.DATASET, dataset, dataset=dataset)
    yield from {job.output: job for job in _inputs_of_sets(config, grid)}.values()
    for condensed in grid.sets:
        yield _job("condense", layout.COST, condensed.method, **_of_set(condensed))
    for cell, first, last in grid.evaluations():
        iteration = cell.set.iteration
        snapshot = "" if iteration is None else f"iteration{iteration}"
        wildcards = cell.wildcards | {"snapshot": snapshot, "first": str(first), "last": str(last)}
        cost = layout.fill(layout.RECORD_COST, **cell.wildcards, first=first, last=last)
        yield Job("evaluate", wildcards, cell.architecture, cost)
    for folder in grid.ranked:
        dataset, _, ranked = folder.partition("/")
        for first, last in grid.chunks:
            chunk = {"ranked": ranked, "first": str(first), "last": str(last)}
            yield _job(
                "train_architectures", layout.RANKING_COST, "nasbench201", dataset=dataset, **chunk
            )


def trained_networks(config: Config, grid: Grid) -> list[tuple[str, str, str]]:
    """Return dataset, features and preprocessing of each network that is trained and kept.

    Teachers of evaluations and of methods, and the networks of figure 7.
    """
    uses = [(cell.set, config.teacher.features) for cell in grid.cells if cell.labels in DISTILLED]
    for condensed in grid.sets:
        if teacher := config.methods[condensed.method].teacher_read:
            uses.append((condensed, teacher))
    if config.figure7:
        for dataset in config.figure7.datasets:
            sets = figure_plan.embedded_sets(config, grid, dataset)
            uses += [(set_id, config.figure7.features) for set_id in sets]
    networks = ((use.dataset, name, config.preprocessing_of(use.method)) for use, name in uses)
    return list(dict.fromkeys(networks))


def _job(rule: str, output: str, name: str, **wildcards: str) -> Job:
    return Job(rule, wildcards, name, layout.fill(output, **wildcards))


def _of_set(condensed: SetId) -> dict[str, str]:
    wildcards = {"dataset": condensed.dataset, "method": condensed.method, "ipc": condensed.ipc}
    return wildcards | {"condensation_seed": str(condensed.condensation_seed)}


def _inputs_of_sets(config: Config, grid: Grid) -> Iterator[Job]:
    """Yield the jobs that condensed sets need besides the dataset, with repetitions."""
    for condensed in grid.sets:
        dataset, seed = condensed.dataset, str(condensed.condensation_seed)
        kinds = [config.preprocessing_of(condensed.method)]
        if features := jobs.features_of(config, condensed.method):
            architecture = config.features[features].architecture
            wildcards = {"dataset": dataset, "features": features, "condensation_seed": seed}
            yield _job("extract_features", layout.FEATURES, architecture, **wildcards)
        if experts := jobs.experts_of(config, condensed.method):
            name, _ = experts
            entry = config.trajectories[name]
            kinds.append(entry.preprocessing)
            for block in jobs.expert_blocks(config, condensed.method):
                wildcards = {"dataset": dataset, "trajectories": name, "expert": block}
                yield _job("train_expert", layout.EXPERT_COST, entry.architecture, **wildcards)
        for kind in kinds:
            if kind != "standardize":
                wildcards = {"dataset": dataset, "preprocessing": kind}
                yield _job("fit_whitening", layout.WHITENING, kind, **wildcards)
    for dataset, features, view in trained_networks(config, grid):
        architecture = config.features[features].architecture
        wildcards = {"dataset": dataset, "features": features, "view": view}
        yield _job("train_embedder", layout.EMBEDDER, architecture, **wildcards)
