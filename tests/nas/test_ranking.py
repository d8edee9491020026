"""What a ranking is worth, against scipy, brute force and numbers worked out by hand."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from condensation.nas import ranking


def pair(count=30, seed=0, levels=None):
    draw = np.random.default_rng(seed)
    truth = draw.normal(size=count)
    proxy = truth + draw.normal(size=count)
    if levels:  # ties on both sides
        truth, proxy = (np.round(v * levels) / levels for v in (truth, proxy))
    return proxy, truth


@pytest.mark.parametrize("levels", [None, 1])
def test_correlations_of_resamples_are_scipys(levels):
    proxy, truth = pair(12, levels=levels)
    drawn = ranking.resamples(12, 40, np.random.default_rng(1))
    rho = ranking.resampled_spearman(proxy, truth, drawn)
    tau = ranking.resampled_kendall(proxy, truth, drawn)
    for x, r, t in zip(drawn, rho, tau, strict=True):
        assert r == pytest.approx(stats.spearmanr(proxy[x], truth[x]).statistic, abs=1e-12)
        assert t == pytest.approx(
            stats.kendalltau(proxy[x], truth[x], variant="b").statistic, abs=1e-12
        )


def test_the_correlation_of_a_constant_is_no_number_and_left_out():
    drawn = np.array([[0, 0, 0], [0, 1, 2]])
    proxy, truth = np.array([1.0, 2.0, 3.0]), np.array([5.0, 4.0, 3.0])
    for again in (ranking.resampled_spearman, ranking.resampled_kendall):
        values = again(proxy, truth, drawn)
        assert np.isnan(values[0]) and values[1] == pytest.approx(-1)
        assert ranking.interval(values) == (pytest.approx(-1), pytest.approx(-1))
    assert np.isnan(ranking.spearman(np.ones(3), truth))
    assert np.isnan(ranking.interval(np.array([np.nan]))).all()


def test_the_interval_is_scipys_percentile_bootstrap():
    proxy, truth = pair(40)
    drawn = ranking.resamples(40, 20_000, np.random.default_rng(2))
    low, high = ranking.interval(ranking.resampled_spearman(proxy, truth, drawn))
    other = stats.bootstrap(
        (proxy, truth),
        lambda a, b: stats.spearmanr(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert low == pytest.approx(other.low, abs=0.03) and high == pytest.approx(other.high, abs=0.03)


def test_found_is_what_scipy_finds_and_differences_are_paired():
    (good, truth), noise = pair(60), np.random.default_rng(5).normal(size=60)
    drawn = ranking.resamples(60, 2000, np.random.default_rng(4))
    measures = ranking.compare({"good": good, "same": good.copy(), "noise": noise}, truth, drawn)
    for key, proxy in (("good", good), ("noise", noise)):
        assert measures[key]["spearman"] == pytest.approx(stats.spearmanr(proxy, truth).statistic)
        assert measures[key]["kendall"] == pytest.approx(stats.kendalltau(proxy, truth).statistic)
        low, high = measures[key]["spearman_low"], measures[key]["spearman_high"]
        assert low < measures[key]["spearman"] < high
    # paired: the difference to itself has no spread at all
    low, high, p = ranking.difference(measures["good"]["resampled"], measures["same"]["resampled"])
    assert (low, high, p) == (0, 0, 1)
    low, high, p = ranking.difference(measures["good"]["resampled"], measures["noise"]["resampled"])
    assert 0 < low < high and p < 0.05


def test_the_p_value_by_hand():
    assert ranking.difference([1.0] * 99, [0.0] * 99)[2] == pytest.approx(2 / 100)
    assert ranking.difference([1.0] * 97 + [-1.0] * 2, [0.0] * 99)[2] == pytest.approx(6 / 100)
    assert ranking.difference([-1.0] * 99, [0.0] * 99)[2] == pytest.approx(2 / 100)
    assert ranking.difference([1.0, -1.0], [0.0, 0.0])[2] == 1
    assert ranking.difference([np.nan, 1.0], [0.0, 0.0])[2] == pytest.approx(2 / 2)


def test_intervals_cover_as_often_as_they_say():
    """Spearman of a normal pair is 6/pi asin(r/2): known, so coverage can be counted."""
    r = 0.6
    true = 6 / np.pi * np.arcsin(r / 2)
    draw = np.random.default_rng(0)
    covered = 0
    for _ in range(150):
        truth = draw.normal(size=80)
        proxy = r * truth + np.sqrt(1 - r**2) * draw.normal(size=80)
        again = ranking.resampled_spearman(proxy, truth, ranking.resamples(80, 400, draw))
        low, high = ranking.interval(again)
        covered += low <= true <= high
    assert 0.88 <= covered / 150 <= 0.99


def test_the_top_by_hand():
    truth = np.array([90.0, 80, 70, 60, 50, 95])
    top = ranking.top(np.array([6.0, 5, 4, 3, 2, 1]), truth)
    assert (top.top1, top.tied_first, top.top5, top.regret) == (90, 1, 90, 5)
    top = ranking.top(np.array([1.0, 1, 0, 0, 0, 0.5]), truth)
    assert (top.top1, top.tied_first, top.regret) == (85, 2, 10)


@pytest.mark.parametrize("places", [1, 2, 3, 5])
def test_ties_at_the_border_are_averaged_over_all_ways(places):
    draw = np.random.default_rng(places)
    truth = draw.normal(size=8)
    for proxy in (np.zeros(8), np.array([2.0, 1, 1, 1, 1, 0, 0, 0]), draw.integers(0, 3, 8) * 1.0):
        order = np.sort(np.unique(proxy))[::-1]
        sure: list[int] = []
        for value in order:  # by hand: fill the places group by group
            group = list(np.flatnonzero(proxy == value))
            if len(sure) + len(group) <= places:
                sure += group
                continue
            ways = list(combinations(group, places - len(sure)))
            break
        else:
            ways = [()]
        expected = np.mean([max(truth[[*sure, *way]]) for way in ways])
        assert ranking.top(proxy, truth, places).top5 == pytest.approx(expected)


def test_fewer_architectures_than_places():
    assert ranking.top(np.array([1.0, 2, 3]), np.array([3.0, 1, 2])).top5 == 3


def test_ties_are_counted():
    assert ranking.tied(np.array([1.0, 2, 2, 3, 3, 3, 4])) == 5
    assert ranking.tied(np.array([1.0, 2])) == 0
