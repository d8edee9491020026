"""Every job of a config that computes: its rule, its wildcards, and where its cost will lie.

Free of torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from condensation.config.schema import Config
from condensation.workflow import figure_plan, jobs
from condensation.workflow.grid import Grid, SetId


@dataclass(frozen=True)
class Job:
    """One job: its rule, its wildcards, and who computes (a method or an architecture).

    ``output`` is a file that is there once it is done, its record of what it cost where it leaves
    one (``cost``); relative to the results.
    """

    rule: str
    wildcards: dict[str, str]
    name: str
    output: str

    @property
    def cost(self) -> str | None:
        """The path of its cost file, if it leaves one."""
        return self.output if self.output.endswith("cost.json") else None

    def __str__(self) -> str:
        return " ".join([self.rule, *filter(None, self.wildcards.values())])


def all_jobs(config: Config, grid: Grid) -> Iterator[Job]:
    """Yield every job that computes, once: all but downloads, snapshots, tables and pictures."""
    for dataset in dict.fromkeys(one.dataset for one in grid.sets):
        file = f"{dataset}/dataset.safetensors"
        yield Job("prepare_dataset", {"dataset": dataset}, dataset, file)
    yield from _unique(_before(config, grid))
    for one in grid.sets:
        wildcards = _of_set(one)
        yield Job("condense", wildcards, one.method, f"{one.folder}/cost.json")
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


def _of_set(one: SetId) -> dict[str, str]:
    wildcards = {"dataset": one.dataset, "method": one.method, "ipc": one.ipc}
    return wildcards | {"condensation_seed": str(one.condensation_seed)}


def _before(config: Config, grid: Grid) -> Iterator[Job]:
    """Yield what condensed sets need beside the dataset."""
    for one in grid.sets:
        dataset = one.dataset
        kinds = [config.preprocessing_of(one.method)]
        if features := jobs.features_of(config, one.method):
            wildcards = {"dataset": dataset, "features": features}
            wildcards["condensation_seed"] = str(one.condensation_seed)
            architecture = config.features[features].architecture
            file = f"{dataset}/features/{features}/seed{one.condensation_seed}.safetensors"
            yield Job("extract_features", wildcards, architecture, file)
        if experts := jobs.experts_of(config, one.method):
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
            for kind in dict.fromkeys(config.preprocessing_of(one.method) for one in sets):
                wildcards = {"dataset": dataset, "features": features, "view": kind}
                architecture = config.features[features].architecture
                file = f"{dataset}/features/{features}/{kind}_network.safetensors"
                yield Job("train_embedder", wildcards, architecture, file)


def _unique(some: Iterator[Job]) -> Iterator[Job]:
    seen = set()
    for job in some:
        if str(job) not in seen:
            seen.add(str(job))
            yield job
