"""The plan of a run: jobs, hours, memory and disk by rule, and what cannot fit."""

import contextlib
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from condensation import jobs, requests
from condensation.config import Config
from condensation.errors import InputError
from condensation.figures import plan as figure_plan
from condensation.grid import Grid, SetId
from condensation.progress import duration
from condensation.sizes import Images
from condensation.storage import read_json
from condensation.work import Estimator, Work

_START_SECONDS = 5.0  # of a job: Python, torch, the dataset; Snakemake's own on a cluster


@dataclass(frozen=True)
class Job:
    """One job: its rule, its wildcards, and who computes (a method or an architecture)."""

    rule: str
    wildcards: dict[str, str]
    name: str
    cost: str | None = None  # path of its cost file, relative to the results

    def __str__(self) -> str:
        return " ".join([self.rule, *filter(None, self.wildcards.values())])


def all_jobs(config: Config, grid: Grid) -> Iterator[Job]:
    """Yield every job that computes, once: all but downloads, snapshots, tables and pictures."""
    for dataset in dict.fromkeys(one.dataset for one in grid.sets):
        yield Job("prepare_dataset", {"dataset": dataset}, dataset)
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


def _words(job: Job) -> str:
    """Return the job's name for people."""
    told = dict(job.wildcards)
    for key, word in (("ipc", "IPC "), ("condensation_seed", "set "), ("expert", "expert ")):
        if key in told:
            told[key] = word + told[key]
    if "first" in told:
        told["first"], told["last"] = f"{told['first']}-{told['last']}", ""
    return f"{job.rule}: " + ", ".join(filter(None, told.values()))


def _before(config: Config, grid: Grid) -> Iterator[Job]:
    """Yield what condensed sets need beside the dataset."""
    for one in grid.sets:
        dataset = one.dataset
        kinds = [config.preprocessing_of(one.method)]
        if features := jobs.features_of(config, one.method):
            wildcards = {"dataset": dataset, "features": features}
            wildcards["condensation_seed"] = str(one.condensation_seed)
            yield Job("extract_features", wildcards, config.features[features].architecture)
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
                yield Job("fit_whitening", {"dataset": dataset, "preprocessing": kind}, kind)
    if config.figure7:
        features = config.figure7.features
        for dataset in config.figure7.datasets:
            sets = figure_plan.embedded_sets(config, grid, dataset)
            for kind in dict.fromkeys(config.preprocessing_of(one.method) for one in sets):
                wildcards = {"dataset": dataset, "features": features, "view": kind}
                yield Job("train_embedder", wildcards, config.features[features].architecture)


def _unique(some: Iterator[Job]) -> Iterator[Job]:
    seen = set()
    for job in some:
        if str(job) not in seen:
            seen.add(str(job))
            yield job


@dataclass(frozen=True)
class Plan:
    """What a run would take.

    Attributes
    ----------
    rules : a row per rule: on (the device, or a CPU), jobs, done, hours_left, longest_hours,
        memory_gb asked for, device_gb (both at the most), disk_gb, basis (what the hours rest on).
    longest : the ten longest jobs and their hours.
    too_large : jobs that cannot fit the device, and what they need in GB.
    assumed : what estimates rest on sizes that are not known.
    operations : multiplications and additions of all jobs.
    """

    sets: int
    evaluations: int
    networks: int
    device: str
    device_gb: float | None
    rules: pd.DataFrame
    longest: list[tuple[str, float]]
    too_large: list[tuple[str, float]]
    assumed: list[str]
    operations: float


@dataclass(frozen=True)
class _Estimate:
    """A job, its work, how long it takes by the calibration, and by what is known of others."""

    job: Job
    work: Work
    expected: float  # seconds, by calibration or assumption
    took: float | None  # seconds, where it has finished
    done: bool

    @property
    def kind(self) -> tuple[str, str]:
        return self.job.rule, self.job.name


