"""The plan of a run: jobs, hours, memory and disk by rule, and the jobs that cannot fit."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from condensation.config.schema import Config
from condensation.core.progress import duration
from condensation.planning import requests
from condensation.planning.work import Estimator, Work
from condensation.planning.worklist import Job, all_jobs
from condensation.workflow.grid import Grid

_START_SECONDS = 5.0  # to start Python and torch and to load the dataset


@dataclass(frozen=True)
class Plan:
    """What a run would take.

    Attributes
    ----------
    rules : a row per rule. ``hours_left`` and ``longest_hours`` cover the jobs with a known time,
        ``unknown`` counts the open jobs without one. ``minutes_asked``, ``memory_gb`` and
        ``device_gb`` are maxima. ``basis`` is the source of the hours.
    longest : the ten longest jobs and their hours.
    unknown : kinds of jobs with unknown time until one has run.
    too_large : jobs that cannot fit the device, and the GB that they need.
    assumed : kinds of jobs whose estimates use guessed sizes.
    operations : multiplications and additions of all jobs with an estimate.
    longest_left : hours of the longest open job with a known time.
    threads : CPU threads of a job.
    on_gpu : whether the hours on the device are those of a GPU.
    """

    sets: int
    evaluations: int
    networks: int
    device: str
    device_gb: float | None
    rules: list[dict[str, Any]]
    longest: list[tuple[str, float]]
    unknown: list[str]
    too_large: list[tuple[str, float]]
    assumed: list[str]
    operations: float
    longest_left: float
    threads: int
    on_gpu: bool

    def hours_left(self, on: str) -> float:
        """Return the hours of all open jobs on the ``device`` or the ``CPU``, one after another."""
        return sum((row["hours_left"] for row in self.rules if row["on"] == on), 0.0)

    def hours_with(self, count: int) -> float:
        """Return the least hours that the run takes with ``count`` GPUs, or else CPU cores.

        As many jobs as fit run at a time, and none is shorter than the longest. With a GPU, jobs
        without one take other cores.
        """
        at_once = count if self.on_gpu else max(1, count // self.threads)
        device, cpu = self.hours_left("device"), self.hours_left("CPU")
        total = max(device, cpu) if self.on_gpu else device + cpu
        return max(total / at_once, self.longest_left)


@dataclass(frozen=True)
class _Estimate:
    """A job with its work, its hours (None: unknown), their basis, and its requests."""

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
    """Return the plan, by the estimates behind the requests of the rules.

    ``calibration`` replaces the one in the folder ``results``.
    """
    asks = requests.Requests(config, grid, results, calibration)
    estimates = [_estimate(job, asks, results) for job in all_jobs(config, grid)]
    timed = [estimate for estimate in estimates if estimate.hours is not None]
    timed.sort(key=lambda estimate: estimate.hours, reverse=True)
    limit = config.compute.device_memory_mb or asks.calibration.get("memory_mb")
    limit = limit and limit / config.compute.jobs_per_gpu
    by_rule: dict[str, list[_Estimate]] = {}
    for estimate in estimates:
        by_rule.setdefault(estimate.job.rule, []).append(estimate)
    needs = [
        (estimate.job.title, requests.device_mb(estimate.work))
        for estimate in estimates
        if estimate.job.rule in requests.ON_DEVICE and not estimate.work.unknown
    ]
    return Plan(
        sets=len(grid.sets),
        evaluations=len(by_rule.get("evaluate", [])),
        networks=sum(grid.cells.values()),
        device=_device(asks.calibration),
        device_gb=limit and limit / 1e3,
        rules=[_row(rule, group) for rule, group in by_rule.items()],
        longest=[(estimate.job.title, estimate.hours) for estimate in timed[:10]],
        unknown=sorted({estimate.kind for estimate in estimates if estimate.hours is None}),
        too_large=[(title, mb / 1e3) for title, mb in needs if limit and mb > limit],
        assumed=sorted({e.kind for e in estimates if not (e.work.known or e.work.unknown)}),
        operations=sum(
            asks.estimator.operations_of(estimate.work, estimate.job.wildcards["dataset"])
            for estimate in estimates
        ),
        longest_left=max((estimate.hours for estimate in timed if not estimate.done), default=0.0),
        threads=config.compute.threads,
        on_gpu=asks.on_gpu,
    )


def _estimate(job: Job, asks: requests.Requests, results: Path) -> _Estimate:
    seconds = asks.seconds(job.rule, job.wildcards)
    return _Estimate(
        job=job,
        work=asks.estimator.of(job.rule, job.wildcards),
        hours=None if seconds is None else (seconds + _START_SECONDS) / 3600,
        basis=asks.basis(job.rule, job.wildcards),
        minutes=asks.minutes(job.rule, job.wildcards),
        memory_mb=asks.memory_mb(job.rule, job.wildcards),
        done=(results / job.output).is_file(),
    )


def _row(rule: str, group: list[_Estimate]) -> dict[str, Any]:
    open_jobs = [estimate for estimate in group if not estimate.done]
    return {
        "rule": rule,
        "on": "device" if rule in requests.ON_DEVICE else "CPU",
        "jobs": len(group),
        "done": len(group) - len(open_jobs),
        "hours_left": sum(estimate.hours or 0.0 for estimate in open_jobs),
        "longest_hours": max((e.hours for e in group if e.hours is not None), default=None),
        "unknown": sum(estimate.hours is None for estimate in open_jobs),
        "minutes_asked": max(estimate.minutes for estimate in group),
        "memory_gb": max(estimate.memory_mb for estimate in group) / 1e3,
        "device_gb": max(requests.device_mb(estimate.work) for estimate in group) / 1e3,
        "disk_gb": sum(estimate.work.disk_bytes for estimate in group) / 1e9,
        "basis": ", ".join(dict.fromkeys(estimate.basis for estimate in group)),
    }


def _device(calibration: Mapping[str, Any]) -> str:
    if not calibration:
        return "not measured"
    if calibration["device"] == "cpu":
        return f"{calibration['threads']} thread(s) of a CPU, {calibration['device_name']}"
    return calibration["device_name"]


def table(plan: Plan) -> str:
    """Return the rows of the plan as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(plan.rules[0]), lineterminator="\n")
    writer.writeheader()
    for row in plan.rules:
        writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()})
    return file.getvalue()


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
    hours = {on: plan.hours_left(on) for on in sorted(row["on"] for row in plan.rules)}
    for row in plan.rules:
        longest = row["longest_hours"]
        lines.append(
            f"| {row['rule']} | {row['on']} | {row['jobs']} | {row['done']} | {_left(row)} "
            f"| {'unknown' if longest is None else duration(3600 * longest)} "
            f"| {duration(60 * row['minutes_asked'])} | {row['memory_gb']:.1f} GB "
            f"| {row['device_gb']:.1f} GB | {_size(row['disk_gb'])} | {row['basis']} |"
        )
    totals = ", ".join(f"{duration(3600 * total)} of one {on}" for on, total in hours.items())
    open_jobs = sum(row["unknown"] for row in plan.rules)
    unknown = f", and {open_jobs} jobs of unknown time" if open_jobs else ""
    lines += [
        *("", f"Left: {totals}{unknown}; divide by the number of parallel jobs."),
        *_at_once(plan),
        f"All jobs: {plan.operations:.2g} operations, "
        f"{_size(sum(row['disk_gb'] for row in plan.rules))} of disk. "
        "Tables and figures take minutes.",
        *("", "Longest jobs:", ""),
        *(f"- {title}: {duration(3600 * longest)}" for title, longest in plan.longest),
    ]
    if plan.too_large:
        lines += ["", f"Expected not to fit {plan.device_gb:.1f} GB, and then recorded as OOM:"]
        lines += ["", *(f"- {title}: about {gb:.0f} GB" for title, gb in plan.too_large)]
    elif plan.device_gb:
        lines += ["", f"Every job is expected to fit {plan.device_gb:.1f} GB."]
    if plan.unknown:
        lines += ["", "Unknown until one job has run: " + "; ".join(plan.unknown) + "."]
    if plan.assumed:
        lines += ["", "Sizes assumed, not known: " + "; ".join(plan.assumed) + "."]
    return "\n".join(lines) + "\n"


