"""A config in pieces: the jobs of each piece, and that a carried piece is not made again."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, copy_workflow, snakemake

from condensation.config import loading
from condensation.paper import names as paper_names
from condensation.paper import printed
from condensation.workflow import grid, jobs

GPU = loading.load(ROOT / "config/cifar10-gpu.yaml")
PAGE = (ROOT / "docs/gpu.md").read_text()


# --- config/cifar10-gpu.yaml ----------------------------------------------------------------------


def test_every_cell_for_a_gpu_has_a_printed_number():
    """Nothing but the number of experts differs from the paper's protocol."""
    numbers = printed.load(sorted((ROOT / "config/paper").glob("*.csv")))
    cells = grid.expand(GPU).cells
    for cell, networks in cells.items():
        method = paper_names.method(GPU, cell.set.dataset, cell.set.method, cell.set.ipc)
        augmentation = paper_names.augmentation(GPU, cell.augmentation)
        dataset = paper_names.dataset(GPU, cell.set.dataset)
        key = (4, dataset.name, method.name, cell.set.ipc, augmentation.name)
        assert numbers[key].value is not None, key
        differs = [*method.differs, *augmentation.differs, *dataset.differs]
        differs += paper_names.protocol(GPU, cell.augmentation)
        expected = [f"methods.{cell.set.method}: experts 20 (paper: 100)"]
        assert differs == (expected if method.name == "TM" else []), cell
        assert networks == 5
    pairs = {(cell.set.method[:2], cell.set.ipc) for cell in cells}
    assert pairs == {(m, i) for m in ("dc", "ds", "dm", "tm") for i in ("1", "10")} | {("dm", "50")}


def test_the_pieces_come_in_order_of_worth():
    assert list(GPU.experiments) == [
        *("matching_ipc1", "dm_ipc1", "dm_ipc10", "dm_ipc50", "tm_ipc1"),
        *("matching_ipc10", "tm_ipc10"),
    ]
    assert all(f"experiment_{name}" in PAGE for name in GPU.experiments)
    assert {method for block in GPU.nas.sets for method in block.methods} == {
        *("random", "kcenter", "dc", "dsa", "dm", "kip", "tm_ipc50")
    }


@pytest.mark.parametrize(("trajectories", "epochs"), [("ipc1", 6), ("ipc10", 16), ("ipc50", 41)])
def test_experts_are_trained_for_as_many_epochs_as_are_read(trajectories, epochs):
    job = jobs.train_expert(GPU, grid.expand(GPU), "cifar10", trajectories)
    assert job["options"]["epochs"] == epochs


def test_the_records_of_an_experiment_are_those_of_its_seeds():
    """Even where another experiment evaluates the same cell with more networks."""
    content = {
        "datasets": {"digits": {"source": "digits"}},
        "methods": {"random": {"algorithm": "random"}},
        "evaluation": {"seeds_per_job": 2},
    }
    axes = {"datasets": ["digits"], "methods": ["random"], "ipc": [1]}
    content["experiments"] = {
        "few": axes | {"evaluation_seeds": 2},
        "many": axes | {"ipc": [1, 2], "evaluation_seeds": 4},
    }
    expanded = grid.expand(loading.parse(content))
    few, many = (list(expanded.records(name)) for name in ("few", "many"))
    assert [path.rpartition("/")[2] for path in few] == ["seeds0-1.json"]
    assert len(many) == 4
    assert set(few) < set(many) == set(expanded.records())


# --- carried to another machine -------------------------------------------------------------------

