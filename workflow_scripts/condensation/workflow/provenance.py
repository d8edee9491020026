"""What made the results: versions, machine, commit, and the time that each rule took."""

import csv
import hashlib
import importlib.metadata
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from condensation.config.schema import Config
from condensation.core.errors import InputError
from condensation.workflow import jobs, layout
from condensation.workflow.grid import Grid

PACKAGES = ("snakemake", "torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn")
PACKAGES += ("statsmodels", "scikit-posthocs", "pandas", "safetensors", "pillow", "pydantic")
PACKAGES += ("matplotlib", "seaborn", "itables", "jinja2")


def versions() -> dict[str, str | None]:
    """Return the version of Python and of each package; None for one that is not installed."""
    installed: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed[name] = None
    return installed


def machine() -> dict[str, Any]:
    """Return platform, processor, number of cores and memory (MiB) of this machine."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_mb": pages // 2**20,
    }


def commit(folder: Path) -> dict[str, Any]:
    """Return the git commit of ``folder``, and whether it is dirty: has changed or new files.

    Both are None where ``folder`` is not the top of a git checkout, or git is not installed.
    """
    unknown = {"commit": None, "dirty": None}
    try:
        top = Path(_git(folder, "rev-parse", "--show-toplevel").strip())
        if top.resolve() != folder.resolve():  # a copy inside another repository
            return unknown
        head = _git(folder, "rev-parse", "HEAD").strip()
        return {"commit": head, "dirty": bool(_git(folder, "status", "--porcelain").strip())}
    except (OSError, subprocess.CalledProcessError):
        return unknown


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def benchmark_files(config: Config, grid: Grid) -> dict[str, list[str]]:
    """Return, per rule that works on cells, the benchmark file of each job of the grid.

    Paths are relative to ``benchmarks`` in the results folder.
    """
    files: dict[str, list[str]] = {}

    def add(rule: str, **wildcards: Any) -> None:
        files.setdefault(rule, []).append(layout.benchmark(rule, **wildcards))

    for dataset in grid.datasets:
        add("prepare_dataset", dataset=dataset)
    for set_id in grid.sets:
        preprocessing = config.preprocessing_of(set_id.method)
        if preprocessing != "standardize":
            add("fit_whitening", dataset=set_id.dataset, preprocessing=preprocessing)
        if features := jobs.features_of(config, set_id.method):
            add("extract_features", **set_id.wildcards, features=features)
        if experts := jobs.experts_of(config, set_id.method):
            for block in jobs.expert_blocks(config, set_id.method):
                names = {"trajectories": experts[0], "expert": block}
                add("train_expert", dataset=set_id.dataset, **names)
        add("condense", **set_id.wildcards)
    for cell, first, last in grid.evaluations():
        add("evaluate", **cell.wildcards, first=first, last=last)
    return {rule: list(dict.fromkeys(paths)) for rule, paths in files.items()}


def rule_times(folder: Path, expected: Mapping[str, Iterable[str]]) -> dict[str, dict[str, Any]]:
    """Return, per rule: number of jobs, number of jobs with a known time, and their seconds.

    ``folder`` holds Snakemake's benchmark files, ``expected`` those of ``benchmark_files``. Of the
    other rules, all files count.
    """
    paths = {rule: [folder / path for path in files] for rule, files in expected.items()}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        rule = path.stem if path.is_file() else path.name
        if rule not in expected:
            paths[rule] = [path] if path.is_file() else sorted(path.rglob("*.tsv"))
    times = {}
    for rule, files in paths.items():
        seconds = [_seconds(path) for path in files if path.is_file()]
        times[rule] = {
            "jobs": len(files),
            "timed": len(seconds),
            "seconds": round(sum(seconds), 2),
            "longest": round(max(seconds), 2) if seconds else None,
        }
    return times


def _seconds(path: Path) -> float:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return statistics.fmean(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not a benchmark file of Snakemake ({error})") from error


def devices(costs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the distinct devices of costs: device, its name, threads, version of torch."""
    distinct = []
    for cost in costs:
        device = {name: cost.get(name) for name in ("device", "device_name", "threads", "torch")}
        if device not in distinct:
            distinct.append(device)
    return distinct


def images_read(datasets: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return, per prepared dataset, the origin of its images and the report on reading them.

    ``datasets`` holds the metadata of their files.
    """
    return {
        metadata["name"]: {"source": metadata["source"], **metadata.get("report", {})}
        for metadata in datasets
    }


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
