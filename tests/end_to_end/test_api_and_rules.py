"""The API writes the bytes that the rules write for the same options and seeds."""

import json

import pytest
import yaml
from conftest import snakemake

from condensation import api

CONVNET = {"network": "convnet", "width": 4, "depth": 1}
METHODS = {
    "dm": {"iterations": 2, "batch_real": 8, "init": "kcenter", "snapshots": [1]},
    "kip": {"iterations": 2, "batch_real": 100},
    "tm": {
        **{"iterations": 2, "experts": 2, "steps": 2, "expert_epochs": 1, "max_start": 2},
        **{"lr": 1.0, "lr_step": 1e-5, "step_size": 0.02},
    },
}


@pytest.mark.slow
def test_sets_and_accuracies_equal_those_of_a_run(checkout, tmp_path, monkeypatch):
    config = {
        "datasets": {"digits": {"source": "digits"}},
        "methods": {name: {"algorithm": name, **options} for name, options in METHODS.items()},
        # under the names that the API gives to a mapping in place of a name
        "architectures": {"architecture": CONVNET, "convnet": CONVNET},
        "features": {"features": {"architecture": "convnet"}},
        "trajectories": {"trajectories": {"architecture": "convnet"}},
        "evaluation": {"epochs": 3},
        "experiments": {
            "e": {
                **{"datasets": ["digits"], "methods": list(METHODS), "ipc": [2]},
                **{"architectures": ["architecture"], "evaluation_seeds": 2},
            }
        },
    }
    config["methods"]["dm"] |= {"architecture": "architecture", "features": "features"}
    config["methods"]["tm"] |= {"trajectories": "trajectories"}
    (checkout / "c.yaml").write_text(yaml.safe_dump(config))
    run = snakemake(checkout, "--cores", "2", "evaluations", "--configfile", "c.yaml")
    assert run.returncode == 0, run.stdout + run.stderr
    inputs = {
        "dm": {"architecture": CONVNET, "features": {"architecture": CONVNET}},
        "tm": {"trajectories": {"architecture": CONVNET}},
    }
    for method, options in METHODS.items():
        to = tmp_path / method
        condensed = api.condense("digits", method, 2, to=to, **options, **inputs.get(method, {}))
        folder = checkout / "results/digits" / method / "ipc2/set0"
        for name in ("condensed", *(["snapshots"] if "snapshots" in options else [])):
            file = f"{name}.safetensors"
            assert (to / file).read_bytes() == (folder / file).read_bytes(), f"{method}: {file}"
        result = api.evaluate(condensed, "digits", CONVNET, networks=2, epochs=3)
        record = folder / "evaluation/architecture/dsa/sgd/seeds0-1.json"
        rows = json.loads(record.read_text())["rows"]
        assert result.accuracies == [row["accuracy"] for row in rows]
