"""Statistics against other libraries, and definitions written out."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from builders import networks
from scipy import stats

from condensation.results import frames, statistics


def test_intervals_are_scipys():
    values = np.random.default_rng(0).normal(50, 2, 5)
    low, high = statistics.interval(values)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx(tuple(theirs))
    assert np.isnan(statistics.interval([1.0])).all()
    assert statistics.interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_the_interval_is_over_sets_where_there_are_several():
    accuracy, sets = pd.Series([20.0, 30, 22, 32]), pd.Series([0, 0, 1, 1])
    result = statistics.summary(accuracy, sets)
    theirs = stats.ttest_1samp([25.0, 27.0], 0).confidence_interval(0.95)
    assert (result["low"], result["high"]) == pytest.approx(tuple(theirs))
    uneven = statistics.summary(accuracy.where(accuracy != 32), sets)  # means of 25 and 22
    assert uneven["mean"] == 23.5 == pytest.approx((uneven["low"] + uneven["high"]) / 2)
    single = statistics.summary(accuracy, pd.Series([0] * 4))
    theirs = stats.ttest_1samp(accuracy, 0).confidence_interval(0.95)
    assert (single["low"], single["high"]) == pytest.approx(tuple(theirs))
    failed = statistics.summary(pd.Series([10.0, 20, np.nan]), pd.Series([0] * 3))
    assert failed["mean"] == 15 and failed["std"] == 5
    assert (failed["low"], failed["high"]) == (0, pytest.approx(78.53, abs=0.01)), "15 - 63.53 < 0"
    lost = statistics.summary(pd.Series([10.0, 20, np.nan]), pd.Series([0, 0, 1]))
    assert lost == failed and lost["std_of_sets"] is None, "a set without a result is none"
    best = statistics.summary(pd.Series([99.0, 97.0]), pd.Series([0, 0]))
    assert (best["low"], best["high"]) == (pytest.approx(85.29, abs=0.01), 100)
    single = statistics.summary(pd.Series([9.0, np.nan]), pd.Series([0, 1]))
    assert single["mean"] == 9 and np.isnan(single["high"]) and np.isnan(single["std"])


def test_the_half_width_beside_a_printed_number_is_welchs():
    rng = np.random.default_rng(3)
    ours, theirs = pd.Series(rng.normal(50, 1, 4)), rng.normal(49, 2, 5)
    result = statistics.half_width(ours, pd.Series([0] * 4), theirs.std())
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    assert result == pytest.approx((interval.high - interval.low) / 2 + 0.005)
    alone = stats.ttest_1samp(ours, 0).confidence_interval(0.95)
    result = statistics.half_width(ours, pd.Series([0] * 4), None)
    assert result == pytest.approx((alone.high - alone.low) / 2 + 0.005)
    assert np.isnan(statistics.half_width(ours[:1], pd.Series([0]), 1.0))


def test_beside_print_two_sets_are_not_surer_than_alone():
    """Welch's degrees grow with the printed spread; the interval must not shrink by it."""
    accuracy, sets = pd.Series([32.31, 32.49]), pd.Series([0, 1])
    alone = np.subtract(*statistics.interval(accuracy)[::-1]) / 2
    assert statistics.half_width(accuracy, sets, 0.38) == pytest.approx(alone + 0.005)


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
    (row,) = statistics.variance(runs, frames.CELL).to_dict("records")
    # balanced, and the estimate is above 0: restricted maximum likelihood gives the same
    model = smf.mixedlm("accuracy ~ 1", runs, groups=runs["condensation_seed"]).fit(reml=True)
    assert row["inner"] == pytest.approx(model.scale, rel=1e-3)
    assert row["outer"] == pytest.approx(model.cov_re.iloc[0, 0], rel=1e-3)
    assert row["p"] == pytest.approx(stats.f_oneway(*sets).pvalue)
    assert (row["sets"], row["networks"]) == (8, 40)
    ends = stats.ttest_1samp([np.mean(values) for values in sets], 0).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx(tuple(ends))
    assert row["share_outer"] == pytest.approx(row["outer"] / (row["outer"] + row["inner"]))


