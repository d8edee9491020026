"""Transfer to other architectures, against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from builders import networks

from condensation.results import transfer

KINDS = {"convnet": "convnet", "wide": "convnet", "mlp": "mlp", "vit": "vit"}
STUDENT = {1: 12.706, 2: 4.3027}  # 97.5 % quantiles by the degrees of freedom


def runs(**cells):
    """Runs of methods by architecture: one list of accuracies per set."""
    parts = [
        networks({(method, "10"): sets}, architecture=architecture)
        for method, by_network in cells.items()
        for architecture, sets in by_network.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_a_set_by_hand():
    table = transfer.table(
        runs(dm={"convnet": [[60.0, 64.0]], "mlp": [[40.0, 44.0]], "vit": [[30.0, 36.0]]}), KINDS
    )
    (row,) = table.to_dict("records")
    assert (row["reference"], row["architectures"]) == ("convnet", "mlp vit")
    assert (row["sets"], row["networks"]) == (1, 6)
    assert (row["accuracy"], row["transfer"], row["drop"]) == (62, 37.5, 24.5)  # 35 and 40
    half = STUDENT[1] * 2.5
    assert row["transfer_low"] == pytest.approx(37.5 - half, rel=1e-4)
    half = STUDENT[1] * 0.5  # drops of 25 and 24
    assert (row["drop_low"], row["drop_high"]) == pytest.approx((24.5 - half, 24.5 + half), 1e-4)


def test_several_sets_are_the_samples_and_the_best_comes_first():
    accuracies = {"convnet": [[50.0, 50.0], [52.0, 52.0], [54.0, 54.0]]}
    table = transfer.table(
        runs(
            random=accuracies | {"mlp": [[20.0, 20.0], [20.0, 20.0], [20.0, 20.0]]},
            dm=accuracies | {"mlp": [[30.0, 30.0], [31.0, 31.0], [35.0, 35.0]]},
        ),
        KINDS,
    )
    assert table["method"].tolist() == ["dm", "random"]
    half = STUDENT[2] * np.std([20, 21, 19], ddof=1) / 3**0.5
    row = table.iloc[0]
    assert (row["sets"], row["transfer"], row["drop"]) == (3, 32, 20)
    assert (row["drop_low"], row["drop_high"]) == pytest.approx((20 - half, 20 + half), 1e-4)


def test_only_seeds_with_a_result_everywhere_count():
    table = transfer.table(runs(dm={"convnet": [[60.0, 70.0, 80.0]], "mlp": [[40.0, None]]}), KINDS)
    row = table.iloc[0]
    assert (row["networks"], row["accuracy"], row["transfer"]) == (2, 60, 40)
    assert np.isnan(row["drop_low"])  # a single network
    by_network = {"convnet": [[60.0, 64.0], [50.0, 50.0]], "mlp": [[40.0, 42.0], [30.0, None]]}
    row = transfer.table(runs(dm=by_network), KINDS).iloc[0]  # the means of sets: 62 41, 50 30
    assert (row["accuracy"], row["transfer"], row["drop"]) == (56, 35.5, 20.5)


def test_rows_need_the_reference_and_another():
    lonely = runs(
        dm={"convnet": [[60.0]], "mlp": [[40.0]]}, dc={"mlp": [[40.0]]}, kip={"convnet": [[50.0]]}
    )
    assert transfer.table(lonely, KINDS)["method"].tolist() == ["dm"]
    failed = runs(dm={"convnet": [[60.0]], "mlp": [[None]]})
    (row,) = transfer.table(failed, KINDS).to_dict("records")
    assert row["networks"] == 0 and np.isnan(row["accuracy"]) and np.isnan(row["transfer"])
    nothing = transfer.table(lonely.iloc[:0], KINDS)
    assert nothing.empty and list(nothing)[-len(transfer.COLUMNS) :] == transfer.COLUMNS


def test_ways_of_evaluation_stand_apart():
    both = [
        runs(dm={"convnet": [[60.0]], "mlp": [[value]]}).assign(augmentation=name)
        for name, value in (("none", 30.0), ("dsa", 40.0))
    ]
    table = transfer.table(pd.concat(both), KINDS)
    assert table.set_index("augmentation")["transfer"].to_dict() == {"none": 30, "dsa": 40}


def test_the_reference_is_the_convnet_with_most_networks():
    frame = runs(dm={"mlp": [[1.0] * 5], "convnet": [[1.0]], "wide": [[1.0] * 2]})
    assert transfer.reference(frame, KINDS) == "wide"
    assert transfer.reference(frame, {"mlp": "mlp"}) == "mlp"