TINY = {
    "results_dir": "results/cifar10-gpu",
    "figures_dir": "figures/cifar10-gpu",
    "datasets": {"digits": {"source": "digits"}},
    "architectures": {"small": {"network": "convnet", "width": 8, "depth": 2}},
    "trajectories": {"ipc1": {"architecture": "small"}, "ipc2": {"architecture": "small"}},
    "features": {"embedding": {"architecture": "small"}},
    "methods": {
        "dm": {"algorithm": "dm", "iterations": 2, "batch_real": 16, "architecture": "small"},
        "kcenter": {"algorithm": "kcenter"},
        **{
            f"tm_ipc{ipc}": {
                **{"algorithm": "tm", "trajectories": f"ipc{ipc}", "experts": 1, "iterations": 1},
                **{"steps": 2, "expert_epochs": 1, "max_start": 1, "lr": 1, "lr_step": 1e-6},
                "step_size": 0.01,
            }
            for ipc in (1, 2)
        },
    },
    "evaluation": {"epochs": 2},
    "compute": {"device": "cpu"},
    "experiments": {
        name: {
            **{"datasets": ["digits"], "methods": methods, "ipc": [ipc]},
            **{"architectures": ["small"], "evaluation_seeds": 1, "augmentations": ["none", "dsa"]},
        }
        for name, methods, ipc in (
            ("first", ["dm", "tm_ipc1", "kcenter"], 1),
            ("second", ["tm_ipc2"], 2),
        )
    },
}


def commands(marker: str) -> str:
    """The commands of a block of docs/gpu.md, the one that holds ``marker``."""
    blocks = re.findall(r"(?:^ {4}.+\n)+", PAGE, flags=re.M)
    (block,) = (block for block in blocks if marker in block)
    return re.sub(r"^ {4}", "", block, flags=re.M)


def shell(folder, text) -> str:
    # the commands name snakemake, which need not be on the path of whoever runs the tests
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", text],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_carried_piece_is_not_made_again(tmp_path):
    """By the commands of docs/gpu.md, between two clones; neither features nor images travel."""
    here, there = (copy_workflow(tmp_path / name) for name in ("here", "there"))
    for folder in (here, there):
        (folder / "config/cifar10-gpu.yaml").write_text(yaml.safe_dump(TINY))
    configfile = ("--configfile", "config/cifar10-gpu.yaml")
    done = snakemake(here, "--cores", "1", "experiment_first", *configfile)
    assert done.returncode == 0, done.stderr
    shell(here, commands("tar cf"))
    names = shell(here, "tar tf carried.tar")
    assert "condensed.safetensors" in names and "seeds0-0.json" in names
    assert not re.search(r"dataset\.safetensors|/features/|/logs/", names)
    (here / "carried.tar").rename(there / "carried.tar")
    done = snakemake(there, "--cores", "1", "prepared_datasets", *configfile)
    assert done.returncode == 0, done.stderr
    shell(there, commands("tar xf"))
    (line,) = (
        line.strip() for line in PAGE.splitlines() if "--rerun-triggers" in line and "    " in line
    )
    triggers = line.partition("--rerun-triggers")[2].partition("--configfile")[0].split()
    again = ("--rerun-triggers", *triggers, *configfile)
    nothing = snakemake(there, "-n", "experiment_first", *again)
    assert "Nothing to be done" in nothing.stdout + nothing.stderr
    done = snakemake(there, "--cores", "1", "experiment_second", *again)
    assert done.returncode == 0, done.stderr
    output = done.stdout + done.stderr
    assert re.search(r"^total +5$", output, re.M), "expert, set, two networks and the target"
    # an edit is noticed all the same, because what made the files travels with them
    content = TINY | {"evaluation": {"epochs": 3}}
    (there / "config/cifar10-gpu.yaml").write_text(yaml.safe_dump(content))
    edited = snakemake(there, "-n", "experiment_first", *again)
    counted = edited.stdout + edited.stderr
    assert re.search(r"^evaluate +6$", counted, re.M)
    assert "condense" not in re.findall(r"^(\w+) +\d+$", counted, re.M)
    (there / "config/cifar10-gpu.yaml").write_text(yaml.safe_dump(TINY))
    page = snakemake(there, "--cores", "1", "evidence", *again, "--config", "partial=true")
    assert page.returncode == 0, page.stderr
    assert (there / "results/cifar10-gpu/evidence/report.md").is_file()