def test_variance_of_unequal_sets_and_of_none():
    runs = networks({("dm", "1"): [[1.0, 3.0], [5.0, 6.0, 7.0]], ("one", "1"): [[1.0, 2.0]]})
    (row,) = statistics.variance(runs, frames.CELL).to_dict("records")
    within = (2 + 2) / 3
    between = 2 * (2 - 4.4) ** 2 + 3 * (6 - 4.4) ** 2
    assert row["inner"] == pytest.approx(within)
    assert row["outer"] == pytest.approx((between - within) / (5 - 13 / 5))
    equal = networks({("dm", "1"): [[1.0, 5.0], [5.0, 1.0]]})
    (row,) = statistics.variance(equal, frames.CELL).to_dict("records")
    assert row["outer"] == 0 and row["inner"] == 8


def test_the_share_of_the_sets_covers_the_truth_as_often_as_it_says():
    draw = np.random.default_rng(0)
    covered, share = 0, 4 / 5
    for _ in range(400):
        sets = 30 + 2 * draw.normal(size=(6, 1))
        values = sets + draw.normal(size=(6, 3))
        runs = networks({("random", "1"): values.tolist()})
        row = statistics.variance(runs, ["method"]).iloc[0]
        low, high = row["share_low"], row["share_high"]
        assert 0 <= low < high <= 1
        covered += low <= share <= high
    assert 0.92 < covered / 400 < 0.98


def test_pairs_share_seeds_and_holm_corrects_them():
    rng = np.random.default_rng(1)
    seeds = rng.normal(0, 2, 5)  # what both networks of a seed have in common
    cells = {
        (name, "1"): [list(mean + seeds + rng.normal(0, 0.3, 5))]
        for name, mean in (("a", 50), ("b", 51), ("c", 51.2))
    }
    result = statistics.paired(networks(cells), alpha=0.05)
    assert list(zip(result["first"], result["second"], strict=True)) == [
        *(("a", "b"), ("a", "c"), ("b", "c")),
    ]
    p = [
        stats.ttest_rel(cells[first, "1"][0], cells[second, "1"][0]).pvalue
        for first, second in zip(result["first"], result["second"], strict=True)
    ]
    np.testing.assert_allclose(result["p"].astype(float), p)
    order = np.argsort(p)
    holm, running = np.empty(3), 0.0
    for place, i in enumerate(order):
        running = max(running, min(1.0, (3 - place) * p[i]))
        holm[i] = running
    np.testing.assert_allclose(result["p_holm"], holm)
    assert list(result["significant"]) == list(holm < 0.05)
    assert result["difference"][0] < 0 and set(result["paired_on"]) == {"networks"}


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
    result = statistics.equivalence(runs, ["random"], 200, margin=1.0, alpha=0.05)
    result = result.set_index("method")
    assert list(result.index) == ["near", "far", "below"]  # not those of IPC 50
    gaps = np.subtract(near, random)
    better = stats.ttest_1samp(gaps, 1.0, alternative="less").pvalue
    worse = stats.ttest_1samp(gaps, -1.0, alternative="greater").pvalue
    assert result.loc["near", "p_no_better"] == pytest.approx(better)
    assert result.loc["near", "p_no_worse"] == pytest.approx(worse)
    assert result.loc["near", "p"] == pytest.approx(max(better, worse))
    assert list(result["finding"]) == ["equivalent", "not shown", "no better"]
    # Holm by hand: the smallest p times 3, the next times 2, the last as it is
    for name in ("p", "p_no_better"):
        first, second, third = sorted(result[name])
        corrected = np.maximum.accumulate([3 * first, 2 * second, third]).clip(max=1)
        assert sorted(result[f"{name}_holm"]) == pytest.approx(list(corrected))


def test_equivalence_of_nothing_is_an_empty_table():
    runs = networks({("random", "10"): [[1.0, 2.0]], ("dm", "10"): [[1.0, 3.0]]})
    result = statistics.equivalence(runs, ["random"], 200, 1.0, 0.05)
    assert result.empty and "finding" in result.columns
