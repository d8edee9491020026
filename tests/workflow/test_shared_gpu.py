"""Several jobs share a GPU, each with its part of the memory."""

import pytest
import torch
import yaml
from conftest import ROOT, snakemake

from condensation.config.compute import Compute
from condensation.core import compute


@pytest.mark.parametrize(("requested", "expected"), [("2", 6), ("5", 5)])
def test_two_gpus_run_three_jobs_each_unless_told_otherwise(tmp_path, requested, expected):
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(
            {
                "datasets": {"digits": {"source": "digits"}},
                "methods": {"random": {"algorithm": "random"}},
                "experiments": {"e": {"datasets": ["digits"], "methods": ["random"], "ipc": [1]}},
                "compute": {"jobs_per_gpu": 3},
            }
        )
    )
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


def test_each_job_gets_its_part_of_the_memory(monkeypatch):
    fractions = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", fractions.append)
    compute.limit_device(1)
    compute.limit_device(4)
    assert fractions == [0.25]
    settings = Compute(device="cuda", device_memory_mb=80_000, jobs_per_gpu=4)
    assert settings.declared_mb == 20_000
