"""Out of memory: an `oom` result in an evaluation, one clear error in any other rule."""

import json
import logging
from types import SimpleNamespace

import pytest
import yaml
from conftest import snakemake

from condensation.config.compute import LEAST_MEMORY_MB
from condensation.config.loading import parse
from condensation.core import compute
from condensation.core.errors import InputError
from job import job

ALLOCATOR = "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"


def content(limit):
    mlp = {"network": "mlp", "width": 20_000}  # 1.6 GB of weights
    return {
        "datasets": {"digits": {"source": "digits"}},
        "methods": {
            "random": {"algorithm": "random"},
            "kcenter": {"algorithm": "kcenter"},
            "dm": {"algorithm": "dm", "iterations": 1, "architecture": "wide"},
        },
        "architectures": {"wide": mlp, "narrow": {"network": "mlp", "width": 8}},
        "features": {"embedding": {"architecture": "wide"}},
        "evaluation": {"epochs": 1},
        "compute": {"memory_limit_mb": limit, "compile": False},
        "experiments": {
            "e": {
                **{"datasets": ["digits"], "methods": ["random", "kcenter", "dm"], "ipc": [1]},
                **{"architectures": ["wide", "narrow"], "evaluation_seeds": 1},
            }
        },
    }


@pytest.mark.parametrize("limit", [1, 500, 800, LEAST_MEMORY_MB - 1])
def test_a_limit_below_what_a_process_needs_is_refused(limit):
    with pytest.raises(InputError, match=f"memory_limit_mb: .*{LEAST_MEMORY_MB}, got {limit}"):
        parse(content(limit))


def failing(folder, error):
    """Run a job that raises ``error``; return its exit message and its log."""
    compute_options = {"memory_limit_mb": None, "precision": "float32", "deterministic": False}
    compute_options["jobs_per_gpu"] = 1
    settings = {"compute": compute_options, "folders": [], "made_from": []}
    rule = SimpleNamespace(
        **{
            "log": [folder / "logs" / "rule.log"],
            "rule": "train_expert",
            "resources": {},
            "threads": 1,
        },
        **{"input": [], "output": [], "config": {"condensation": {str(folder): settings}}},
    )
    handlers = list(logging.getLogger("condensation").handlers)
    try:
        with pytest.raises(SystemExit) as ended, job(rule):
            raise error
    finally:
        logging.getLogger("condensation").handlers[:] = handlers
    return str(ended.value), (folder / "logs" / "rule.log").read_text()


def behind(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(ALLOCATOR),
        OSError(12, "Cannot allocate memory"),
        behind(InputError("architecture x: too large"), RuntimeError(ALLOCATOR)),
        behind(RuntimeError("backend='inductor' raised"), MemoryError()),
    ],
)
def test_running_out_of_memory_is_one_message_in_any_rule(tmp_path, error):
    message, log = failing(tmp_path, error)
    assert message.startswith("error: rule train_expert ran out of memory (")
    assert "Traceback" not in log and message in log


def test_other_errors_are_not_taken_for_out_of_memory(tmp_path):
    assert failing(tmp_path, InputError("a wrong file"))[0] == "error: a wrong file"
    assert not compute.is_out_of_memory(behind(RuntimeError("shapes"), ValueError("sizes")))


@pytest.mark.slow
def test_cells_read_oom_and_other_rules_name_the_limit_to_raise(checkout):
    """In three rules the weights of a network exceed a real memory limit."""
    (checkout / "low.yaml").write_text(yaml.safe_dump(content(LEAST_MEMORY_MB)))
    done = snakemake(
        *(checkout, "--cores", "2", "--keep-going", "evaluations", "--configfile", "low.yaml")
    )
    output = done.stdout + done.stderr
    status = {
        path.parts[-8] + " " + path.parts[-4]: json.loads(path.read_text())["status"]
        for path in (checkout / "results/digits").rglob("seeds0-0.json")
    }
    assert status == {
        **{"random wide": "oom", "random narrow": "ok", "dm wide": "oom", "dm narrow": "oom"}
    }, output
    assert done.returncode != 0  # the features of K-Center are no result
    assert "error: rule extract_features ran out of memory" in output
    assert f"compute.memory_limit_mb is {LEAST_MEMORY_MB}: raise it" in output
    assert "Traceback" not in output