def _at_once(plan: Plan) -> list[str]:
    """Return a line with the least time of the run on several GPUs or cores, if any is left."""
    if not plan.longest_left:
        return []
    unit, counts = ("GPUs", (4, 16)) if plan.on_gpu else ("cores", (16, 64))
    parts = []
    for count in counts:
        hours = plan.hours_with(count)
        limit = ", the longest job" if hours == plan.longest_left else ""
        parts.append(f"with {count} {unit}: about {_days(hours)}{limit}")
    known = " of the jobs with a known time" if any(row["unknown"] for row in plan.rules) else ""
    text = "; ".join(parts)
    return [
        f"{text[0].upper()}{text[1:]}. These are lower bounds{known}: some jobs wait for others."
    ]


def _days(hours: float) -> str:
    return duration(3600 * hours) if hours < 48 else f"{hours / 24:,.3g} days"


def _left(row: Mapping[str, Any]) -> str:
    parts = [duration(3600 * row["hours_left"])] if row["unknown"] < row["jobs"] else []
    if row["unknown"]:
        parts.append(f"{row['unknown']} unknown" if parts else "unknown")
    return ", ".join(parts)


def _size(gigabytes: float) -> str:
    return f"{gigabytes:.1f} GB" if gigabytes >= 1 else f"{1000 * gigabytes:.3g} MB"


def networks_used(
    config: Config, grid: Grid, results: Path
) -> list[tuple[str, str, dict[str, Any], tuple[int, int, int], int]]:
    """Return the networks to measure: architecture, dataset, entry, image shape and classes."""
    estimator = Estimator(config, grid, results)
    pairs = dict.fromkeys(
        (estimator.of(job.rule, job.wildcards).architecture, job.wildcards["dataset"])
        for job in all_jobs(config, grid)
    )
    return [
        (name, dataset, estimator.entry(name), data.shape, data.classes)
        for name, dataset in pairs
        if name is not None
        for data in [estimator.images(dataset)]
    ]
