"""Statistics against the paper's own ranks, other libraries, and definitions written out."""

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from conftest import ROOT
from scipy import stats

from condensation import printed, statistics, tables

METHODS = ["TM", "DSA", "DM", "DC", "K-Center", "Random"]


def networks(cells, **about):
    """A frame like that of ``tables.runs``: {(method, ipc): one list per condensed set}."""
    rows = []
    for (method, ipc), sets in cells.items():
        for number, values in enumerate(sets):
            for seed, value in enumerate(values):
                rows.append(
                    {
                        **{"dataset": "d", "method": method, "ipc": ipc, "iteration": "end"},
                        **{"architecture": "convnet", "augmentation": "dsa", "optimizer": "sgd"},
                        **{"condensation_seed": number, "evaluation_seed": seed},
                        **{"status": "ok" if value is not None else "diverged", "accuracy": value},
                        **about,
                    }
                )
    return pd.DataFrame(rows).astype({"accuracy": float})


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
    found = statistics.rank(table1, alpha=0.05, draws=500)
    assert found["blocks"] == 9 and found["left_out"] == {"methods": ["KIP"], "blocks": 0}
    ranks = {name: round(rank, 2) for name, rank in found["methods"].items()}
    assert ranks == {
        **{"TM": 1.00, "DSA": 2.22, "DM": 3.33},
        **{"DC": 3.89, "K-Center": 4.78, "Random": 5.78},
    }
    assert list(ranks) == METHODS
    assert found["chi_square"] == pytest.approx(38.3, abs=0.05)
    assert found["critical_difference"] == pytest.approx(2.51, abs=0.005)
    # 2.850 is the critical value of Nemenyi's test for six methods (Demsar, 2006, table 5)
    assert found["critical_difference"] == pytest.approx(2.850 * (6 * 7 / 54) ** 0.5, abs=0.001)


def test_friedman_and_nemenyi_agree_with_the_definitions(table1):
    found = statistics.rank(table1, alpha=0.05, draws=10)
    n, k = 9, 6
    squares = sum(rank**2 for rank in found["methods"].values())
    by_hand = 12 * n / (k * (k + 1)) * (squares - k * (k + 1) ** 2 / 4)
    assert found["chi_square"] == pytest.approx(by_hand)  # no ties in this table
    assert found["p_value"] == pytest.approx(stats.chi2.sf(by_hand, k - 1))
    for one, other in itertools.combinations(METHODS, 2):
        gap = abs(found["methods"][one] - found["methods"][other])
        p = found["pairwise"][one][other]
        assert p == found["pairwise"][other][one]
        assert (gap > found["critical_difference"]) == (p < 0.05)
    assert "TM" not in found["pairwise"]["TM"]


def test_stability_is_a_bootstrap_of_blocks(table1):
    found = statistics.rank(table1, alpha=0.05, draws=4000)["stability"]
    assert found["TM"] == {"low": 1.0, "high": 1.0, "first": 1.0, "same_place": 1.0}
    ranks = table1[METHODS].rank(axis=1, ascending=False)["K-Center"].to_numpy()
    drawn = np.random.default_rng(1).choice(ranks, (20000, 9)).mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert found["K-Center"]["low"] == pytest.approx(low, abs=0.12)
    assert found["K-Center"]["high"] == pytest.approx(high, abs=0.12)
    assert 0 < found["DM"]["same_place"] < 1 and found["DM"]["first"] == 0
    again = statistics.rank(table1, alpha=0.05, draws=4000)["stability"]
    assert again == found


@pytest.mark.parametrize("shape", [(5, 2), (1, 4), (0, 3)])
def test_too_little_for_a_ranking_says_so(shape):
    blocks = pd.DataFrame(np.arange(np.prod(shape), dtype=float).reshape(shape))
    found = statistics.rank(blocks.set_axis(list("abcd")[: shape[1]], axis=1), 0.05, 10)
    assert "at least 3 methods that share 2 blocks" in found["reason"]
    assert f"{shape[0]} blocks" in found["reason"] and "methods" not in found


def test_equal_methods_share_ranks_and_have_no_chi_square():
    blocks = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0, 2.0]})
    found = statistics.rank(blocks, 0.05, 10)
    assert set(found["methods"].values()) == {2.0} and found["chi_square"] is None


