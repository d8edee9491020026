"""The tables of evidence, from networks whose answers are known."""

import re

import numpy as np
import pandas as pd
import pytest
from builders import networks
from conftest import ROOT
from scipy import stats

from condensation.config.loading import parse
from condensation.figures import evidence as evidence_figures
from condensation.paper import cells as paper_cells
from condensation.paper import curves, evidence, evidence_page, printed

PRINTED = printed.load(sorted((ROOT / "config" / "paper").glob("*.csv")))
CONFIG = parse(
    {
        "datasets": {"d": {"source": "cifar10"}},
        "methods": {
            "random": {"algorithm": "random"},
            "pixels": {"algorithm": "kcenter", "features": "pixels"},
            "dm": {"algorithm": "dm", "iterations": 30, "snapshots": [0, 10, 20]},
            "dm_k": {
                "algorithm": "dm",
                "iterations": 30,
                "snapshots": [0, 10, 20],
                "init": "kcenter",
            },
            "dm_pixels": {
                **{"algorithm": "dm", "iterations": 30, "snapshots": [0, 10, 20]},
                **{"init": "kcenter", "features": "pixels"},
            },
            "dm_far": {"algorithm": "dm", "iterations": 40, "init": "kcenter"},
        },
        "experiments": {"one": {"datasets": ["d"], "methods": ["random"], "ipc": [1]}},
    }
)


def collected(runs):
    return paper_cells.collect(CONFIG, runs, PRINTED)


def cells(runs):
    sets = pd.DataFrame(columns=["dataset", "method", "ipc", "seconds", "memory_mb"])
    way = ["architecture", "augmentation", "optimizer"]
    jobs = pd.DataFrame(columns=["dataset", "method", "ipc", *way, "seconds", "memory_mb"])
    return evidence.cells_beside_print(collected(runs), sets, jobs).set_index(
        ["method", "augmentation"]
    )


def test_each_cell_stands_beside_its_printed_number():
    runs = pd.concat(
        [
            networks({("random", "10"): [[30.0, 34.0]], ("dm", "10"): [[50.0, 52.0]]}),
            networks({("random", "10"): [[25.0, 26.0]]}, augmentation="none"),
            networks({("random", "10"): [[25.0, 26.0]]}, architecture="mlp"),
            networks({("pixels", "1"): [[21.0, 22.0]]}),
            networks({("random", "10"): [[25.0, 26.0]]}, optimizer="adam"),
        ]
    )
    table = evidence.cells_beside_print(
        collected(runs),
        pd.DataFrame(
            [["d", "dm", "10", 7.0, 100.0], ["d", "dm", "10", 9.0, 100.0]],
            columns=["dataset", "method", "ipc", "seconds", "memory_mb"],
        ),
        pd.DataFrame(
            [["d", "random", "10", "convnet", "none", "sgd", 3.0, 50.0]],
            columns=[*_CELL, "seconds", "memory_mb"],
        ),
    ).set_index(_CELL[1:])
    # typed off the paper: Tables 4, 4, 5 and 9
    expected = {
        ("random", "10", "convnet", "dsa", "sgd"): ("31.00", +1.0),
        ("random", "10", "convnet", "none", "sgd"): ("25.67", -0.17),
        ("random", "10", "mlp", "dsa", "sgd"): ("25.08", +0.42),
        ("pixels", "1", "convnet", "dsa", "sgd"): ("21.86", -0.36),
    }
    for key, (number, gap) in expected.items():
        assert table.loc[key, "printed"].startswith(number)
        assert table.loc[key, "difference"] == pytest.approx(gap)
    assert table.loc[("random", "10", "convnet", "dsa", "adam"), "printed"] == ""
    dm = table.loc[("dm", "10", "convnet", "dsa", "sgd")]
    assert (dm["iterations"], dm["iterations_of_paper"], dm["set_seconds"]) == (30, 20_000, 8.0)
    assert table.loc[("random", "10", "convnet", "none", "sgd"), "network_memory_mb"] == 50
    assert np.isnan(table.loc[("random", "10", "mlp", "dsa", "sgd"), "network_seconds"])


