"""A small run on a real Slurm of one node: its requests, parallel jobs, retries and resumption.

The node is that of ``slurm_node.py``; its GPUs are pretended, so the jobs compute on the CPU.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import slurm_node
import yaml
from conftest import copy_workflow

from condensation.core import storage

pytestmark = pytest.mark.slurm
TOGETHER = """
import os
import time
from pathlib import Path

def together(problem):
    "Wait until four jobs are here, each with the device that Slurm gave it."
    here = Path("here")
    here.mkdir(exist_ok=True)
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
    mine = here / f"{problem.seed}-{device}"
    mine.touch()
    until = time.monotonic() + 200
    while len(list(here.iterdir())) < 4:
        if time.monotonic() > until:
            mine.unlink()
            raise RuntimeError("no four jobs at once")
        time.sleep(0.2)
    return problem.real(problem.draw_real(problem.ipc, problem.generator("own")).flatten())
"""
METHODS = """
import time
import numpy as np

def hungry(problem):
    np.ones(3_600_000_000, dtype=np.uint8).sum()
    return problem.real(problem.draw_real(problem.ipc, problem.generator("own")).flatten())

def slow(problem):
    time.sleep(80)
    return problem.real(problem.draw_real(problem.ipc, problem.generator("own")).flatten())
"""
CONFIG = {
    "datasets": {"digits": {"source": "digits"}},
    "methods": {
        "random": {"algorithm": "random"},
        "hungry": {"algorithm": "own.py:hungry"},
        "slow": {"algorithm": "own.py:slow"},
        "long": {"algorithm": "dm", "iterations": 1500, "batch_real": 64, "architecture": "small"},
        "tm": {
            **{"algorithm": "tm", "iterations": 2, "experts": 12, "steps": 2, "expert_epochs": 1},
            **{"max_start": 2, "lr": 1.0, "lr_step": 1e-6, "step_size": 0.01},
        },
    },
    "trajectories": {"experts": {"architecture": "small"}},
    "architectures": {"small": {"network": "convnet", "width": 8, "depth": 2}},
    "evaluation": {"epochs": 3},
    "compute": {"checkpoint_seconds": 1},
    "experiments": {
        "main": {
            **{"datasets": ["digits"], "methods": ["random", "hungry", "slow", "long", "tm"]},
            **{"ipc": [2], "architectures": ["small", "mlp"], "augmentations": ["none", "dsa"]},
            **{"evaluation_seeds": 2},
        }
    },
}


@pytest.fixture(scope="module")
def node():
    if reason := slurm_node.obstacle():
        pytest.skip(reason)
    try:
        slurm_node.start()
    except (OSError, RuntimeError) as error:  # no device files, no loopback: not ours to mend
        slurm_node.stop()
        pytest.skip(f"no Slurm node comes up here: {error}")
    yield
    slurm_node.stop()


@pytest.fixture(scope="module")
def ran(node, tmp_path_factory) -> tuple[Path, list[dict], str]:
    """The run; what Slurm knows of its jobs; its output. One job is cancelled on the way."""
    folder = copy_workflow(tmp_path_factory.mktemp("slurm") / "checkout")
    (folder / "own.py").write_text(METHODS)
    (folder / "config/small.yaml").write_text(yaml.safe_dump(CONFIG))
    profile = folder / "profiles/slurm/config.yaml"
    edit(profile, "- partition = None", "- partition = 'long'")
    edit(profile, "- gpu_partition = None", "- gpu_partition = 'gpus'")
    # so little that the first attempts of `hungry` and `slow` are ended by Slurm
    requests = folder / "workflow_scripts/condensation/planning/requests.py"
    edit(requests, "True: 6000", "True: 1500")
    edit(requests, "_BY_MINUTES = 10, 3, 5", "_BY_MINUTES = 0.5, 3, 1")
    edit(requests, "_UNKNOWN_MINUTES = 480", "_UNKNOWN_MINUTES = 1")
    edit(
        folder / "workflow_scripts/condensation/planning/work.py",
        "_PLUGIN_BYTES = 4e9",
        "_PLUGIN_BYTES = 0.5e9",
    )
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm"]
    command += ["--slurm-init-seconds-before-status-checks", "4"]
    command += ["--configfile", "config/small.yaml"]
    with (folder / "output.txt").open("w") as output:
        running = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    try:
        cancel(folder, running)
        running.wait(1500)
    finally:
        running.kill()
    jobs = slurm_node.jobs()
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    (folder / "slurm_jobs.jsonl").write_text(lines)  # Slurm forgets them with the node
    return folder, jobs, (folder / "output.txt").read_text()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


def cancel(folder: Path, running: subprocess.Popen) -> None:
    """Cancel the job of ``long`` once it has left a checkpoint."""
    checkpoint = folder / "results/digits/long/ipc2/set0/checkpoint.safetensors"
    until = time.monotonic() + 900
    while time.monotonic() < until and running.poll() is None:
        if checkpoint.exists():
            (number,) = (
                job["id"]
                for job in slurm_node.jobs()
                if job["state"] == "RUNNING"
                and "rule_condense" in job["comment"]
                and "long" in job["comment"]
            )
            subprocess.run(["scancel", str(number)], check=True)
            return
        time.sleep(0.2)
    pytest.fail("no checkpoint: " + (folder / "output.txt").read_text()[-3000:])


def of(jobs: list[dict], *words: str) -> list[dict]:
    """The jobs whose comment holds all the words, in the order of their ids."""
    matching = [job for job in jobs if all(word in job["comment"] for word in words)]
    return sorted(matching, key=lambda job: job["id"])


def test_it_ends_with_all_tables_and_figures(ran):
    folder, _, output = ran
    assert "The run took" in output, output[-3000:]
    assert not re.search(r"^\d+ jobs? failed:$", output, re.M), "each succeeded at last"
    assert (folder / "results/tables/accuracy.md").is_file()
    assert (folder / "figures/critical_difference.png").is_file()
    for method in CONFIG["methods"]:
        record = f"results/digits/{method}/ipc2/set0/evaluation/mlp/dsa/sgd/seeds0-1.json"
        assert storage.read_json(folder / record)["status"] == "ok"


def test_jobs_that_compute_requested_one_gpu_and_the_others_none(ran):
    _, jobs, _ = ran
    on_gpu = [*of(jobs, "rule_condense_"), *of(jobs, "evaluate"), *of(jobs, "experts")]
    assert len(of(jobs, "experts")) == 2, "twelve experts, ten to a submission"
    assert len(of(jobs, "evaluate")) == 5, "the ways to judge a set share a submission"
    assert on_gpu and all(job["gpus"] == 1 for job in on_gpu), on_gpu
    assert {job["partition"] for job in on_gpu} == {"gpus"}
    others = [job for job in jobs if job not in on_gpu]
    for rule in ("prepare_dataset", "make_tables", "plot_accuracy", "make_leaderboard"):
        assert of(others, f"rule_{rule}"), rule
    assert all(job["gpus"] == 0 for job in others)
    assert {job["partition"] for job in others} == {"long"}
    assert all(job["cpus"] == 1 for job in jobs)


def test_each_job_requested_what_its_work_needs(ran):
    """Slurm holds the numbers of the estimate; a group adds up the minutes."""
    folder, jobs, _ = ran
    code = (
        "import sys, json; sys.path.insert(0, 'workflow_scripts')\n"
        "from condensation.config import loading\n"
        "from condensation.planning import requests\n"
        "from condensation.workflow import grid\n"
        "config = loading.load('config/small.yaml')\n"
        "estimates = requests.Requests(config, grid.expand(config))\n"
        "cell = {'dataset': 'digits', 'ipc': '2', 'condensation_seed': '0'}\n"
        "way = {'optimizer': 'sgd', 'first': '0', 'last': '1', 'snapshot': ''}\n"
        "ways = [cell | way | {'method': 'random', 'architecture': a, 'augmentation': g}\n"
        "        for a in ('small', 'mlp') for g in ('none', 'dsa')]\n"
        "tm = cell | {'method': 'tm'}\n"
        "print(json.dumps({\n"
        "    'prepare': [estimates.memory_mb('prepare_dataset', cell)],\n"
        "    'tm': [estimates.memory_mb('condense', tm), estimates.minutes('condense', tm)],\n"
        "    'random': [max(estimates.memory_mb('evaluate', w) for w in ways),\n"
        "               sum(estimates.minutes('evaluate', w) for w in ways)]}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    expected = json.loads(done.stdout)
    (prepare,) = of(jobs, "prepare_dataset")
    assert [prepare["memory_mb"]] == expected["prepare"]
    first = of(jobs, "rule_condense_", "tm")[0]
    assert [first["memory_mb"], first["minutes"]] == expected["tm"]
    first = of(jobs, "evaluate_digits_random")[0]
    assert [first["memory_mb"], first["minutes"]] == expected["random"]


def test_independent_jobs_ran_side_by_side_up_to_the_number_of_gpus(ran):
    _, jobs, _ = ran
    on_gpu = [job for job in jobs if job["gpus"]]
    at_once = [
        sum(job["begin"] <= moment < job["end"] for job in on_gpu)
        for moment in (job["begin"] for job in on_gpu)
    ]
    assert max(at_once) == slurm_node.GPUS


def test_a_job_beyond_its_memory_comes_back_with_twice_as_much(ran):
    _, jobs, _ = ran
    first, second = of(jobs, "rule_condense", "hungry")
    # Slurm calls a job that its own watch of the memory ended FAILED or CANCELLED by version
    assert first["state"] in ("FAILED", "OUT_OF_MEMORY", "CANCELLED"), first
    assert second["state"] == "COMPLETED"
    assert second["memory_mb"] == 2 * first["memory_mb"]


def test_a_job_beyond_its_time_comes_back_with_twice_as_much(ran):
    _, jobs, _ = ran
    first, second = of(jobs, "rule_condense", "slow")
    assert (first["state"], second["state"]) == ("TIMEOUT", "COMPLETED")
    assert second["minutes"] == 2 * first["minutes"]


def test_a_cancelled_job_continues_from_its_checkpoint(ran):
    folder, jobs, _ = ran
    first, second = of(jobs, "rule_condense", "long")
    assert (first["state"], second["state"]) == ("CANCELLED", "COMPLETED")
    log = (folder / "results/logs/condense/digits/long/ipc2/set0.log").read_text()
    assert re.search(r"continuing at step [1-9]", log), log


def test_jobs_share_gpus_where_the_cluster_offers_shards(node, tmp_path):
    """Four jobs at once on three GPUs; each meets the three others."""
    folder = copy_workflow(tmp_path / "checkout")
    (folder / "own.py").write_text(TOGETHER)
    config = {
        "datasets": {"digits": {"source": "digits"}},
        "methods": {"together": {"algorithm": "own.py:together"}},
        "evaluation": {"epochs": 2},
        "compute": {"jobs_per_gpu": slurm_node.SHARDS // slurm_node.GPUS},
        "experiments": {
            "main": {
                **{"datasets": "digits", "methods": "together", "ipc": 1},
                **{"architectures": "mlp", "augmentations": "none"},
                **{"condensation_seeds": 4, "evaluation_seeds": 1},
            }
        },
    }
    (folder / "config/shared.yaml").write_text(yaml.safe_dump(config))
    edit(folder / "profiles/slurm/config.yaml", "- share_gpus = False", "- share_gpus = True")
    earlier = {job["id"] for job in slurm_node.jobs()}
    command = [sys.executable, "-m", "snakemake", "results/tables/accuracy.md"]
    command += ["--profile", "slurm", "--configfile", "config/shared.yaml"]
    command += ["--slurm-init-seconds-before-status-checks", "4"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    jobs = [job for job in slurm_node.jobs() if job["id"] not in earlier]
    computing = [*of(jobs, "rule_condense_"), *of(jobs, "evaluate")]
    assert len(computing) == 8
    assert all((job["gpus"], job["shards"]) == (0, 1) for job in computing), computing
    assert all(job["shards"] == 0 for job in jobs if job not in computing)
    devices = [path.name.partition("-")[2] for path in (folder / "here").iterdir()]
    assert "none" not in devices
    assert 1 < max(map(devices.count, devices)) <= 2, devices
