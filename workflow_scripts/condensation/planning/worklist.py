"""The jobs of a config that compute: rules, wildcards and output files."""

from collections.abc import Iterator
from dataclasses import dataclass

from condensation.config.schema import Config
from condensation.workflow import figure_plan, jobs
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
        return f"{self.rule}: " + ", ".join(filter(None, words.values()))


def all_jobs(config: Config, grid: Grid) -> Iterator[Job]:
    """Yield each job that computes, without downloads, snapshots, tables and pictures."""
    for dataset in dict.fromkeys(condensed.dataset for condensed in grid.sets):
        file = f"{dataset}/dataset.safetensors"
        yield Job("prepare_dataset", {"dataset": dataset}, dataset, file)
    yield from {job.output: job for job in _inputs_of_sets(config, grid)}.values()
    for condensed in grid.sets:
        wildcards = _of_set(condensed)
        yield Job("condense", wildcards, condensed.method, f"{condensed.folder}/cost.json")
    for cell, first, last in grid.evaluations():
        wildcards = _of_set(cell.set) | {
            "snapshot": "" if cell.set.iteration is None else f"iteration{cell.set.iteration}",
            "architecture": cell.architecture,
            "augmentation": cell.augmentation,
            "optimizer": cell.optimizer,
            "first": str(first),
            "last": str(last),
        }
        cost = f"{cell.folder}/seeds{first}-{last}.cost.json"
        yield Job("evaluate", wildcards, cell.architecture, cost)
    for folder in grid.ranked:
        dataset, _, ranked = folder.partition("/")
        for first, last in grid.chunks:
            wildcards = {"dataset": dataset, "ranked": ranked}
            wildcards |= {"first": str(first), "last": str(last)}
            cost = f"{folder}/architectures{first}-{last}.cost.json"
            yield Job("train_architectures", wildcards, "nasbench201", cost)


def _of_set(condensed: SetId) -> dict[str, str]:
    wildcards = {"dataset": condensed.dataset, "method": condensed.method, "ipc": condensed.ipc}
    return wildcards | {"condensation_seed": str(condensed.condensation_seed)}


def _inputs_of_sets(config: Config, grid: Grid) -> Iterator[Job]:
    """Yield the jobs that condensed sets need besides the dataset, with repetitions."""
    for condensed in grid.sets:
        dataset = condensed.dataset
        kinds = [config.preprocessing_of(condensed.method)]
        if features := jobs.features_of(config, condensed.method):
            wildcards = {"dataset": dataset, "features": features}
            wildcards["condensation_seed"] = str(condensed.condensation_seed)
            architecture = config.features[features].architecture
            file = f"{dataset}/features/{features}/seed{condensed.condensation_seed}.safetensors"
            yield Job("extract_features", wildcards, architecture, file)
        if experts := jobs.experts_of(config, condensed.method):
            name, count = experts
            entry = config.trajectories[name]
            kinds.append(entry.preprocessing)
            for number in range(count):
                wildcards = {"dataset": dataset, "trajectories": name, "expert": str(number)}
                cost = f"{dataset}/trajectories/{name}/expert{number}.cost.json"
                yield Job("train_expert", wildcards, entry.architecture, cost)
        for kind in kinds:
            if kind != "standardize":
                wildcards = {"dataset": dataset, "preprocessing": kind}
                file = f"{dataset}/whitening/{kind}.safetensors"
                yield Job("fit_whitening", wildcards, kind, file)
    if config.figure7:
        features = config.figure7.features
        for dataset in config.figure7.datasets:
            sets = figure_plan.embedded_sets(config, grid, dataset)
            for kind in dict.fromkeys(
                config.preprocessing_of(condensed.method) for condensed in sets
            ):
                wildcards = {"dataset": dataset, "features": features, "view": kind}
                architecture = config.features[features].architecture
                file = f"{dataset}/features/{features}/{kind}_network.safetensors"
                yield Job("train_embedder", wildcards, architecture, file)
