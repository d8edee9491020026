"""Provenance: versions, commit and times, against files written by hand."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from condensation.config import loading
from condensation.core.errors import InputError
from condensation.planning import worklist
from condensation.workflow import grid, inputs, jobs, layout, provenance, targets

CONFIG = {
    "datasets": {"digits": {"source": "digits"}},
    "methods": {
        "random": {"algorithm": "random"},
        "kcenter": {"algorithm": "kcenter"},
        "kip": {"algorithm": "kip", "preprocessing": "zca_kip"},
        "tm": {
            **{"algorithm": "tm", "experts": 3, "steps": 2, "expert_epochs": 1, "max_start": 2},
            **{"lr": 1.0, "lr_step": 1e-6, "step_size": 0.01},
        },
    },
    "experiments": {
        "one": {
            **{
                "datasets": ["digits"],
                "methods": ["random", "kcenter", "kip", "tm"],
                "ipc": [1, 2],
            },
            **{"condensation_seeds": 2, "evaluation_seeds": 7},
        }
    },
}


@pytest.fixture
def benchmark_files():
    used = loading.parse(CONFIG)
    return provenance.benchmark_files(used, grid.expand(used))


@pytest.mark.parametrize(
    ("together", "blocks"), [(1, ["0", "1", "2"]), (2, ["0-1", "2-3"]), (8, ["0-7"])]
)
def test_experts_that_are_trained_together_are_one_job(together, blocks):
    used = loading.parse(CONFIG | {"trajectories": {"experts": {"together": together}}})
    assert jobs.expert_blocks(used, "tm") == blocks and jobs.expert_blocks(used, "kip") == []
    expanded = grid.expand(used)
    files = provenance.benchmark_files(used, expanded)["train_expert"]
    assert files == [f"train_expert/digits/experts/expert{block}.tsv" for block in blocks]
    planned = [job for job in worklist.all_jobs(used, expanded) if job.rule == "train_expert"]
    assert [job.wildcards["expert"] for job in planned] == blocks
    read = inputs.Inputs(targets.Targets(used, expanded, layout.Layout("r", "f"))).method(
        SimpleNamespace(**grid.SetId("digits", "tm", "1", 0).wildcards)
    )
    assert read["experts"] == [
        f"r/digits/trajectories/experts/expert{block}.safetensors" for block in blocks
    ]


def test_every_job_of_the_grid_has_its_file_once(benchmark_files):
    counts = {rule: len(paths) for rule, paths in benchmark_files.items()}
    per_job = loading.parse(CONFIG).evaluation.seeds_per_job
    assert counts == {
        "prepare_dataset": 1,
        "fit_whitening": 1,
        "extract_features": 2,  # a seed each
        "train_expert": 3,
        "condense": 4 * 2 * 2,
        "evaluate": 4 * 2 * 2 * -(-7 // per_job),
    }
    assert "condense/digits/tm/ipc2/set1.tsv" in benchmark_files["condense"]
    last = f"seeds{7 - 1 - (7 - 1) % per_job}-6.tsv"
    assert f"evaluate/digits/tm/ipc2/set1/convnet/dsa/sgd/{last}" in benchmark_files["evaluate"]


def write(path, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t5.0\n")


def test_times_are_of_the_jobs_of_this_config(tmp_path, benchmark_files):
    write(tmp_path / benchmark_files["condense"][0], 1.5)
    write(tmp_path / benchmark_files["condense"][1], 2.25)
    write(tmp_path / "condense/digits/forgotten/ipc1/set0.tsv", 1000)  # of an earlier config
    write(tmp_path / "make_leaderboard.tsv", 4)
    write(tmp_path / "rank/a/b.tsv", 5)
    write(tmp_path / "rank/a/c.tsv", 6)
    times = provenance.rule_times(tmp_path, benchmark_files)
    assert times["condense"] == {"jobs": 16, "timed": 2, "seconds": 3.75, "longest": 2.25}
    assert times["make_leaderboard"] == {"jobs": 1, "timed": 1, "seconds": 4.0, "longest": 4.0}
    assert times["rank"] == {"jobs": 2, "timed": 2, "seconds": 11.0, "longest": 6.0}
    assert times["train_expert"] == {"jobs": 3, "timed": 0, "seconds": 0, "longest": None}
    (tmp_path / "rank/a/b.tsv").write_text("nothing of the kind")
    with pytest.raises(InputError, match=r"b\.tsv: not a benchmark file"):
        provenance.rule_times(tmp_path, benchmark_files)


def test_without_any_benchmarks_nothing_is_timed(tmp_path, benchmark_files):
    times = provenance.rule_times(tmp_path / "none", benchmark_files)
    assert {rule["timed"] for rule in times.values()} == {0}


def git(folder, *arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_commit_is_recorded_and_whether_files_differ_from_it(tmp_path):
    unknown = {"commit": None, "dirty": None}
    assert provenance.commit(tmp_path) == unknown, "no repository"
    git(tmp_path, "init", "-q")
    assert provenance.commit(tmp_path) == unknown, "no commit yet"
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "one")
    head = git(tmp_path, "log", "-1", "--format=%H")
    assert provenance.commit(tmp_path) == {"commit": head, "dirty": False}
    (tmp_path / "a").write_text("2")
    assert provenance.commit(tmp_path) == {"commit": head, "dirty": True}
    (tmp_path / "inside").mkdir()
    assert provenance.commit(tmp_path / "inside") == unknown, "a copy in another's repository"


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.commit(tmp_path) == {"commit": None, "dirty": None}


def test_versions_and_machine_are_those_of_this_process():
    versions = provenance.versions()
    assert versions["python"] == sys.version.split()[0]
    assert versions["torch"] == importlib.metadata.version("torch")
    assert None not in versions.values(), "every package that is named is installed"
    assert provenance.machine()["cores"] == os.cpu_count()
    total = int(Path("/proc/meminfo").read_text().split()[1]) / 1024  # kB
    assert provenance.machine()["memory_mb"] == pytest.approx(total, rel=0.01)


def test_devices_are_listed_once():
    costs = [
        {"device": "cpu", "device_name": name, "threads": 1, "torch": "2", "seconds": number}
        for number, name in enumerate(["x86_64", "x86_64", "some GPU"])
    ]
    devices = provenance.devices(costs)
    assert [device["device_name"] for device in devices] == ["x86_64", "some GPU"]
    json.dumps(devices)


def test_the_digest_is_that_of_the_file(tmp_path):
    (tmp_path / "c").write_text("abc")  # FIPS 180, example
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert provenance.file_digest(tmp_path / "c") == expected
