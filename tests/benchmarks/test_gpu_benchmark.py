"""The measurement for a lent GPU, in small and on the CPU, so that no minute of a card is lost."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import gpu
import torch

pytestmark = pytest.mark.slow
METHODS = ("dm", "dc", "dsa", "tm", "kip")


def run(output, *arguments):
    command = [sys.executable, ROOT / "benchmarks/gpu.py", "--device", "cpu", "--quick"]
    return subprocess.run(
        [*command, "--output", output, *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All parts but the compiled one, which takes a minute to compile."""
    output = tmp_path_factory.mktemp("gpu") / "small.json"
    parts = ("--parts", "correctness", "speed", "stacking", "expert", "launches")
    completed = run(output, "--minutes", "20", *parts, "--precision", "float32")
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return output, completed


def test_every_part_runs_in_small(done):
    output, completed = done
    results = json.loads(output.read_text())["results"]
    assert {result["status"] for result in results.values()} == {"ok"}
    expected = [f"correctness/step/{name}" for name in METHODS]
    expected += [f"speed/{name}/ipc1/float32" for name in METHODS]
    expected += [f"correctness/graphs/{name}" for name in (*gpu.RECORDED, "training")]
    expected += [f"launches/{name}/ipc1/float32" for name in gpu.RECORDED]
    expected += ["correctness/operators", "stacking/mlp/ipc1", "expert/expert/float32"]
    assert set(expected) <= set(results)
    assert all(name in completed.stdout for name in expected if not name.startswith("correctness"))


def test_the_printed_numbers_stand_beside_ours(done):
    row = next(line for line in done[1].stdout.splitlines() if "speed/dsa/ipc1" in line)
    assert row.endswith("| 0.22 | 3513 |")  # Table 8


def test_a_second_run_does_only_the_missing_cases(done, tmp_path):
    content = json.loads(done[0].read_text())
    content.pop("checksum")
    lost = content["results"].pop("correctness/kernels")
    output = tmp_path / "again.json"
    gpu.storage.write_json(output, content)
    completed = run(output, "--minutes", "5", "--precision", "float32", "--parts", "correctness")
    assert completed.returncode == 0, completed.stderr
    assert completed.stderr.count(": ok") == 1
    again = json.loads(output.read_text())["results"]
    assert again["correctness/kernels"]["errors"] == lost["errors"]


def test_it_ends_by_its_deadline_and_keeps_what_it_has(tmp_path):
    output = tmp_path / "short.json"
    completed = run(output, "--minutes", "0")
    assert "the minutes are over" in completed.stderr
    assert json.loads(output.read_text())["results"] == {}


def test_a_case_that_runs_at_the_deadline_is_broken_off():
    results, saved = {}, []

    def over():
        raise gpu.OutOfTime

    todo = [("first", lambda: {"status": "ok"}), ("late", over), ("never", over)]
    with pytest.raises(gpu.OutOfTime):
        gpu.run(todo, results, lambda: saved.append(dict(results)))
    assert results.keys() == {"first"}
    assert saved == [results]


def test_results_of_another_machine_are_not_continued(done, tmp_path):
    content = json.loads(done[0].read_text())
    content.pop("checksum")
    content["runs"][0]["device_name"] = "another"
    gpu.storage.write_json(tmp_path / "other.json", content)
    completed = run(tmp_path / "other.json", "--minutes", "1")
    assert completed.returncode
    assert "another device_name" in completed.stderr


def test_failed_cases_run_again_but_out_of_memory_is_a_result():
    def broken():
        raise ValueError("a slip")

    def large():
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    results, calls = {}, []
    todo = [("a", broken), ("b", large), ("c", lambda: calls.append(1) or {"status": "ok"})]
    gpu.run(todo, results, lambda: None)
    assert [results[name]["status"] for name in "abc"] == ["failed", "oom", "ok"]
    assert "a slip" in results["a"]["error"]
    gpu.run([("a", lambda: {"status": "ok"}), *todo[1:]], results, lambda: None)
    assert results["a"]["status"] == "ok"
    assert len(calls) == 1


@pytest.mark.parametrize("mistake", [1.01, -1.0])
def test_a_wrong_step_is_found(mistake, monkeypatch):
    """A step that is one percent too long, and one that climbs."""
    condense = gpu.dm.condense

    def wrong(problem, **options):
        return condense(problem, **options | {"lr": options["lr"] * mistake})

    monkeypatch.setattr(gpu.dm, "condense", wrong)
    changes = {"dm": {"batch_real": 8}}
    scale = gpu.Scale(
        *(gpu.synthetic((3, 8, 8), 10), torch.device("cpu"), (1,), 2, 1.0, changes, 2, {}, {}, ())
    )
    assert gpu.judged(gpu.step_errors(scale, "dm"), gpu.OF_JUMPS)["status"] == "wrong"
