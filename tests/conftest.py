"""What several test files share: a small dataset, a way to run Snakemake."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from condensation.data.datasets import Dataset
from condensation.methods.contract import Problem

# what the tests compute is small: a second thread costs more than it gives
torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"


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


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run Snakemake in ``folder``; the result holds its output as text."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=600,
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
