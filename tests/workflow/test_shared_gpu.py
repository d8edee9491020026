"""Several jobs share a GPU, each with its part of the memory."""

import os

import pytest
import torch
import yaml
from conftest import ROOT, snakemake

from condensation.config.compute import Compute
from condensation.core import compute

SHARD = ["condense:gpu=0", "condense:gres=shard:1"]


def write_config(folder, share=3, device="cuda"):
    (folder / "config.yaml").write_text(
        yaml.safe_dump(
            {
                "datasets": {"digits": {"source": "digits"}},
                "methods": {"random": {"algorithm": "random"}},
                "experiments": {"e": {"datasets": ["digits"], "methods": ["random"], "ipc": [1]}},
                "compute": {"jobs_per_gpu": share, "device": device},
            }
        )
    )


@pytest.mark.parametrize(("requested", "expected"), [("2", 6), ("5", 5)])
def test_two_gpus_run_three_jobs_each_unless_told_otherwise(tmp_path, requested, expected):
    write_config(tmp_path)
    shown = 'print("GPUs:", workflow.global_resources.get("gpu").value, file=sys.stderr)'
    (tmp_path / "Snakefile").write_text(f'import sys\ninclude: "{ROOT}/Snakefile"\n{shown}\n')
    arguments = (
        "-n",
        "--cores",
        "8",
        "--configfile",
        "config.yaml",
        "--resources",
        f"gpu={requested}",
    )
    done = snakemake(tmp_path, *arguments, CUDA_VISIBLE_DEVICES="0,1")
    assert f"GPUs: {expected}\n" in done.stderr, done.stderr


def refusing(folder):
    """Return a PATH with an ``sbatch`` that only leaves a file ``submitted``."""
    submit = folder / "bin" / "sbatch"
    submit.parent.mkdir()
    submit.write_text(f"#!/bin/sh\ntouch {folder}/submitted\nexit 1\n")
    submit.chmod(0o755)
    return f"{submit.parent}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("share", "device", "requested", "message"),
    [
        (3, "cuda", [], "jobs_per_gpu is 3, but each job requests a whole GPU"),
        (1, "cuda", SHARD, "Set jobs_per_gpu to the number of"),
        (1, "cpu", SHARD, "requests shards of GPUs, but compute: device is cpu"),
    ],
)
def test_jobs_of_a_cluster_request_what_they_use(tmp_path, share, device, requested, message):
    write_config(tmp_path, share, device)
    arguments = ["-s", f"{ROOT}/Snakefile", "--configfile", "config.yaml", "--jobs", "2"]
    if requested:
        arguments += ["--set-resources", *requested]
    done = snakemake(tmp_path, *arguments, "--executor", "slurm", PATH=refusing(tmp_path))
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "submitted").exists()


def test_each_job_gets_its_part_of_the_memory(monkeypatch):
    fractions = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", fractions.append)
    compute.limit_device(1)
    compute.limit_device(4)
    assert fractions == [0.25]
    settings = Compute(device="cuda", device_memory_mb=80_000, jobs_per_gpu=4)
    assert settings.declared_mb == 20_000
