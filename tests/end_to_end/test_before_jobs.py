"""What this machine lacks is reported before any job starts."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import copy_workflow, snakemake

from condensation.core.errors import InputError
from condensation.planning import trials

CONFIG = {
    "datasets": {"digits": {"source": "digits"}},
    "methods": {"random": {"algorithm": "random"}},
    "compute": {"device": "cuda"},
    "experiments": {"e": {"datasets": "digits", "methods": "random", "ipc": 1}},
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A checkout with a config, and a folder of programs without those of Slurm."""
    folder = copy_workflow(tmp_path / "checkout")
    (folder / "small.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "programs").mkdir()
    for name in ("bash", "sh", "env", "git", "which", "uname"):
        if path := shutil.which(name):
            (folder / "programs" / name).symlink_to(path)
    return folder


def run(folder, *arguments) -> tuple[int, str]:
    environment = {"CUDA_VISIBLE_DEVICES": "", "PATH": str(folder / "programs")}
    arguments = ("evaluations", "--configfile", "small.yaml", *arguments)
    process = snakemake(folder, *arguments, **environment)
    return process.returncode, process.stdout + process.stderr


@pytest.mark.slow
def test_a_gpu_that_is_missing_stops_a_run_on_this_machine_before_its_first_job(folder):
    code, output = run(folder, "--cores", "1")
    assert code == 1 and "compute.device: cuda is set, but torch" in output
    assert "set `compute: {device: auto}`" in output
    assert not (folder / "results").exists()
    code, output = run(folder, "--cores", "1", "-n")
    assert code == 0 and "cuda" not in output


def test_a_profile_for_slurm_without_slurm_says_what_is_missing(folder):
    code, output = run(folder, "--profile", "slurm")
    assert code == 1 and "`sbatch` is not on the PATH" in output
    assert "Traceback" not in output and "compute.device" not in output
    assert not (folder / "results").exists()
    code, output = run(folder, "--profile", "slurm", "-n")
    assert code == 0 and "sbatch" not in output


def test_the_device_is_tried_only_where_the_config_demands_cuda(monkeypatch):
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    for name in ("cuda", "cuda:1"):
        with pytest.raises(InputError, match=f"compute.device: {name} is set, but torch .*auto"):
            trials.check_device(name)
    monkeypatch.setattr(trials.subprocess, "run", None)
    for name in ("auto", "cpu"):
        trials.check_device(name)