_CELL = ["dataset", "method", "ipc", "architecture", "augmentation", "optimizer"]


def test_augmentation_is_compared_on_the_same_sets_and_networks():
    runs = pd.concat(
        [
            networks({("random", "1"): [[10.0, 12.0], [30.0, 32.0]], ("dm", "1"): [[5.0, 9.0]]}),
            networks(
                {("random", "1"): [[9.0, 11.0], [27.0, 29.0], [99.0]], ("dm", "1"): [[5.0, 6.0]]},
                augmentation="none",
            ),
        ]
    )
    table = evidence.augmentation_gains(CONFIG, runs).set_index("method")
    random = table.loc["random"]  # of two sets: 1 and 3, the third has no partner
    assert (random["paired_on"], random["n"], random["difference"]) == ("sets", 2, 2.0)
    half = 12.706204736 * np.std([1, 3], ddof=1) / np.sqrt(2)  # t of one degree of freedom
    assert random["high"] - 2 == pytest.approx(half)
    assert (table.loc["dm", "paired_on"], table.loc["dm", "difference"]) == ("networks", 1.5)
    overall = table.loc["all"]
    assert (overall["n"], overall["difference"]) == (2, 1.75)
    frames = _nothing() | {"cells": cells(runs).reset_index(), "augmentation": table.reset_index()}
    page = evidence_page.markdown(frames, HEAD)
    assert "The interval of the difference lies above 0 in 0 of 2 comparisons" in page


def test_starts_are_compared_along_the_iterations_of_methods_alike_but_for_the_start():
    def at(iteration, reference, other):
        values = {("dm", "1"): [[v] for v in reference], ("dm_k", "1"): [[v] for v in other]}
        return networks(values, iteration=iteration)

    runs = pd.concat(
        [
            at("0", [10.0, 12.0], [20.0, 20.0]),
            at("10", [15.0, 15.0], [20.0, 22.0]),
            at("20", [20.0, 20.0], [21.0, 21.0]),
            at("end", [25.0, 25.0], [25.0, 25.0]),
            networks({("dm_far", "1"): [[70.0], [70.0]]}),
            networks({("dm_pixels", "1"): [[30.0], [30.0]]}),
        ]
    )
    table = evidence.start_gains(CONFIG, runs).set_index("method")
    pixels = table.loc["dm_pixels"]  # another start of the same name
    assert (pixels["start"], pixels["iteration"], pixels["difference"]) == ("kcenter", "end", 5)
    table = table.drop("dm_pixels").reset_index().set_index("iteration")
    assert list(table.index) == ["0", "10", "20", "end", "along"]
    assert set(table["method"]) == {"dm_k"} and set(table["start"]) == {"kcenter"}
    assert table["difference"].tolist() == [9.0, 6.0, 1.0, 0.0, 3.5]
    assert table.loc["along", "n"] == 2 and table.loc["along", "paired_on"] == "sets"


def test_the_spread_is_the_analysis_of_variance_and_stands_beside_the_printed_one():
    runs = networks({("random", "1"): [[15.0, 16.0], [19.0, 20.0], [11.0, 12.0]]})
    row = evidence.spread_of_sets(cells(runs).reset_index(), runs).iloc[0]
    # within: var .5; between sets' means 15.5 19.5 11.5: var 16 = outer + .5 / 2
    assert row["std_of_networks"] == pytest.approx(0.5**0.5)
    assert row["std"] == pytest.approx((16 - 0.25 + 0.5) ** 0.5)
    assert row["factor"] == pytest.approx(row["std"] / row["std_of_networks"])
    assert row["printed_std"] == 0.28 and row["share_low"] < row["share"] < row["share_high"]
    uneven = networks({("random", "1"): [[15.0, 16.0], [19.0]]})
    assert np.isnan(
        evidence.spread_of_sets(cells(uneven).reset_index(), uneven).iloc[0]["share_low"]
    )


