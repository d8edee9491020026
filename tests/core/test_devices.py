"""Jobs side by side take devices of their own."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

from condensation.core import devices

HOLD = """
import sys, time
sys.path.insert(0, {scripts!r})
from pathlib import Path
from condensation.core import devices
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
        for process in running:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("device", "environment", "expected"),
    [
        ("auto", {"CUDA_VISIBLE_DEVICES": "4,7"}, "4"),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "GPU-8a, GPU-9b"}, "GPU-8a"),
        ("cuda:1", {"CUDA_VISIBLE_DEVICES": "4,7"}, "4,7"),
        ("auto", {"CUDA_VISIBLE_DEVICES": "4,7", "SLURM_JOB_ID": "3"}, "4,7"),
        ("cpu", {"CUDA_VISIBLE_DEVICES": "4,7"}, "4,7"),
        ("auto", {"CUDA_VISIBLE_DEVICES": ""}, ""),
        ("auto", {"CUDA_VISIBLE_DEVICES": "3"}, "3"),
        ("auto", {"CUDA_VISIBLE_DEVICES": "-1,0,1"}, "-1,0,1"),
        ("auto", {}, None),
    ],
)
def test_assign_sets_the_visible_devices(monkeypatch, tmp_path, device, environment, expected):
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices, "present", lambda: [])
    devices.assign(device)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == expected


def test_a_job_takes_one_of_several_devices(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices, "present", lambda: ["0", "1"])
    devices.assign("auto")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine without device files, the driver's program and its library."""
    for name in ("dev", "bin", "wsl"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(devices, "_DEVICES", tmp_path / "dev")
    monkeypatch.setattr(devices, "_WSL", str(tmp_path / "wsl"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices.ctypes, "CDLL", no_library)
    return tmp_path


def no_library(name):
    raise OSError(f"{name}: cannot open shared object file")


def program(path, code, *lines):
    echoes = "".join(f"echo '{line}'\n" for line in lines)
    path.write_text(f"#!/bin/sh\n{echoes}exit {code}\n")
    path.chmod(0o755)


GPUS = [f"GPU {n}: NVIDIA X (UUID: GPU-{n})" for n in range(2)]


def test_without_a_gpu_as_many_jobs_run_as_there_are_cores(machine):
    assert devices.present() == devices.usable() == []
    assert devices.at_once() == os.cpu_count()


def test_devices_are_counted_by_their_files_and_numbered_as_cuda_does(machine):
    for name in ("nvidia3", "nvidia5", "nvidiactl", "nvidia-uvm", "nvidia0x"):
        (machine / "dev" / name).touch()
    program(machine / "bin/nvidia-smi", 0, *GPUS, *GPUS)
    assert devices.usable() == ["0", "1"], "the program is not asked"
    assert devices.at_once() == 2


@pytest.mark.parametrize("folder", ["bin", "wsl"])
def test_without_files_the_drivers_program_is_asked(machine, folder):
    lines = [GPUS[0], "  MIG 1g.5gb Device 0: (UUID: MIG-1)", GPUS[1]]
    program(machine / folder / "nvidia-smi", 0, *lines)
    assert devices.present() == ["0", "1"] and devices.at_once() == 2


@pytest.mark.parametrize(("initialised", "expected"), [(0, 3), (100, 0)])
def test_if_the_drivers_program_fails_its_library_is_asked(
    machine, monkeypatch, initialised, expected
):
    program(machine / "bin/nvidia-smi", 9, "NVIDIA-SMI has failed")

    class Driver:
        def cuInit(self, flags):
            return initialised

        def cuDeviceGetCount(self, number):
            number._obj.value = 3
            return 0

    monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: Driver())
    assert len(devices.present()) == expected


@pytest.mark.parametrize(
    ("visible", "expected"), [("4,7", 2), ("GPU-8a", 1), ("", None), ("-1", None), ("1,-1,2", 1)]
)
def test_only_visible_devices_count(machine, monkeypatch, visible, expected):
    program(machine / "bin/nvidia-smi", 0, *GPUS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.at_once() == (expected or os.cpu_count())