def forecast(
    config: Config, grid: Grid, results: Path, calibration: Mapping[str, Any] | None = None
) -> Plan:
    """Return the plan: hours from the records of finished jobs, else from the calibration.

    Finished jobs of the same rule and the same method or architecture tell
    how long an operation takes there (the median over them).
    """
    asked = requests.Requests(config, grid, results)
    every = [_estimate(job, asked, results, calibration) for job in all_jobs(config, grid)]
    ratios = defaultdict(list)
    for one in every:
        if one.took and one.expected:
            ratios[one.kind].append(one.took / one.expected)
    factors = {kind: statistics.median(found) for kind, found in ratios.items()}
    otherwise = "calibration" if calibration else "assumption"

    def hours(one: _Estimate) -> float:
        return (one.expected * factors.get(one.kind, 1.0) + _START_SECONDS) / 3600

    limit = config.compute.device_memory_mb or (calibration or {}).get("memory_mb")
    rows = []
    for rule in dict.fromkeys(one.job.rule for one in every):
        own = [one for one in every if one.job.rule == rule]
        left = [one for one in own if not one.done]
        basis = ("records" if one.kind in factors else otherwise for one in own)
        rows.append(
            {
                "rule": rule,
                "on": "device" if rule in requests.ON_DEVICE else "CPU",
                "jobs": len(own),
                "done": len(own) - len(left),
                "hours_left": sum(map(hours, left)),
                "longest_hours": max(map(hours, own)),
                "memory_gb": max(asked.memory_mb(rule, one.job.wildcards) for one in own) / 1e3,
                "device_gb": max(requests.device_mb(one.work) for one in own) / 1e3,
                "disk_gb": sum(one.work.disk_bytes for one in own) / 1e9,
                "basis": ", ".join(dict.fromkeys(basis)),
            }
        )
    needs = [
        (_words(one.job), requests.device_mb(one.work))
        for one in every
        if one.job.rule in requests.ON_DEVICE
    ]
    operations = asked.estimator.operations_of
    return Plan(
        sets=len(grid.sets),
        evaluations=sum(1 for one in every if one.job.rule == "evaluate"),
        networks=sum(grid.cells.values()),
        device=_device(calibration),
        device_gb=limit and limit / 1e3,
        rules=pd.DataFrame(rows),
        longest=[
            (_words(one.job), hours(one)) for one in sorted(every, key=hours, reverse=True)[:10]
        ],
        too_large=[(name, mb / 1e3) for name, mb in needs if limit and mb > limit],
        assumed=sorted({": ".join(one.kind) for one in every if not one.work.known}),
        operations=sum(operations(one.work, one.job.wildcards["dataset"]) for one in every),
    )


def _estimate(
    job: Job,
    asked: requests.Requests,
    results: Path,
    calibration: Mapping[str, Any] | None,
) -> _Estimate:
    done = job.cost is not None and (results / job.cost).is_file()
    took = None
    if done:
        with contextlib.suppress(InputError):  # a damaged one is made anew before it is used
            cost = read_json(results / job.cost)
            took = cost.get("seconds") or sum(row["seconds"] for row in cost.get("rows", []))
    work = asked.estimator.of(job.rule, job.wildcards)
    expected = asked.seconds(job.rule, job.wildcards, calibration)
    return _Estimate(job, work, expected, took, done)


def _device(calibration: Mapping[str, Any] | None) -> str:
    if calibration is None:
        return "not measured"
    if calibration["device"] == "cpu":
        return f"{calibration['threads']} thread(s) of a CPU, {calibration['device_name']}"
    return calibration["device_name"]


def render(plan: Plan) -> str:
    """Return the plan as Markdown."""
    memory = f" with {plan.device_gb:.1f} GB" if plan.device_gb else ""
    lines = [
        "# Plan",
        "",
        f"{plan.sets} condensed sets, {plan.evaluations} evaluation jobs with {plan.networks} "
        f"networks. The device: {plan.device}{memory}.",
        "",
        "| rule | on | jobs | done | time left | longest job | memory asked | on the device | disk "
        "| times from |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in plan.rules.to_dict("records"):
        lines.append(
            f"| {row['rule']} | {row['on']} | {row['jobs']} | {row['done']} "
            f"| {duration(3600 * row['hours_left'])} | {duration(3600 * row['longest_hours'])} "
            f"| {row['memory_gb']:.1f} GB | {row['device_gb']:.1f} GB "
            f"| {_size(row['disk_gb'])} | {row['basis']} |"
        )
    totals = plan.rules.groupby("on")["hours_left"].sum()
    told = (f"{duration(3600 * hours)} of one {on}" for on, hours in totals.items())
    lines += ["", f"Left: {', '.join(told)}; divide by how many work side by side."]
    disk = f"{_size(plan.rules['disk_gb'].sum())} of disk"
    lines += [
        f"All jobs: {plan.operations:.2g} operations, {disk}. Tables and figures take minutes."
    ]
    lines += ["", "Longest jobs:", ""]
    lines += [f"- {name}: {duration(3600 * hours)}" for name, hours in plan.longest]
    if plan.device_gb:
        if plan.too_large:
            lines += ["", f"Expected not to fit {plan.device_gb:.1f} GB, and then recorded as OOM:"]
            lines += ["", *(f"- {name}: about {gb:.0f} GB" for name, gb in plan.too_large)]
        else:
            lines += ["", f"Every job is expected to fit {plan.device_gb:.1f} GB."]
    if plan.assumed:
        lines += ["", "Sizes assumed, not known: " + "; ".join(plan.assumed) + "."]
    return "\n".join(lines) + "\n"


def _size(gigabytes: float) -> str:
    return f"{gigabytes:.1f} GB" if gigabytes >= 1 else f"{1000 * gigabytes:.3g} MB"


def networks_used(
    config: Config, grid: Grid, results: Path
) -> list[tuple[str, str, dict[str, Any], Images]]:
    """Return what passes go through: names of architecture and dataset, and what they are."""
    estimator = Estimator(config, grid, results)
    pairs = {
        (estimator.of(job.rule, job.wildcards).architecture, job.wildcards["dataset"]): None
        for job in all_jobs(config, grid)
    }
    return [
        (architecture, dataset, estimator.entry(architecture), estimator.images(dataset))
        for architecture, dataset in pairs
        if architecture is not None
    ]
