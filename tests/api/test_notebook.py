"""The notebook of the documentation: its cells run in order, and its outputs are committed."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

NOTEBOOK = ROOT / "docs/digits.ipynb"
CELLS = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_the_cells_of_the_notebook_run_in_order(tmp_path):
    code = "\n".join("".join(cell["source"]) for cell in CELLS)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT / "workflow_scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for method in ("random", "kcenter", "dm"):
        assert f"\n{method} " in done.stdout, "its accuracy is printed"
    assert (tmp_path / "digits_kcenter.safetensors").is_file()


def test_the_notebook_is_committed_with_its_outputs_and_without_errors():
    outputs = [output for cell in CELLS for output in cell["outputs"]]
    assert not any(output["output_type"] == "error" for output in outputs)
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2, "the images and the accuracies"
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    assert str(ROOT.parent) not in NOTEBOOK.read_text()