def test_the_page_names_what_is_far_from_print_and_what_is_not_known():
    runs = pd.concat(
        [
            networks({("random", "10"): [[35.0, 36.0]], ("dm", "10"): [[None, None]]}),
            networks({("random", "1"): [[15.0]]}),
        ]
    )
    frames = {"cells": cells(runs).reset_index()}
    frames["statements"] = evidence.judge_statements(collected(runs), runs)
    page = evidence_page.markdown(_nothing() | frames, HEAD)
    assert "commit `abcdefa`" in page and "1.00 hours of jobs in total (condense 1.00)" in page
    page = re.sub(" +", " ", page)
    assert "| 35.50 (29.15 to 41.85) | 31.00 ± 0.48 | **+4.50** ± " in page
    assert "| 0 of 2 (1) | diverged" in page and "| 30 (20,000) " in page
    assert "| 1 (1) | 15.00 | 15.40 ± 0.28 | -0.40 |" in page
    for text in ("No set has networks both", "No method has several", "No cell has several sets"):
        assert text in page
    assert "No cell has networks along its iterations" in page
    # one statement that print decides, and one that neither does
    assert "| 4 | Above IPC 200 it is no better than random | **does not hold** |" in page
    assert page.count("| 9 | A K-Center start converges faster | not decided by these cells |") == 2


def test_the_page_has_last_and_best_of_a_curve_and_where_it_is_heading():
    way, nan = ("1", "convnet", "dsa", "sgd"), np.nan
    ahead = (31.0, 30.0, 32.0, 5000.0, "44.19", 1.18)
    rows = [
        ["d", "tm", *way, 1, 9, 500, 29.0, 350, 29.5, True, *ahead],
        ["d", "dm", *way, 2, 3, 40, 25.0, 20, 26.0, None, nan, nan, nan, 20000.0, "", nan],
    ]
    frames = _nothing() | {"ends": pd.DataFrame(rows, columns=curves.ENDS)}
    page = re.sub(" +", " ", evidence_page.markdown(frames, HEAD))
    assert (
        "| 29.00 (500) | 29.50 of 9 | yes | 31.00 (30.00 to 32.00) | 44.19 ± 1.18 (5,000) |" in page
    )
    assert "| 25.00 (40) | 26.00 of 3 | - | - | - |" in page


def test_the_figure_has_ours_and_the_printed_number_of_every_cell_with_both():
    runs = pd.concat(
        [
            networks({("random", "10"): [[35.0, 36.0]], ("dm", "1"): [[20.0]]}),
            networks({("random", "1"): [[15.0], [17.0]], ("dm", "10"): [[None]]}),
        ]
    )
    figure = evidence_figures.beside_print(cells(runs).reset_index())
    drawn = {}
    for ax in figure.axes:
        names = [label.get_text() for label in ax.get_yticklabels()]
        theirs, ours = (container.lines[0].get_xdata() for container in ax.containers)
        for name, *numbers in zip(names, ours, theirs, strict=True):
            drawn[ax.get_title(), name] = numbers
    # typed off the paper's Table 4
    assert drawn == {
        ("d, IPC 1", "random, convnet, dsa"): [16.0, 15.40],
        ("d, IPC 1", "dm, convnet, dsa (30 of 20,000)"): [20.0, 26.45],
        ("d, IPC 10", "random, convnet, dsa"): [35.5, 31.00],
    }
    bars = figure.axes[0].containers[1].lines[2][0].get_segments()
    half = stats.t.ppf(0.975, 1) * 1.0  # of two sets' means, 15 and 17
    widths = {round((bar[0, 0] + bar[1, 0]) / 2): bar[1, 0] - bar[0, 0] for bar in bars}
    assert widths[16] == pytest.approx(2 * half) and widths[20] == 0
    evidence_figures.beside_print(
        cells(runs.assign(accuracy=np.nan)).reset_index()
    )  # nothing to compare


ABOUT = {
    "git": {"commit": "abcdefabcdef", "dirty": False},
    "machine": {"cores": 2},
    "versions": {"torch": "2"},
    "rules": {"condense": {"seconds": 3600.0}},
}
HEAD = evidence_page.head_of_run(ABOUT)


def _nothing():
    return dict.fromkeys(("augmentation", "ends", "start", "spread"), pd.DataFrame())
