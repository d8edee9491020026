"""Ranks against the paper's own table, and against definitions written out."""

import itertools

import numpy as np
import pandas as pd
import pytest
from builders import networks
from conftest import ROOT
from scipy import stats

from condensation.paper import printed
from condensation.results import ranks

METHODS = ["TM", "DSA", "DM", "DC", "K-Center", "Random"]


@pytest.fixture(scope="module")
def table1():
    numbers = printed.load(sorted((ROOT / "config" / "paper").glob("*.csv")))
    blocks = {}
    for (table, dataset, method, ipc, column), number in numbers.items():
        if (table, column) == (1, "best") and number.value is not None:
            blocks.setdefault((dataset, ipc), {})[method] = float(number.value)
    return pd.DataFrame(blocks).T


def test_the_papers_table_1_gives_the_known_ranks(table1):
    assert table1.shape == (9, 7)  # KIP has five of nine blocks, and is left out for them
    result = ranks.rank(table1, alpha=0.05, draws=500)
    assert result["blocks"] == 9 and result["left_out"] == {"methods": ["KIP"], "blocks": 0}
    found_ranks = {name: round(rank, 2) for name, rank in result["methods"].items()}
    assert found_ranks == {
        **{"TM": 1.00, "DSA": 2.22, "DM": 3.33},
        **{"DC": 3.89, "K-Center": 4.78, "Random": 5.78},
    }
    assert list(found_ranks) == METHODS
    assert result["chi_square"] == pytest.approx(38.3, abs=0.05)
    assert result["critical_difference"] == pytest.approx(2.51, abs=0.005)
    # 2.850 is the critical value of Nemenyi's test for six methods (Demsar, 2006, table 5)
    assert result["critical_difference"] == pytest.approx(2.850 * (6 * 7 / 54) ** 0.5, abs=0.001)


def test_friedman_and_nemenyi_agree_with_the_definitions(table1):
    result = ranks.rank(table1, alpha=0.05, draws=10)
    n, k = 9, 6
    squares = sum(rank**2 for rank in result["methods"].values())
    by_hand = 12 * n / (k * (k + 1)) * (squares - k * (k + 1) ** 2 / 4)
    assert result["chi_square"] == pytest.approx(by_hand)  # no ties in this table
    assert result["p_value"] == pytest.approx(stats.chi2.sf(by_hand, k - 1))
    for first, second in itertools.combinations(METHODS, 2):
        gap = abs(result["methods"][first] - result["methods"][second])
        p = result["pairwise"][first][second]
        assert p == result["pairwise"][second][first]
        assert (gap > result["critical_difference"]) == (p < 0.05)
    assert "TM" not in result["pairwise"]["TM"]


def test_stability_is_a_bootstrap_of_blocks(table1):
    result = ranks.rank(table1, alpha=0.05, draws=4000)["stability"]
    assert result["TM"] == {"low": 1.0, "high": 1.0, "first": 1.0, "same_place": 1.0}
    of_one = table1[METHODS].rank(axis=1, ascending=False)["K-Center"].to_numpy()
    drawn = np.random.default_rng(1).choice(of_one, (20000, 9)).mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert result["K-Center"]["low"] == pytest.approx(low, abs=0.12)
    assert result["K-Center"]["high"] == pytest.approx(high, abs=0.12)
    assert 0 < result["DM"]["same_place"] < 1 and result["DM"]["first"] == 0
    again = ranks.rank(table1, alpha=0.05, draws=4000)["stability"]
    assert again == result


@pytest.mark.parametrize("shape", [(5, 2), (1, 4), (0, 3)])
def test_too_little_for_a_ranking_says_so(shape):
    blocks = pd.DataFrame(np.arange(np.prod(shape), dtype=float).reshape(shape))
    result = ranks.rank(blocks.set_axis(list("abcd")[: shape[1]], axis=1), 0.05, 10)
    assert "at least 3 methods that share 2 blocks" in result["reason"]
    assert f"{shape[0]} blocks" in result["reason"] and "methods" not in result


def test_equal_methods_share_ranks_and_have_no_chi_square():
    blocks = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0, 2.0]})
    result = ranks.rank(blocks, 0.05, 10)
    assert set(result["methods"].values()) == {2.0} and result["chi_square"] is None


def test_blocks_of_one_set_are_one_in_by_set():
    rng = np.random.default_rng(0)
    parts = []
    for architecture, ipc in itertools.product(("convnet", "mlp"), ("1", "10", "50")):
        cells = {(m, ipc): [rng.normal(10 * i, 1, 3)] for i, m in enumerate("abc")}
        parts.append(networks(cells, architecture=architecture))
    runs = pd.concat(parts)
    result = ranks.ranking(runs, ["a", "b", "c"], 0.05, 10)
    assert result["blocks"] == 6 and result["by_set"]["blocks"] == 3
    assert result["methods"] == {"c": 1.0, "b": 2.0, "a": 3.0} == result["by_set"]["methods"]
    assert "not independent" in result["note"]


def test_by_set_means_only_the_ways_that_all_methods_have():
    # b is better on convnet, the only network that a and c have; its mlp is far below
    cells = {("a", "1"): [[10.0, 11]], ("b", "1"): [[20.0, 21]], ("c", "1"): [[5.0, 6]]}
    low = networks({("b", "1"): [[0.0, 0]]}, architecture="mlp")
    runs = pd.concat([networks(cells), low])
    other = runs.assign(ipc="10")
    result = ranks.ranking(pd.concat([runs, other]), ["a", "b", "c"], 0.05, 10)
    assert result["by_set"]["methods"] == {"b": 1.0, "a": 2.0, "c": 3.0}
    assert result["left_out"]["blocks"] == 2


def test_a_set_that_lost_networks_weighs_as_much_as_another():
    lost = float("nan")
    # the mean over a's sets is 20, that over its networks 26
    cells = {("a", "1"): [[10.0, lost, lost, lost], [30.0] * 4], ("b", "1"): [[22.0] * 4] * 2}
    runs = networks(cells | {("c", "1"): [[5.0] * 4] * 2})
    runs = pd.concat([runs, runs.assign(ipc="10")])
    ranking = ranks.ranking(runs, ["a", "b", "c"], 0.05, 10)
    assert ranking["methods"] == ranking["by_set"]["methods"] == {"b": 1.0, "a": 2.0, "c": 3.0}


def test_kinds_of_labels_of_one_set_are_one_in_by_set():
    cells = {
        (name, ipc): [[value, value]]
        for ipc in ("1", "10", "50")
        for name, value in {"a": 30.0, "b": 20.0, "c": 10.0}.items()
    }
    with_own_labels = networks(cells)
    alone = ranks.ranking(with_own_labels, ["a", "b", "c"], 0.05, 10)["by_set"]
    # the same networks once more
    twice = pd.concat([with_own_labels, networks(cells, labels="hard")])
    assert ranks.ranking(twice, ["a", "b", "c"], 0.05, 10)["by_set"] == alone
    reverse = {("a", "1"): [[0.0, 0.0]], ("b", "1"): [[50.0, 50.0]], ("c", "1"): [[90.0, 90.0]]}
    mixed = pd.concat([with_own_labels, networks(reverse, labels="distilled")])
    by_set = ranks.ranking(mixed, ["a", "b", "c"], 0.05, 10)["by_set"]
    # at IPC 1 the means over labels are 15, 35 and 50
    assert by_set["blocks"] == 3 and by_set["methods"] == {"a": 5 / 3, "b": 2.0, "c": 7 / 3}
