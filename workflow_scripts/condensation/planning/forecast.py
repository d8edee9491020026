"""The plan of a run: jobs, hours, memory and disk by rule, and what cannot fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from condensation.config.schema import Config
from condensation.core.progress import duration
from condensation.planning import requests
from condensation.planning.sizes import Images
from condensation.planning.work import Estimator, Work
from condensation.planning.worklist import Job, all_jobs
from condensation.workflow.grid import Grid

_START_SECONDS = 5.0  # of a job: Python, torch, the dataset; Snakemake's own on a cluster


def _words(job: Job) -> str:
    """Return the job's name for people."""
    told = dict(job.wildcards)
    for key, word in (("ipc", "IPC "), ("condensation_seed", "set "), ("expert", "expert ")):
        if key in told:
            told[key] = word + told[key]
    if "first" in told:
        told["first"], told["last"] = f"{told['first']}-{told['last']}", ""
    return f"{job.rule}: " + ", ".join(filter(None, told.values()))


@dataclass(frozen=True)
class Plan:
    """What a run would take.

    Attributes
    ----------
    rules : a row per rule: on (the device, or a CPU), jobs, done, hours_left and longest_hours of
        the jobs whose time is known, unknown (how many are left whose time is not), minutes_asked
        of a cluster and memory_gb, device_gb (all three at the most), disk_gb, basis (what the
        hours rest on).
    longest : the ten longest jobs and their hours.
    unknown : jobs of which nothing is known until one has run.
    too_large : jobs that cannot fit the device, and what they need in GB.
    assumed : what estimates rest on sizes that are not known.
    operations : multiplications and additions of all jobs of which something is known.
    """

    sets: int
    evaluations: int
    networks: int
    device: str
    device_gb: float | None
    rules: pd.DataFrame
    longest: list[tuple[str, float]]
    unknown: list[str]
    too_large: list[tuple[str, float]]
    assumed: list[str]
    operations: float


@dataclass(frozen=True)
class _Estimate:
    """A job, its work, the hours it takes (None: unknown), what they rest on, and what is asked."""

    job: Job
    work: Work
    hours: float | None
    basis: str
    minutes: int
    memory_mb: int
    done: bool

    @property
    def kind(self) -> str:
        return f"{self.job.rule}: {self.job.name}"


def forecast(
    config: Config, grid: Grid, results: Path, calibration: Mapping[str, Any] | None = None
) -> Plan:
    """Return the plan, from the estimates that requests are made from (``planning.requests``).

    ``calibration`` is taken instead of the one in the folder of ``results``.
    """
    asked = requests.Requests(config, grid, results, calibration)
    every = [_estimate(job, asked, results) for job in all_jobs(config, grid)]
    timed = [one for one in every if one.hours is not None]
    limit = config.compute.device_memory_mb or asked.calibration.get("memory_mb")
    rows = []
    for rule in dict.fromkeys(one.job.rule for one in every):
        own = [one for one in every if one.job.rule == rule]
        left = [one for one in own if not one.done]
        hours = [one.hours for one in own if one.hours is not None]
        rows.append(
            {
                "rule": rule,
                "on": "device" if rule in requests.ON_DEVICE else "CPU",
                "jobs": len(own),
                "done": len(own) - len(left),
                "hours_left": sum(one.hours for one in left if one.hours is not None),
                "longest_hours": max(hours, default=None),
                "unknown": sum(one.hours is None for one in left),
                "minutes_asked": max(one.minutes for one in own),
                "memory_gb": max(one.memory_mb for one in own) / 1e3,
                "device_gb": max(requests.device_mb(one.work) for one in own) / 1e3,
                "disk_gb": sum(one.work.disk_bytes for one in own) / 1e9,
                "basis": ", ".join(dict.fromkeys(one.basis for one in own)),
            }
        )
    needs = [
        (_words(one.job), requests.device_mb(one.work))
        for one in every
        if one.job.rule in requests.ON_DEVICE and not one.work.unknown
    ]
    operations = asked.estimator.operations_of
    slowest = sorted(timed, key=lambda one: one.hours, reverse=True)
    return Plan(
        sets=len(grid.sets),
        evaluations=sum(1 for one in every if one.job.rule == "evaluate"),
        networks=sum(grid.cells.values()),
        device=_device(asked.calibration),
        device_gb=limit and limit / 1e3,
        rules=pd.DataFrame(rows),
        longest=[(_words(one.job), one.hours) for one in slowest[:10]],
        unknown=sorted({one.kind for one in every if one.hours is None}),
        too_large=[(name, mb / 1e3) for name, mb in needs if limit and mb > limit],
        assumed=sorted({one.kind for one in every if not (one.work.known or one.work.unknown)}),
        operations=sum(operations(one.work, one.job.wildcards["dataset"]) for one in every),
    )


def _estimate(job: Job, asked: requests.Requests, results: Path) -> _Estimate:
    seconds = asked.seconds(job.rule, job.wildcards)
    return _Estimate(
        job=job,
        work=asked.estimator.of(job.rule, job.wildcards),
        hours=None if seconds is None else (seconds + _START_SECONDS) / 3600,
        basis=asked.basis(job.rule, job.wildcards),
        minutes=asked.minutes(job.rule, job.wildcards),
        memory_mb=asked.memory_mb(job.rule, job.wildcards),
        done=(results / job.output).is_file(),
    )


def _device(calibration: Mapping[str, Any]) -> str:
    if not calibration:
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
        "| rule | on | jobs | done | time left | longest job | time asked | memory asked "
        "| on the device | disk | times from |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in plan.rules.to_dict("records"):
        lines.append(
            f"| {row['rule']} | {row['on']} | {row['jobs']} | {row['done']} "
            f"| {_left(row)} | {_longest(row)} | {duration(60 * row['minutes_asked'])} "
            f"| {row['memory_gb']:.1f} GB | {row['device_gb']:.1f} GB "
            f"| {_size(row['disk_gb'])} | {row['basis']} |"
        )
    totals = plan.rules.groupby("on")["hours_left"].sum()
    told = (f"{duration(3600 * hours)} of one {on}" for on, hours in totals.items())
    more = plan.rules["unknown"].sum()
    unknown = f", and {more} jobs of unknown time" if more else ""
    lines += ["", f"Left: {', '.join(told)}{unknown}; divide by how many work side by side."]
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
    if plan.unknown:
        lines += ["", "Unknown until one job has run: " + "; ".join(plan.unknown) + "."]
    if plan.assumed:
        lines += ["", "Sizes assumed, not known: " + "; ".join(plan.assumed) + "."]
    return "\n".join(lines) + "\n"


def _left(row: Mapping[str, Any]) -> str:
    parts = [duration(3600 * row["hours_left"])] if row["unknown"] < row["jobs"] else []
    if row["unknown"]:
        parts.append(f"{row['unknown']} unknown" if parts else "unknown")
    return ", ".join(parts)


def _longest(row: Mapping[str, Any]) -> str:
    hours = row["longest_hours"]
    return "unknown" if pd.isna(hours) else duration(3600 * hours)


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