def test_blocks_of_one_set_are_one_in_by_set():
    rng = np.random.default_rng(0)
    parts = []
    for architecture, ipc in itertools.product(("convnet", "mlp"), ("1", "10", "50")):
        cells = {(m, ipc): [rng.normal(10 * i, 1, 3)] for i, m in enumerate("abc")}
        parts.append(networks(cells, architecture=architecture))
    runs = pd.concat(parts)
    found = statistics.ranking(runs, ["a", "b", "c"], 0.05, 10)
    assert found["blocks"] == 6 and found["by_set"]["blocks"] == 3
    assert found["methods"] == {"c": 1.0, "b": 2.0, "a": 3.0} == found["by_set"]["methods"]
    assert "not independent" in found["note"]


def test_by_set_means_only_the_ways_that_all_methods_have():
    # b is better on convnet, the only network that a and c have; its mlp is far below
    cells = {("a", "1"): [[10.0, 11]], ("b", "1"): [[20.0, 21]], ("c", "1"): [[5.0, 6]]}
    low = networks({("b", "1"): [[0.0, 0]]}, architecture="mlp")
    runs = pd.concat([networks(cells), low])
    other = runs.assign(ipc="10")
    found = statistics.ranking(pd.concat([runs, other]), ["a", "b", "c"], 0.05, 10)
    assert found["by_set"]["methods"] == {"b": 1.0, "a": 2.0, "c": 3.0}
    assert found["left_out"]["blocks"] == 2


def test_intervals_are_scipys():
    values = np.random.default_rng(0).normal(50, 2, 5)
    low, high = statistics.interval(values)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx(tuple(theirs))
    assert np.isnan(statistics.interval([1.0])).all()
    assert statistics.interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_the_interval_is_over_sets_where_there_are_several():
    accuracy, sets = pd.Series([10.0, 20, 30, 40]), pd.Series([0, 0, 1, 1])
    found = statistics.summary(accuracy, sets)
    theirs = stats.ttest_1samp([15.0, 35.0], 0).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx(tuple(theirs))
    one = statistics.summary(accuracy, pd.Series([0] * 4))
    theirs = stats.ttest_1samp(accuracy, 0).confidence_interval(0.95)
    assert (one["low"], one["high"]) == pytest.approx(tuple(theirs))
    failed = statistics.summary(pd.Series([10.0, 20, np.nan]), pd.Series([0] * 3))
    assert failed["mean"] == 15 and failed["std"] == 5


def test_the_half_width_beside_a_printed_number_is_welchs():
    rng = np.random.default_rng(3)
    ours, theirs = pd.Series(rng.normal(50, 1, 4)), rng.normal(49, 2, 5)
    found = statistics.half_width(ours, pd.Series([0] * 4), theirs.std())
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    assert found == pytest.approx((interval.high - interval.low) / 2 + 0.005)
    alone = stats.ttest_1samp(ours, 0).confidence_interval(0.95)
    found = statistics.half_width(ours, pd.Series([0] * 4), None)
    assert found == pytest.approx((alone.high - alone.low) / 2 + 0.005)
    assert np.isnan(statistics.half_width(ours[:1], pd.Series([0]), 1.0))


def test_a_spread_between_sets_widens_it():
    accuracy = pd.Series([10.0, 10.2, 14.0, 14.2, 18.0, 18.2])
    sets = pd.Series([0, 0, 1, 1, 2, 2])
    # the mean of three sets, and one more set of the paper's, have the spread of sets
    by_hand = stats.t.ppf(0.975, 2) * np.sqrt(16 * (1 / 3 + 1))
    assert statistics.half_width(accuracy, sets, None) == pytest.approx(by_hand + 0.005)


def test_variance_is_that_of_a_random_effects_model():
    rng = np.random.default_rng(5)
    effects = rng.normal(0, 3, 8)
    sets = [list(50 + effect + rng.normal(0, 1, 5)) for effect in effects]
    runs = networks({("dm", "1"): sets})
    (row,) = statistics.variance(runs, tables.CELL).to_dict("records")
    # balanced, and the estimate is above 0: restricted maximum likelihood gives the same
    model = smf.mixedlm("accuracy ~ 1", runs, groups=runs["condensation_seed"]).fit(reml=True)
    assert row["inner"] == pytest.approx(model.scale, rel=1e-3)
    assert row["outer"] == pytest.approx(model.cov_re.iloc[0, 0], rel=1e-3)
    assert row["p"] == pytest.approx(stats.f_oneway(*sets).pvalue)
    assert (row["sets"], row["networks"]) == (8, 40)
    assert row["share_outer"] == pytest.approx(row["outer"] / (row["outer"] + row["inner"]))


