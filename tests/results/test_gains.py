"""Gains over Random: numbers by hand, and intervals that hold the truth as often as they say."""

import numpy as np
import pandas as pd
import pytest
from builders import networks

from condensation.results import gains
from condensation.results.statistics import BLOCK

ALGORITHMS = {"plain": "random", "dm": "dm", "whole": "whole", "second": "random"}


def cells(**rows):
    """Rows by method: IPC, mean, low, high."""
    usual = {"dataset": "d", "architecture": "convnet", "augmentation": "dsa", "optimizer": "sgd"}
    return pd.DataFrame(
        [
            {**usual, "labels": "own", "method": name, "ipc": ipc}
            | {"mean": mean, "low": low, "high": high}
            for name, (ipc, mean, low, high) in rows.items()
        ]
    )


def test_points_and_share_by_hand():
    table = cells(
        plain=("10", 30.0, 28.0, 32.0), dm=("10", 45.0, 44.0, 46.0), whole=("all", 80.0, 79.0, 81.0)
    )
    gained = gains.of_cells(table, ALGORITHMS).set_index(table["method"])
    assert gained.loc["dm", "gain"] == 15.0
    assert gained.loc["dm", "gain_high"] - 15.0 == pytest.approx(5**0.5)  # 1 and 2 points
    assert gained.loc["dm", "share"] == pytest.approx(0.3)  # 15 of 50
    error = (1 + (0.7 * 2) ** 2 + 0.3**2) ** 0.5 / 50
    assert gained.loc["dm", "share_low"] == pytest.approx(0.3 - error)
    assert gained.loc[["plain", "whole"]].isna().all(axis=None)


def test_only_cells_that_are_evaluated_in_the_same_way_are_compared():
    table = cells(plain=("10", 30.0, 28.0, 32.0), dm=("10", 45.0, 44.0, 46.0))
    others = [table.assign(**{name: "other"}) for name in BLOCK]
    others = [other[other["method"] == "dm"] for other in others]
    gained = gains.of_cells(pd.concat([table, *others], ignore_index=True), ALGORITHMS)
    assert gained["gain"].notna().tolist() == [False, True, *[False] * len(BLOCK)]
    assert gained["share"].isna().all()  # there is no whole dataset


def test_an_end_that_is_cut_off_at_100_percent_makes_no_interval_narrower():
    table = cells(plain=("10", 50.0, 49.0, 51.0), dm=("10", 96.0, 84.0, 100.0))  # 84 to 108
    row = gains.of_cells(table, ALGORITHMS).iloc[1]
    assert row["gain"] - row["gain_low"] == pytest.approx((12**2 + 1) ** 0.5)


def test_without_intervals_there_is_still_a_gain():
    nothing = float("nan")
    table = cells(plain=("1", 10.0, nothing, nothing), dm=("1", 20.0, 19.0, 21.0))
    row = gains.of_cells(table, ALGORITHMS).iloc[1]
    assert row["gain"] == 10 and np.isnan(row["gain_low"])


def test_a_whole_dataset_that_is_no_better_than_random_gives_no_share():
    table = cells(
        plain=("1", 50.0, 49.0, 51.0), dm=("1", 60.0, 59.0, 61.0), whole=("all", 50.0, 49.0, 51.0)
    )
    assert np.isnan(gains.of_cells(table, ALGORITHMS).iloc[1]["share"])


def test_networks_become_cells_with_the_largest_gain_first():
    runs = networks(
        {
            ("plain", "10"): [[20.0, 30.0]],
            ("dm", "10"): [[40.0, 50.0], [44.0, 46.0]],
            ("second", "10"): [[10.0, 20.0]],
            ("best", "10"): [[60.0, 60.0]],
            ("whole", "all"): [[70.0, 80.0]],
        }
    )
    gained = gains.ordered(gains.cells_of(runs), {**ALGORITHMS, "best": "kip"})
    assert gained["method"].tolist() == ["best", "dm"]
    assert gained["gain"].tolist() == [35.0, 20.0]
    assert gained["share"].tolist() == pytest.approx([0.7, 0.4])


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Normal means of 45, 30 and 80: a gain of 15 and a share of 0.3."""
    stream, count = np.random.default_rng(0), 4000
    half = 1.959964
    drawn = {
        name: (mean + error * stream.standard_normal(count), half * error)
        for name, mean, error in (("dm", 45, 1), ("plain", 30, 2), ("whole", 80, 3))
    }
    parts = []
    for name, (means, width) in drawn.items():
        base = cells(**{name: ("all" if name == "whole" else "10", 0.0, 0.0, 0.0)})
        part = base.loc[base.index.repeat(count)].assign(dataset=[f"d{i}" for i in range(count)])
        parts.append(part.assign(mean=means, low=means - width, high=means + width))
    table = pd.concat(parts, ignore_index=True)
    gained = gains.of_cells(table, ALGORITHMS)[table["method"] == "dm"]
    for name, truth in (("gain", 15), ("share", 0.3)):
        held = gained[f"{name}_low"].lt(truth) & gained[f"{name}_high"].gt(truth)
        assert held.mean() == pytest.approx(0.95, abs=0.012)  # three standard errors of 4,000
