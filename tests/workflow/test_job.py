"""A job fails if it has used code that its digest does not cover."""

import subprocess
import sys

import pytest
from conftest import ROOT

from condensation.config.loading import parse
from condensation.workflow import digest, jobs

SCRIPTS = ROOT / "workflow_scripts"
PROGRAM = """
import sys
sys.path.insert(0, {scripts!r})
from types import SimpleNamespace
import importlib
from condensation.core import compute, storage
from condensation.data import datasets, sets, whitening
from condensation.methods import contract, recorder
from job import job
settings = {{"compute": {{}}, "folders": [], "made_from": []}}
snakemake = SimpleNamespace(
    log=["r/logs/condense.log"], rule="condense", resources={{}}, threads=1, input=[], output=[],
    config={{"condensation": {{"r": settings}}}}, params=SimpleNamespace(job={code!r}),
)
with job(snakemake, torch_threads=False):
    for name in {modules!r}:
        importlib.import_module(name)
"""


def condense_job(method):
    config = parse(
        {
            "datasets": {"digits": {"source": "digits"}},
            "methods": {"m": method},
            "experiments": {"e": {"datasets": ["digits"], "methods": ["m"], "ipc": [1]}},
        }
    )
    set_id = jobs.SetId("digits", "m", "1", 0)
    return jobs.condense(config, set_id)


def run(folder, code, modules):
    program = PROGRAM.format(scripts=str(SCRIPTS), code=code, modules=modules)
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )


DM = {"algorithm": "dm", "iterations": 1, "init": "kcenter"}


def test_a_job_whose_digest_covers_its_code_ends_well(tmp_path):
    code = condense_job(DM)
    done = run(tmp_path, code, [name for name in code["sources"] if name != "condense"])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("condensation.methods.kcenter", "condensation/methods/kcenter.py"),
        pytest.param(
            *("condensation.networks.convnet", "condensation/networks/convnet.py"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("condensation.augmentation.dsa", "condensation/augmentation/dsa.py"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_job_fails_that_used_a_module_missing_from_its_sources(tmp_path, source, file):
    code = condense_job(DM)
    assert source in code["sources"]
    used = [name for name in code["sources"] if name != "condense"]
    dropped = {**code, "sources": [name for name in code["sources"] if name != source]}
    done = run(tmp_path, dropped, used)
    assert done.returncode != 0
    assert f"rule condense used {file}" in done.stderr and "digest" in done.stderr


def test_modules_without_effect_exist_and_need_no_digest():
    names = [f"condensation/{name}.py" for name in digest.WITHOUT_EFFECT]
    assert all((SCRIPTS / name).is_file() for name in names)
    assert digest.uncovered(["fit_whitening"], [SCRIPTS / name for name in names]) == []
    method = SCRIPTS / "condensation/methods/dm.py"
    assert digest.uncovered(["fit_whitening"], [method]) == ["condensation/methods/dm.py"]
