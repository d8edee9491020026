"""Tables from records, against numbers worked out by hand."""

import shutil

import numpy as np
import pandas as pd
import pytest

from condensation.config.loading import parse
from condensation.core import storage
from condensation.core.errors import InputError
from condensation.results import frames
from condensation.results.records import read
from condensation.workflow.grid import expand

CONFIG = {
    "datasets": {"digits": {"source": "digits"}},
    "methods": {"random": {"algorithm": "random"}, "all": {"algorithm": "whole"}},
    "experiments": {
        "more": {
            **{"datasets": ["digits"], "methods": ["random", "all"], "ipc": [1, 10]},
            **{"condensation_seeds": 2, "evaluation_seeds": 2},
        },
        "less": {
            **{"datasets": ["digits"], "methods": ["random"], "ipc": [1]},
            **{"evaluation_seeds": 1},
        },
    },
}
ACCURACIES = {  # (ipc, condensation seed): one value per evaluation seed
    ("1", 0): [10.0, 20.0],
    ("1", 1): [30.0, 40.0],
    ("10", 0): [50.0, 50.0],
    ("10", 1): [60.0, 60.0],
    ("all", 0): [90.0, 91.0],
}


@pytest.fixture
def cells():
    return expand(parse(CONFIG))


@pytest.fixture
def records(tmp_path, cells):
    paths = []
    for cell in cells.cells:
        values = ACCURACIES[cell.set.ipc, cell.set.condensation_seed]
        key = {
            **{"dataset": "digits", "method": cell.set.method, "ipc": cell.set.ipc},
            **{"condensation_seed": cell.set.condensation_seed, "architecture": "convnet"},
            **{"augmentation": "dsa", "optimizer": "sgd"},
        }
        rows = [
            {"seed": s, "status": "ok", "accuracy": v, "loss": 1.0} for s, v in enumerate(values)
        ]
        paths.append(tmp_path / f"{len(paths)}.json")
        storage.write_json(paths[-1], {"cell": key, "status": "ok", "rows": rows})
    return paths


def test_means_and_spreads(records, cells):
    table = frames.accuracy(frames.runs(read(records)), cells).set_index(
        ["experiment", "method", "ipc"]
    )
    row = table.loc["more", "random", "1"]
    assert (row["sets"], row["networks"], row["mean"]) == (2, 4, 25.0)
    assert row["std"] == pytest.approx(np.sqrt(125))  # 10 20 30 40, population
    assert row["std_of_sets"] == pytest.approx(10.0)  # 15 and 35
    half = 12.706 * 10 * np.sqrt(2) / np.sqrt(2)  # Student's t for two sets; their sample std
    assert 25 - half < 0 and 25 + half > 100, "where an interval of accuracies ends"
    assert (row["low"], row["high"]) == (0, 100)
    ten = table.loc["more", "random", "10"]
    assert ten["std"] == pytest.approx(5.0) and ten["std_of_sets"] == pytest.approx(5.0)
    whole = table.loc["more", "all", "all"]
    assert whole["mean"] == 90.5 and np.isnan(whole["std_of_sets"])
    half = 12.706 * 0.5
    assert (whole["low"], whole["high"]) == pytest.approx((90.5 - half, 90.5 + half), rel=1e-3)
    less = table.loc["less", "random", "1"]
    assert (less["sets"], less["networks"], less["mean"]) == (1, 1, 10.0)
    assert np.isnan(less["low"]) and np.isnan(less["std"])


def test_diverged_networks_are_counted_and_not_averaged(records, cells):
    content = storage.read_json(records[0])
    content["rows"][1] |= {"status": "diverged", "accuracy": None, "loss": None}
    storage.write_json(records[0], content)
    table = frames.accuracy(frames.runs(read(records)), cells)
    row = table.set_index(["experiment", "method", "ipc"]).loc["more", "random", "1"]
    assert (row["networks"], row["diverged"]) == (4, 1)
    assert row["mean"] == pytest.approx((10 + (30 + 40) / 2) / 2), "the mean of two sets"
    assert "(1 diverged)" in frames.markdown(table)


def test_runs_has_a_row_per_network(records):
    runs = frames.runs(read(records))
    assert len(runs) == 10
    assert sorted(runs["accuracy"]) == sorted(v for values in ACCURACIES.values() for v in values)


def test_two_records_of_one_network_are_refused_and_named(records, tmp_path):
    copy = shutil.copy(records[0], tmp_path / "copy.json")
    with pytest.raises(InputError, match=r"two records of the same network: .*0\.json"):
        frames.runs(read([*records, copy]))


def test_the_markdown_has_a_column_per_ipc_in_order(records, cells):
    text = frames.markdown(frames.accuracy(frames.runs(read(records)), cells))
    header = next(line for line in text.splitlines() if "IPC 1 " in line)
    assert header.index("IPC 1 ") < header.index("IPC 10") < header.index("whole set")
    assert "25.00 ± 11.18" in text and "90.50 ± 0.50" in text
    assert "## more: digits" in text and "## less: digits" in text


def test_ipc_order():
    assert frames.ipc_order(["100", "all", "2", "10", "2"]) == ["2", "10", "100", "all"]


def test_an_empty_table_is_no_crash():
    assert frames.runs({}).empty
    assert isinstance(frames.runs({}), pd.DataFrame)
