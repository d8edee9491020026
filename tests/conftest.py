"""What several test files share: a small dataset, a way to run Snakemake."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from filelock import FileLock
from launches import as_on_a_gpu

from condensation.data.datasets import Dataset
from condensation.methods.contract import Problem

# what the tests compute is small: a second thread costs more than it gives
torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first, so that no process ends with one."""
    marks = ("slurm", "slow", "fuzz", "browser")
    weights = {}
    for item in items:
        rank = [item.get_closest_marker(mark) is None for mark in marks]
        weights[item.path] = min(weights.get(item.path, rank), rank)
    items.sort(key=lambda item: weights[item.path])


def small_dataset(classes=3, per_class=20, shape=(3, 8, 8), test_per_class=5) -> Dataset:
    """Random images of ``classes`` classes, told apart by their brightness."""
    generator = torch.Generator().manual_seed(0)

    def split(count):
        labels = torch.arange(classes).repeat(count)  # not in class order, as in real data
        noise = torch.randint(0, 100, (len(labels), *shape), generator=generator)
        return (noise + labels.view(-1, 1, 1, 1) * 70).to(torch.uint8), labels

    train, test = split(per_class), split(test_per_class)
    channels = shape[0]
    return Dataset(
        *("small", tuple(f"class {i}" for i in range(classes)), *train, *test),
        mean=(0.4,) * channels,
        std=(0.3,) * channels,
    )


@pytest.fixture
def dataset() -> Dataset:
    return small_dataset()


@pytest.fixture
def problem(dataset) -> Problem:
    return Problem(dataset, ipc=2, seed=0)


@pytest.fixture(params=["on a cpu", "as on a gpu"])
def either_way(request, monkeypatch):
    """Run a test twice: as always, and with what only GPUs do (``launches.Replays``)."""
    if request.param == "on a cpu":
        yield None
        return
    with as_on_a_gpu(monkeypatch) as replays:
        yield replays


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run Snakemake in ``folder``; the result holds its output as text."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=1200,
        check=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every result in ``folder`` that must not depend on the clock, with checksums beside them."""
    costs = r"cost\.json$|^provenance\.json$|cost_accuracy|table8"  # these show what it cost
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for top in ("results", "figures")
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
        and not {"logs", "benchmarks", "leaderboard"} & set(path.parts)
        and not re.search(costs, path.name)
    }


def copy_workflow(folder: Path) -> Path:
    """Copy the workflow, without results, to ``folder``."""
    folder.mkdir()
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder)
    for name in ("rules", "workflow_scripts", "config", "profiles"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    (folder / "slurm").symlink_to("profiles/slurm")
    return folder


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of the workflow that a test may run and change."""
    return copy_workflow(tmp_path / "checkout")


def build_once(tmp_path_factory, name: str, build) -> Path:
    """Return a folder that ``build`` fills once for all processes of a test session.

    It is read-only by agreement: a test that changes something works on a copy.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # the workers' common folder
    folder, complete = base / name, base / f"{name}.complete"
    with FileLock(base / f"{name}.lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            build(folder)
            complete.touch()
    return folder


def copy_run(run: Path, folder: Path) -> Path:
    """Copy a finished run with the times of its files, by which Snakemake decides what to do."""
    return shutil.copytree(run, folder, copy_function=shutil.copy2, symlinks=True)


SMALL = ("--configfile", "small.yaml")
SMALL_CONFIG = {
    "datasets": {"digits": {"source": "digits"}},
    "methods": {
        "random": {"algorithm": "random"},
        "mine": {"algorithm": "mine.py:mine"},
        "dm": {
            **{"algorithm": "dm", "iterations": 2, "batch_real": 8, "architecture": "small"},
            **{"snapshots": [0]},
        },
    },
    "architectures": {"small": {"network": "convnet", "width": 4, "depth": 1}},
    "evaluation": {"epochs": 20},
    "experiments": {
        "e": {
            **{"datasets": ["digits"], "methods": ["random", "mine", "dm"], "ipc": [1]},
            **{"architectures": ["small"], "evaluation_seeds": 1},
        }
    },
}
SMALL_METHOD = """
import torch


def mine(problem):
    {first_line}
    return torch.cat([indices[: problem.ipc] for indices in problem.dataset.indices_by_class()])
"""


def small_checkout(folder: Path) -> Path:
    """A checkout with a config of three methods, one of them the user's, at one network each."""
    copy_workflow(folder)
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL_CONFIG, sort_keys=False))
    (folder / "mine.py").write_text(SMALL_METHOD.format(first_line="pass"))
    return folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    """A small checkout after a whole run, with Snakemake's words in ``output.txt``."""

    def build(folder):
        small_checkout(folder)
        done = snakemake(folder, "--cores", "2", *SMALL)
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "output.txt").write_text(done.stdout + done.stderr)

    return build_once(tmp_path_factory, "small_run", build)
