"""The table of accuracies under corruptions, against numbers worked out by hand."""

import numpy as np
import pytest

from condensation.results import frames, robustness

CELL = {
    **{"dataset": "d", "method": "dm", "ipc": "1", "iteration": None, "architecture": "convnet"},
    **{"augmentation": "dsa", "optimizer": "sgd"},
}
STUDENT = {1: 12.706, 2: 4.3027}  # 97.5 % quantiles by the degrees of freedom


def record(*rows, condensation_seed=0, **cell):
    """Each row is the clean accuracy and, for blur and noise, those at two strengths."""
    return {
        "cell": {**CELL, "condensation_seed": condensation_seed, **cell},
        "rows": [
            {"seed": seed, "status": "ok", "accuracy": clean}
            | {"corruptions": {"blur": blur, "noise": noise}}
            for seed, (clean, blur, noise) in enumerate(rows)
        ],
    }


def rows_of(*records):
    return robustness.table(frames.corruptions(records)).set_index("corruption")


def test_means_and_drops_of_the_networks_of_one_set():
    table = rows_of(record((60.0, [50.0, 30.0], [20.0, 0.0]), (70.0, [50.0, 40.0], [20.0, 20.0])))
    assert list(table.index) == ["blur", "noise", "mean"]
    assert table["sets"].eq(1).all() and table["networks"].eq(2).all()
    assert table["clean"].eq(65).all()
    assert table["mean"].tolist() == [42.5, 15.0, 28.75]  # networks: 40 45, 10 20, 25 32.5
    half = STUDENT[1] * 2.5  # standard error of 40 and 45
    assert table.loc["blur", ["low", "high"]].tolist() == pytest.approx(
        [42.5 - half, 42.5 + half], rel=1e-4
    )
    assert table["drop"].tolist() == [22.5, 50.0, 36.25]  # 20 25, 50 50, 35 37.5
    assert table.loc["noise", ["drop_low", "drop_high"]].tolist() == [50.0, 50.0]
    half = STUDENT[1] * 1.25
    assert table.loc["mean", ["drop_low", "drop_high"]].tolist() == pytest.approx(
        [36.25 - half, 36.25 + half], rel=1e-4
    )


def test_several_sets_are_the_samples():
    records = [
        record(*networks * [(clean, [blur, blur], [5.0, 5.0])], condensation_seed=seed)
        for seed, (clean, blur, networks) in enumerate(
            [(60.0, 50.0, 2), (62.0, 51.0, 2), (64.0, 49.0, 1)]
        )
    ]
    row = rows_of(*records).loc["blur"]
    assert (row["sets"], row["networks"], row["clean"], row["mean"]) == (3, 5, 62, 50)
    half = STUDENT[2] * 1 / np.sqrt(3)  # 50 51 49
    assert (row["low"], row["high"]) == pytest.approx((50 - half, 50 + half), rel=1e-4)
    half = STUDENT[2] * np.std([10, 11, 15], ddof=1) / np.sqrt(3)
    drops = row["drop"], row["drop_low"], row["drop_high"]
    assert drops == pytest.approx((12, 12 - half, 12 + half), rel=1e-4)


def test_cells_stand_apart():
    records = [
        record((50.0, [40.0], [40.0])),
        record((50.0, [30.0], [30.0]), labels="hard"),
        record((50.0, [20.0], [20.0]), iteration=5),
    ]
    table = rows_of(*records).loc["mean"]
    assert table["labels"].tolist() == ["own", "hard", "own"]
    assert table["iteration"].tolist() == ["end", "end", "5"]
    assert table["mean"].tolist() == [40, 30, 20]
    assert table["low"].isna().all() and table["drop_low"].isna().all()  # of one network each


def test_networks_without_a_result_are_left_out():
    incomplete = record((60.0, [50.0, None], [20.0, 0.0]), (70.0, [50.0, 40.0], [20.0, 20.0]))
    failed = {**record(), "rows": [{"seed": 0, "status": "oom", "accuracy": None}]}
    table = rows_of(incomplete, failed)
    assert table["networks"].eq(1).all() and table["clean"].eq(70).all()
    assert table["mean"].tolist() == [45, 20, 32.5]


def test_records_without_corruptions_give_an_empty_table():
    plain = {**record(), "rows": [{"seed": 0, "status": "ok", "accuracy": 50.0}]}
    for records in ([], [plain]):
        table = robustness.table(frames.corruptions(records))
        assert table.empty and list(table) == [*frames.CELL, *robustness.COLUMNS]
