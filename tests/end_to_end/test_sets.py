"""The target `sets`: what condensed sets are like, from a config to table and figures."""

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import snakemake

from condensation.core import storage
from condensation.data import datasets, sets

CONFIG = {
    "datasets": {"digits": {"source": "digits"}},
    "methods": {
        "random": {"algorithm": "random"},
        "dm": {"algorithm": "dm", "iterations": 2, "batch_real": 8, "architecture": "small"},
        "dm2": {
            **{"algorithm": "dm", "iterations": 2, "batch_real": 8, "architecture": "small"},
            "factor": 2,
        },
        "kip": {"algorithm": "kip", "iterations": 2, "batch_real": 100},
        "whole": {"algorithm": "whole"},
    },
    "architectures": {"small": {"network": "convnet", "width": 4, "depth": 1}},
    "compute": {"device": "cpu"},
    "experiments": {
        "e": {
            **{
                "datasets": ["digits"],
                "methods": ["random", "dm", "dm2", "kip", "whole"],
                "ipc": [2],
            },
            **{"condensation_seeds": 2, "evaluation_seeds": 1},
        }
    },
}
ARGUMENTS = ("sets", "--configfile", "c.yaml")


@pytest.mark.slow
def test_sets_are_measured_without_evaluation_and_an_edit_of_the_measures_condenses_nothing(
    checkout,
):
    (checkout / "c.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    done = snakemake(checkout, "--cores", "1", *ARGUMENTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Evaluating" not in done.stdout + done.stderr
    folder = checkout / "results"
    table = pd.read_csv(folder / "tables/sets.csv", keep_default_na=False).set_index("method")
    assert list(table.index) == ["random", "dm", "dm2", "kip"], "the whole dataset is not measured"
    assert list(table["images"]) == ["real", "learned", "learned", "learned"]
    assert (table["sets"] == 2).all() and (table["ipc"].astype(str) == "2").all()
    assert table.loc["dm", "bytes_per_class"] == table.loc["dm2", "bytes_per_class"] == 2 * 64
    formed = storage.read_json(folder / "digits/dm2/ipc2/set0/measures.json")["measures"]
    assert len(formed["nearest"]["positions"]) == 10 * 2 * 4
    metadata = storage.read_metadata(folder / "digits/kip/ipc2/set0/condensed.safetensors")
    soft = metadata["labels"] == "soft"
    assert table.loc["kip", "bytes_per_class"] == 2 * 64 + soft * 2 * 10 * 4
    assert table.loc["kip", "beside_images"].endswith("whitening zca_kip")

    # Random at both seeds, by numpy
    dataset = datasets.load(folder / "digits/dataset.safetensors")
    points = ((dataset.train_images.double() / 255 - dataset.mean[0]) / dataset.std[0]).flatten(1)
    values = []
    for seed in (0, 1):
        path = folder / f"digits/random/ipc2/set{seed}"
        positions = sets.load(path / "condensed.safetensors", dataset)[0].indices
        measures = storage.read_json(path / "measures.json")["measures"]
        assert measures["nearest"]["positions"] == positions.tolist()
        assert set(measures["nearest"]["distances"]) == {0.0}
        pairs = points[positions].numpy().reshape(10, 2, -1)
        values.append(np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=1).mean())
    row = table.loc["random"]
    assert float(row["diversity"]) == pytest.approx(np.mean(values), rel=1e-4)
    assert float(row["diversity_low"]) < np.mean(values) < float(row["diversity_high"])
    assert float(row["close"]) == 1 and 0 < float(row["coverage"]) < 1
    for form in ("png", "pdf"):
        assert (checkout / f"figures/nearest_digits_ipc2.{form}").stat().st_size > 5_000

    path = checkout / "workflow_scripts/condensation/data/distances.py"
    path.write_text(path.read_text().replace("CLOSE = 0.5", "CLOSE = 0.25"))
    again = snakemake(checkout, *ARGUMENTS, "-n", "--quiet", "rules")
    assert again.returncode == 0, again.stdout + again.stderr
    text = again.stdout + again.stderr
    for rule in ("find_neighbours", "measure_set", "make_set_table", "draw_nearest"):
        assert rule in text
    assert "condense " not in text and "prepare_dataset" not in text, text
