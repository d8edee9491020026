"""Jobs side by side take devices of their own."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

from condensation import devices

HOLD = """
import sys, time
sys.path.insert(0, {scripts!r})
from pathlib import Path
from condensation import devices
print(devices.take(["0", "1", "2"], Path(sys.argv[1])), flush=True)
time.sleep(60)
"""


def test_each_job_takes_the_device_that_fewest_hold_and_lets_go_when_killed(tmp_path):
    code = HOLD.format(scripts=str(ROOT / "workflow_scripts"))
    running, taken = [], []
    try:
        for _ in range(5):
            command = [sys.executable, "-c", code, str(tmp_path)]
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            taken.append(running[-1].stdout.readline().strip())
        assert taken == ["0", "1", "2", "0", "1"]
        running[1].send_signal(signal.SIGKILL)
        running[1].wait()
        assert devices.take(["0", "1", "2"], tmp_path) == "1"
    finally:
        for one in running:
            one.kill()
            one.wait()


@pytest.mark.parametrize(
    ("wanted", "environment", "expected"),
    [
        ("auto", {"CUDA_VISIBLE_DEVICES": "4,7"}, "4"),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "GPU-8a, GPU-9b"}, "GPU-8a"),
        ("cuda:1", {"CUDA_VISIBLE_DEVICES": "4,7"}, "4,7"),
        ("auto", {"CUDA_VISIBLE_DEVICES": "4,7", "SLURM_JOB_ID": "3"}, "4,7"),
        ("cpu", {"CUDA_VISIBLE_DEVICES": "4,7"}, "4,7"),
        ("auto", {"CUDA_VISIBLE_DEVICES": ""}, ""),
        ("auto", {"CUDA_VISIBLE_DEVICES": "3"}, "3"),
        ("auto", {}, None),
    ],
)
def test_what_is_left_visible(monkeypatch, tmp_path, wanted, environment, expected):
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices, "present", lambda: [])
    devices.assign(wanted)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == expected


def test_a_machine_with_several_gives_one(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices, "present", lambda: ["0", "1"])
    devices.assign("auto")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
