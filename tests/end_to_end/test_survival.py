"""Killed with -9 at random moments and started again, every long job ends with the same bytes."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

# Runs every iterative method, and an expert, one after the other; what is finished is skipped.
SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = [{scripts!r}, {tests!r}]
import torch
from conftest import small_dataset
from dataclasses import replace
from condensation.config import loading
from condensation.core import storage
from condensation.data import sets
from condensation.methods import contract, experts as trajectories, recorder as loop
from condensation.workflow import jobs
from condensation.workflow.grid import SetId, expand

torch.set_num_threads(1)
loop.CHECKPOINT_EVERY = 0.0
folder, only = Path(sys.argv[1]), sys.argv[2:]
short = {{"architecture": "small", "batch_real": 8}}
methods = {{
    "dc": {{"algorithm": "dc", "iterations": 6, "outer": 3, "inner": 1, **short}},
    "dsa": {{"algorithm": "dsa", "iterations": 6, "outer": 3, "inner": 1, **short}},
    "dm": {{"algorithm": "dm", "iterations": 25, "snapshots": [0, 10], **short}},
    "tm": {{
        **{{"algorithm": "tm", "iterations": 10, "experts": 1, "steps": 3, "expert_epochs": 1}},
        **{{"max_start": 2, "lr": 1.0, "lr_step": 1e-7, "step_size": 0.01}},
    }},
    "kip": {{
        **{{"algorithm": "kip", "iterations": 40, "batch_real": 30}},
        **{{"preprocessing": "standardize", "learn_labels": True}},
    }},
}}
config = loading.parse({{
    "datasets": {{"small": {{"source": "digits"}}}},
    "methods": methods,
    "architectures": {{"small": {{"network": "convnet", "width": 8, "depth": 1}}}},
    "trajectories": {{"experts": {{"architecture": "small"}}}},
    "experiments": {{"e": {{"datasets": ["small"], "methods": [*methods], "ipc": [2]}}}},
}})
dataset = small_dataset()


def recorder(name, snapshots=()):
    return loop.Recorder(name, folder / f"{{name}}-checkpoint.safetensors", name, snapshots)


expert = folder / "expert.safetensors"
if not expert.exists():
    options = jobs.train_expert(config, expand(config), "small", "experts")["options"]
    problem = contract.Problem(dataset, None, 0, recorder=recorder("expert"))
    handled = ("preprocessing", "together")
    training = {{name: value for name, value in options.items() if name not in handled}}
    snapshots = trajectories.train(problem, [0], **training | {{"epochs": 6}})
    trajectories.write(expert, snapshots, problem, options=options)
for name in methods:
    output = folder / f"{{name}}.safetensors"
    if output.exists():
        continue
    job = jobs.condense(config, SetId("small", name, "2", 0))
    problem = contract.Problem(dataset, 2, 0, recorder=recorder(name, job["snapshots"]))
    if name == "tm":
        loaded = trajectories.load([expert], problem, job["options"]["architecture"])
        problem = replace(problem, trajectories=loaded)
    result = contract.resolve(job["function"])(problem, **job["options"])
    condensed = contract.finish(result, problem, name)
    images = {{str(i): x["images"] for i, x in problem.recorder.snapshots.items()}}
    storage.write_tensors(folder / f"{{name}}-snapshots.safetensors", images, {{}})
    sets.write(condensed, dataset, output)
print("finished")
"""


@pytest.fixture
def script(tmp_path) -> Path:
    path = tmp_path / "all_methods.py"
    text = SCRIPT.format(scripts=str(ROOT / "workflow_scripts"), tests=str(ROOT / "tests"))
    path.write_text(text)
    return path


def results(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.glob("*.safetensors"))
        if "checkpoint" not in path.name
    }


@pytest.mark.slow
def test_kill_9_at_random_moments_changes_no_byte(script, tmp_path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for folder in (undisturbed, disturbed):
        folder.mkdir()
    began = time.monotonic()
    subprocess.run([sys.executable, script, undisturbed], check=True, capture_output=True)
    whole = time.monotonic() - began
    killed, moments = 0, []
    for _ in range(12):
        running = subprocess.Popen(
            [sys.executable, script, disturbed], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        # most of the time goes into starting: the methods come in the last part of it
        moments.append(round(random.uniform(0.5, 1.1) * whole, 2))
        try:
            running.wait(moments[-1])
            break
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            killed += 1
    done = subprocess.run([sys.executable, script, disturbed], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected, actual = results(undisturbed), results(disturbed)
    assert {"dc", "dsa", "dm", "tm", "kip", "expert"} <= {Path(name).stem for name in expected}
    assert expected.keys() == actual.keys()
    for name, content in expected.items():
        assert actual[name] == content, f"{name} differs after kills at {moments} s"
