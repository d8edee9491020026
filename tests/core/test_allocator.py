"""Freed memory is kept for the next tensors: fewer page faults, counted by the system."""

import platform
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc",
    reason="only glibc keeps freed memory on request",
)
PAGES = 64 * 2**20 // 4096  # of one tensor, 64 MiB
PROGRAM = """
import resource, sys
sys.path.insert(0, {scripts!r})
import torch
from condensation.core import allocator, compute
from job import job

def faults():
    for _ in range(12):  # aligned blocks leave gaps: the first are too small for the next
        torch.ones(2**24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

torch.set_num_threads(1)
{code}
"""
JOB = """
from types import SimpleNamespace
options = {"precision": "float32", "deterministic": False, "memory_limit_mb": %s, "device": "cpu"}
options["jobs_per_gpu"] = 1
settings = {"compute": options, "folders": [], "made_from": []}
snakemake = SimpleNamespace(
    log=["r/logs/condense.log"], rule="condense", resources={}, threads=1, input=[], output=[],
    config={"condensation": {"r": settings}},
)
with job(snakemake):
    print(faults())
"""


def run(folder, code):
    program = PROGRAM.format(scripts=str(ROOT / "workflow_scripts"), code=code)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def test_a_tensor_takes_the_memory_of_the_tensors_before(tmp_path):
    code = "print(faults()); allocator.keep_freed_memory(); print(faults())"
    without, kept = run(tmp_path, code)
    # the system gives pages singly or, where it likes, 512 at once
    assert without >= PAGES // 512
    assert kept < without / 4


def test_memory_goes_back_before_a_computation_is_tried_in_smaller_parts(tmp_path):
    code = """
allocator.keep_freed_memory()
faults()
print(resident())
compute.free_memory()
print(resident())
"""
    kept, returned = run(tmp_path, code)
    assert kept - returned > 0.9 * PAGES


def test_jobs_keep_freed_memory_unless_their_memory_is_limited(tmp_path):
    (kept,), (limited,) = run(tmp_path, JOB % None), run(tmp_path, JOB % 4000)
    assert limited >= PAGES // 512
    assert kept < limited / 4