def test_variance_of_unequal_sets_and_of_none():
    runs = networks({("dm", "1"): [[1.0, 3.0], [5.0, 6.0, 7.0]], ("one", "1"): [[1.0, 2.0]]})
    (row,) = statistics.variance(runs, tables.CELL).to_dict("records")
    within = (2 + 2) / 3
    between = 2 * (2 - 4.4) ** 2 + 3 * (6 - 4.4) ** 2
    assert row["inner"] == pytest.approx(within)
    assert row["outer"] == pytest.approx((between - within) / (5 - 13 / 5))
    same = networks({("dm", "1"): [[1.0, 5.0], [5.0, 1.0]]})
    (row,) = statistics.variance(same, tables.CELL).to_dict("records")
    assert row["outer"] == 0 and row["inner"] == 8


def test_pairs_share_seeds_and_holm_corrects_them():
    rng = np.random.default_rng(1)
    seeds = rng.normal(0, 2, 5)  # what both networks of a seed have in common
    cells = {
        (name, "1"): [list(mean + seeds + rng.normal(0, 0.3, 5))]
        for name, mean in (("a", 50), ("b", 51), ("c", 51.2))
    }
    found = statistics.paired(networks(cells), alpha=0.05)
    assert list(zip(found["first"], found["second"], strict=True)) == [
        *(("a", "b"), ("a", "c"), ("b", "c")),
    ]
    p = [
        stats.ttest_rel(cells[one, "1"][0], cells[two, "1"][0]).pvalue
        for one, two in zip(found["first"], found["second"], strict=True)
    ]
    np.testing.assert_allclose(found["p"].astype(float), p)
    order = np.argsort(p)
    holm, running = np.empty(3), 0.0
    for place, i in enumerate(order):
        running = max(running, min(1.0, (3 - place) * p[i]))
        holm[i] = running
    np.testing.assert_allclose(found["p_holm"], holm)
    assert list(found["significant"]) == list(holm < 0.05)
    assert found["difference"][0] < 0 and set(found["paired_on"]) == {"networks"}


def test_several_sets_are_paired_by_set_and_failures_left_out():
    runs = networks(
        {
            ("a", "1"): [[10.0, 12.0], [20.0, 22.0], [30.0, 35.0]],
            ("b", "1"): [[11.0, 12.0], [19.0, None], [32.0, 36.0]],
        }
    )
    (row,) = statistics.paired(runs, alpha=0.05).to_dict("records")
    assert (row["n"], row["paired_on"]) == (3, "sets")
    # the second network of the second set failed with b: that pair is out
    assert row["difference"] == pytest.approx(np.mean([11 - 11.5, 20 - 19, 32.5 - 34]))


def test_differences_that_do_not_vary_have_no_p():
    runs = networks({("a", "1"): [[10.0, 20.0]], ("b", "1"): [[11.0, 21.0]]})
    (row,) = statistics.paired(runs, alpha=0.05).to_dict("records")
    assert row["difference"] == -1 and np.isnan(row["p_holm"]) and not row["significant"]


def test_equivalence_is_two_one_sided_tests():
    rng = np.random.default_rng(2)
    random = list(70 + rng.normal(0, 0.2, 5))
    near = [value + gap for value, gap in zip(random, rng.normal(0.1, 0.1, 5), strict=True)]
    far = [value + gap for value, gap in zip(random, rng.normal(5, 0.1, 5), strict=True)]
    below = [value + gap for value, gap in zip(random, rng.normal(-5, 0.1, 5), strict=True)]
    cells = {("random", "200"): [random], ("near", "200"): [near]}
    cells |= {("far", "200"): [far], ("below", "200"): [below], ("near", "50"): [near]}
    runs = networks(cells | {("random", "50"): [random]})
    found = statistics.equivalence(runs, ["random"], 200, margin=1.0, alpha=0.05)
    found = found.set_index("method")
    assert list(found.index) == ["near", "far", "below"]  # not those of IPC 50
    gaps = np.subtract(near, random)
    better = stats.ttest_1samp(gaps, 1.0, alternative="less").pvalue
    worse = stats.ttest_1samp(gaps, -1.0, alternative="greater").pvalue
    assert found.loc["near", "p_no_better"] == pytest.approx(better)
    assert found.loc["near", "p_no_worse"] == pytest.approx(worse)
    assert found.loc["near", "p"] == pytest.approx(max(better, worse))
    assert list(found["finding"]) == ["equivalent", "not shown", "no better"]


def test_equivalence_of_nothing_is_an_empty_table():
    runs = networks({("random", "10"): [[1.0, 2.0]], ("dm", "10"): [[1.0, 3.0]]})
    found = statistics.equivalence(runs, ["random"], 200, 1.0, 0.05)
    assert found.empty and "finding" in found.columns
