"""The nine statements, on cells whose answers are known in closed form, and on the printed ones."""

import numpy as np
import pandas as pd
import pytest
from builders import networks
from conftest import ROOT
from scipy import stats

from condensation.config.loading import parse
from condensation.paper import cells as paper_cells
from condensation.paper import evidence, printed, statement_cells, statements
from condensation.paper.statements import FAILS, HOLDS, OPEN

PRINTED = printed.load(sorted((ROOT / "config" / "paper").glob("*.csv")))
NUMBERS = printed.correct_kip_columns(PRINTED)


CONFIG = {
    "datasets": {"d": {"source": "cifar10"}},
    "methods": {
        "random": {"algorithm": "random"},
        "far": {"algorithm": "kcenter", "restarts": 10},
        "near": {"algorithm": "kcenter"},
        "pixels": {"algorithm": "kcenter", "features": "pixels"},
        "short": {"algorithm": "dm", "iterations": 30},
        "long": {"algorithm": "dm", "iterations": 400},
        "noise": {"algorithm": "dm", "iterations": 30, "init": "noise"},
        "centres": {"algorithm": "dm", "iterations": 30, "init": "kcenter"},
    },
    "experiments": {"e": {"datasets": ["d"], "methods": ["random"], "ipc": [1]}},
}


def frame(values, std=0.1, n=5, chance=10.0):
    """Cells {(method, ipc, architecture, augmentation): mean}, each with this spread."""
    rows = [("CIFAR-10", *key, mean, std, n, chance) for key, mean in values.items()]
    return pd.DataFrame(rows, columns=statements.CELLS)


def augmented(gains):
    """A set per gain, of 20 % without augmentation."""
    pairs = [((f"m{i}", 1, "ConvNet"), gain) for i, gain in enumerate(gains)]
    return frame({(*key, a): 20 + g * (a == "DSA") for key, g in pairs for a in ("n/a", "DSA")})


def ranges(by_method, ipcs=(1, 10)):
    """Sets with this range over n/a, DSA and autoaug; at each IPC wider by a tenth."""
    return frame(
        {
            (method, ipc, "ConvNet", name): 30 + part * width + 0.1 * place * part
            for method, width in by_method.items()
            for place, ipc in enumerate(ipcs)
            for name, part in (("n/a", 0.4), ("DSA", 1.0), ("autoaug", 0.0))
        }
    )


def small(leads):
    """Random 20, K-Center 30, and condensed sets that lead the latter by so much."""
    sets = {"Random": -10, "K-Center": 0} | dict(zip(statements.CONDENSATION, leads, strict=False))
    return frame({(method, 1, "ConvNet", "DSA"): 30 + lead for method, lead in sets.items()})


def large(leads, std=0.1, ipc=300):
    sets = {"Random": 0} | dict(zip(statements.CONDENSATION, leads, strict=False))
    return frame({(m, ipc, "ConvNet", "DSA"): 70 + lead for m, lead in sets.items()}, std)


def elsewhere(falls):
    return frame(
        {
            (f"m{i}", 1, name, "DSA"): 40 - fall * (name != "ConvNet")
            for i, fall in enumerate(falls)
            for name in ("ConvNet", "MLP", "ViT")
        }
    )


def transferred(shares, std=0.1):
    """Sets of 50 % by the ConvNet, of whose lead of 40 over chance ResNet-152 keeps a share."""
    means = {}
    for i, share in enumerate(shares):
        means |= {
            (f"m{i}", 1, "ConvNet", "DSA"): 50.0,
            (f"m{i}", 1, "ResNet152", "DSA"): 10 + 40 * share,
        }
    return frame(means, std)


def ranked(orders, std=0.1, methods=6):
    """Methods 20, 25, 30, ... by the ConvNet, at each IPC in the given order by the MLP."""
    means = {}
    for ipc, order in enumerate(orders, 1):
        for place in range(methods):
            means[f"m{place}", ipc, "ConvNet", "DSA"] = 20 + 5 * place
            means[f"m{place}", ipc, "MLP", "DSA"] = 20 + 5 * order[place]
    return frame(means, std)


KEPT, TURNED = [0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("judge", "cells", "value", "verdict"),
    [
        (statements.augmentation_raises, augmented([2, 3, 4]), 3, HOLDS),
        (statements.augmentation_raises, augmented([-2, -3, -4]), -3, FAILS),
        (statements.augmentation_raises, augmented([-2, 0, 5]), 1, OPEN),
        (
            statements.kip_and_tm_are_most_sensitive,
            ranges({"KIP": 15, "TM": 20, "DC": 5, "Random": 4}),
            -10,
            HOLDS,
        ),
        (
            statements.kip_and_tm_are_most_sensitive,
            ranges({"KIP": 15, "TM": 5, "DC": 9, "Random": 4}),
            4,
            FAILS,
        ),
        # TM is, KIP is not there
        (statements.kip_and_tm_are_most_sensitive, ranges({"TM": 20, "DC": 5}), None, OPEN),
        (statements.condensation_beats_selection, small([5, 6, 7]), 6, HOLDS),
        (statements.condensation_beats_selection, small([-5, -6, -7]), -6, FAILS),
        (statements.condensation_beats_selection, small([-5, 0, 8]), 1, OPEN),
        (statements.no_better_than_random, large([-3, 0, 0.5]), 0.5, HOLDS),
        (statements.no_better_than_random, large([-3, 0, 2.5]), 2.5, FAILS),
        (statements.no_better_than_random, large([-3, 0, 1.1]), 1.1, OPEN),
        (statements.no_better_than_random, large([-3, 0, 2.5], std=2), 2.5, OPEN),
        (statements.no_better_than_random, large([9], ipc=200), None, OPEN),
        (statements.accuracy_falls_elsewhere, elsewhere([4, 5, 6]), 5, HOLDS),
        (statements.accuracy_falls_elsewhere, elsewhere([-4, -5, -6]), -5, FAILS),
        (statements.accuracy_falls_elsewhere, elsewhere([-4, 0, 7]), 1, OPEN),
        (statements.none_transfers, transferred([0.1, 0.2, 0.4]), -4, HOLDS),
        (statements.none_transfers, transferred([0.1, 0.2, 0.6]), 4, FAILS),
        (statements.none_transfers, transferred([0.1, 0.2, 0.5]), 0, OPEN),
        (statements.none_transfers, transferred([0.1, 0.2, 0.6], std=5), 4, OPEN),
        (statements.ranks_are_not_kept, ranked([TURNED] * 4), 1, HOLDS),
        (statements.ranks_are_not_kept, ranked([KEPT] * 5), 0, FAILS),
        (statements.ranks_are_not_kept, ranked([KEPT, TURNED]), 0.5, OPEN),
        (statements.ranks_are_not_kept, ranked([KEPT] * 2), 0, OPEN),  # 30 pairs: up to 11.6 %
        (statements.ranks_are_not_kept, ranked([TURNED] * 4, std=20), None, OPEN),
    ],
)
def test_a_statement_of_cells_is_judged(judge, cells, value, verdict):
    judged = judge(cells.sample(frac=1, random_state=0))
    assert judged.verdict == verdict
    assert judged.value == pytest.approx(value) if value is not None else np.isnan(judged.value)
    assert set(judged.cells) <= set(cells.index) and bool(judged.cells) == (value is not None)


def test_the_interval_of_a_mean_is_that_over_its_comparisons():
    judged = statements.augmentation_raises(augmented([2, 3, 7]))
    half = 4.302652729911275 * np.sqrt(7 / 3)  # t of two degrees; the variance of 2, 3, 7 is 7
    assert (judged.low, judged.high) == pytest.approx((4 - half, 4 + half))
    assert (judged.comparisons, len(judged.cells)) == (3, 6)
    assert "above 0 in 3 of 3, below in 0; IPC 1 +4.00" in judged.remark


def test_the_interval_of_one_comparison_is_that_of_welch_over_networks():
    rng = np.random.default_rng(0)
    first, second = rng.normal(30, 1, 5), rng.normal(28, 2, 5)
    cells = frame({("m", 1, "ConvNet", "DSA"): 0.0, ("m", 1, "ConvNet", "n/a"): 0.0})
    for label, values in enumerate((first, second)):
        cells.loc[label, ["mean", "std"]] = values.mean(), values.std()  # of the population
    judged = statements.augmentation_raises(cells)
    theirs = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert (judged.low, judged.high) == pytest.approx(tuple(theirs))


def test_the_interval_of_several_blocks_is_over_their_means():
    """Two sets at IPC 1 gain 2 and 4, one at IPC 10 gains 5, one at IPC 50 gains 9."""
    gains = {("m0", 1): 2, ("m1", 1): 4, ("m0", 10): 5, ("m0", 50): 9}
    cells = frame(
        {
            (*key, "ConvNet", name): 20 + gain * (name == "DSA")
            for key, gain in gains.items()
            for name in ("n/a", "DSA")
        }
    )
    judged = statements.augmentation_raises(cells)
    ends = stats.ttest_1samp([3, 5, 9], 0).confidence_interval()
    assert (judged.low, judged.high) == pytest.approx(tuple(ends))
    assert judged.value == pytest.approx(np.mean([3, 5, 9])) and judged.comparisons == 4


@pytest.mark.parametrize("leads", [[5, 5.1, 5.2], [-5, 0, 8]])
def test_sets_that_share_a_selection_are_as_uncertain_as_that_is(leads):
    cells = small(leads)
    best = cells.index[cells["method"] == "K-Center"][0]
    cells.loc[best, "std"] = 20.0
    judged = statements.condensation_beats_selection(cells)
    square, others = 20.0**2 / 4, 3 * 0.1**2 / 4 / 3**2
    freedom = (square + others) ** 2 / (square**2 / 4 + 3 * (0.1**2 / 4 / 9) ** 2 / 4)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(square + others)
    mean = np.mean(leads)
    assert (judged.low, judged.high) == pytest.approx((mean - half, mean + half))
    cells.loc[best, "n"] = 1  # a single network has no interval, so neither has a lead over it
    unknown = statements.condensation_beats_selection(cells)
    assert unknown.verdict == OPEN and np.isnan(unknown.low) and unknown.value == judged.value


def test_a_selection_without_an_effect_seldom_decides():
    """Leads of exactly zero on average over a selection of five sets, five methods each."""
    rng, decided = np.random.default_rng(0), 0
    for _ in range(200):
        cells = small(np.zeros(5))
        spread = np.where(cells["method"].isin(statements.SELECTION), 1.8, 0.4)
        cells["mean"] = 30 + rng.normal(0, spread / np.sqrt(5))
        cells.loc[cells["method"] == "Random", "mean"] = 0.0  # K-Center is the better
        cells["std"] = spread * np.sqrt(rng.chisquare(4, len(cells)) / 5)
        decided += statements.condensation_beats_selection(cells).verdict != OPEN
    assert decided / 200 <= 0.08


def test_condensation_is_compared_at_small_ipc_with_the_better_selection():
    cells = {("Random", 1): 40, ("K-Center", 1): 30, ("DM", 1): 45, ("TM", 1): 47}
    cells |= {("Random", 50): 60, ("K-Center", 50): 70, ("DM", 50): 10}
    judged = statements.condensation_beats_selection(
        frame({(*key, "ConvNet", "DSA"): mean for key, mean in cells.items()})
    )
    assert judged.value == pytest.approx(6) and judged.comparisons == 2


def test_equal_accuracies_of_two_networks_are_no_certainty():
    cells = augmented([0.01])
    cells["std"], cells["n"] = 0.0, 2
    judged = statements.augmentation_raises(cells)
    assert judged.verdict == OPEN and np.isnan(judged.low) and "1 without" in judged.remark


def test_a_method_of_equal_accuracies_has_no_range():
    """A set of KIP on which networks name one class, whatever the augmentation."""
    means = {("KIP", name): 10.0 for name in ("n/a", "DSA", "autoaug")}
    means |= {("DC", "n/a"): 28.0, ("DC", "DSA"): 30.0, ("DC", "autoaug"): 29.0}
    means |= {("TM", "n/a"): 30.0, ("TM", "DSA"): 39.0, ("TM", "autoaug"): 30.0}
    cells = frame({(method, 1, "ConvNet", name): mean for (method, name), mean in means.items()})
    assert statements.kip_and_tm_are_most_sensitive(cells).value == pytest.approx(2)


def test_the_extreme_has_the_interval_that_holds_for_all_together():
    judged = statements.no_better_than_random(large([-3, 0, 2.5]))
    error = np.sqrt(2 * 0.1**2 / 4)
    half = stats.t.ppf(1 - 0.025 / 3, 8) * error
    assert (judged.low, judged.high) == pytest.approx((2.5 - half, 2.5 + half))
    assert "DSA" not in judged.remark and "DM on CIFAR-10, IPC 300" in judged.remark


def test_the_range_does_not_ask_which_column_is_which():
    """So KIP's columns, printed one place off, change nothing."""
    cells = statement_cells.cells_from_print(PRINTED)
    as_printed = statements.kip_and_tm_are_most_sensitive(cells)
    again = statements.kip_and_tm_are_most_sensitive(statement_cells.cells_from_print(NUMBERS))
    assert (as_printed.value, as_printed.verdict) == (again.value, again.verdict)


@pytest.mark.parametrize(
    ("correlations", "n", "verdict"),
    [
        ([0.1, -0.3], 100, HOLDS),
        ([0.8, -0.3], 100, FAILS),
        ([0.4, 0.1], 100, OPEN),
        ([0.1], 3, OPEN),
        ([], 100, OPEN),
    ],
)
def test_that_sets_do_not_rank_is_judged_by_the_largest_correlation(correlations, n, verdict):
    rows = [("d", "DM", 50, value, n) for value in correlations]
    rows.append(("d", "Random", 50, 0.9, n))  # selected, not condensed
    judged = statements.condensed_sets_do_not_rank(pd.DataFrame(rows, columns=statements.RANKINGS))
    assert judged.verdict == verdict and judged.comparisons == len(correlations)
    if correlations:
        assert judged.value == pytest.approx(max(correlations))


def test_the_interval_of_a_correlation_is_that_of_bonett_and_wright():
    rows = pd.DataFrame([("d", "DM", 50, 0.4, 28)], columns=statements.RANKINGS)
    judged = statements.condensed_sets_do_not_rank(rows)
    half = 1.959963984540054 * np.sqrt((1 + 0.4**2 / 2) / 25)
    expected = np.tanh([np.arctanh(0.4) - half, np.arctanh(0.4) + half])
    assert (judged.low, judged.high) == pytest.approx(tuple(expected))


def test_the_interval_of_a_correlation_covers_what_it_should():
    """Against draws of two normal variables of a known rank correlation."""
    rng, rho, n = np.random.default_rng(0), 0.6, 100
    truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's of two normal variables
    held = 0
    for _ in range(200):
        x = rng.standard_normal(n)
        y = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal(n)
        rows = pd.DataFrame(
            [("d", "DM", 50, stats.spearmanr(x, y)[0], n)], columns=statements.RANKINGS
        )
        judged = statements.condensed_sets_do_not_rank(rows)
        held += judged.low <= truth <= judged.high
    assert 0.9 <= held / 200 <= 0.99


@pytest.mark.parametrize(
    ("gaps", "std", "value", "verdict"),
    [
        ({0: 9, 10: 4, 20: 2, 30: 0}, 0.1, 3, HOLDS),
        ({0: 9, 10: -4, 20: -2, 30: 0}, 0.1, -3, FAILS),
        ({0: 9, 10: 4, 20: 2, 30: 0}, 9.0, 3, OPEN),
        ({0: 9, 30: 5}, 0.1, None, OPEN),  # nothing between start and end
    ],
)
def test_a_start_is_judged_by_the_iterations_between(gaps, std, value, verdict):
    rows = [
        ("d", "DM", 1, "ConvNet", "DSA", start, iteration, 20 + gap * (start == "kcenter"), std, 3)
        for iteration, gap in gaps.items()
        for start in ("random", "kcenter", "noise")
    ]
    judged = statements.kcenter_start_is_faster(pd.DataFrame(rows, columns=statements.CURVES))
    assert judged.verdict == verdict
    assert judged.value == pytest.approx(value) if value is not None else np.isnan(judged.value)


def test_a_start_is_as_uncertain_as_its_least_known_iteration():
    rows = [
        ("d", "DM", 1, "ConvNet", "DSA", start, iteration, 20 + 3 * (start == "kcenter"), std, n)
        for iteration, std, n in ((0, 1.0, 3), (10, 1.0, 3), (20, 2.0, 9), (30, 1.0, 3))
        for start in ("random", "kcenter")
    ]
    judged = statements.kcenter_start_is_faster(pd.DataFrame(rows, columns=statements.CURVES))
    error = (np.sqrt(2 * 1.0 / 2) + np.sqrt(2 * 4.0 / 8)) / 2
    half = stats.t.ppf(0.975, 4) * error  # Welch's degrees of two equal spreads: 2 (n - 1)
    assert (judged.low, judged.high) == pytest.approx((3 - half, 3 + half))


def test_the_ranks_of_one_block_decide_nothing():
    judged = statements.ranks_are_not_kept(ranked([TURNED]))
    assert judged.value == 1 and judged.verdict == OPEN and np.isnan(judged.low)


def test_without_cells_nothing_is_decided():
    empty = [pd.DataFrame(columns=names) for names in (statements.CELLS, statements.RANKINGS)]
    table = statements.judge_all(*empty, pd.DataFrame(columns=statements.CURVES))
    assert list(table["number"]) == list(range(1, 10))
    assert set(table["verdict"]) == {OPEN} and (table["cells"] == 0).all()


# --- the frames -----------------------------------------------------------------------------------


def test_the_printed_cells_are_those_of_tables_4_to_6_each_once():
    cells = statement_cells.cells_from_print(NUMBERS)
    assert len(cells) == 295 + 236 + 50  # Table 5 without its ConvNet, Table 6 from IPC 100 on
    assert not cells.duplicated(statements.CELLS[:5]).any()
    at = cells.set_index(statements.CELLS[:5]).sort_index()
    kip = at.loc["CIFAR-10", "KIP", 1, "ConvNet"]  # typed off Table 4, one place on
    assert kip["mean"].to_dict() == {
        "imagenet_aug": 24.30,
        "randaug": 28.34,
        "autoaug": 25.79,
        "DSA": 40.55,
        "n/a": 35.78,
    }
    assert at.loc[("TinyImageNet", "TM", 50, "ViT", "DSA"), "chance"] == 0.5
    assert (cells["n"] == 5).all() and cells["std"].notna().all()
    assert statement_cells.rankings_from_print(NUMBERS)["correlation"].tolist() == [
        *(-0.06, 0.11, -0.19, -0.37, -0.37, -0.50, -0.09)
    ]


def test_what_the_printed_numbers_carry():
    """Values by plain arithmetic on the tables, worked out apart from the code."""
    runs = networks({("random", "1"): [[15.0]]})
    collected = paper_cells.collect(parse(CONFIG), runs, PRINTED)
    table = evidence.judge_statements(collected, runs)
    by_print = table[table["source"] == "print"].set_index("number")
    assert set(table[table["source"] == "records"]["verdict"]) == {OPEN}
    assert by_print["verdict"].tolist() == [
        *(HOLDS, OPEN, HOLDS, FAILS, HOLDS, OPEN, HOLDS, HOLDS, OPEN)
    ]
    table4 = pd.read_csv(ROOT / "config/paper/table4.csv", keep_default_na=False)
    wide = table4[table4["method"] != "KIP"].pivot(
        index=["dataset", "method", "ipc"], columns="augmentation", values="mean"
    )
    gains = wide["DSA"] - wide["n/a"]
    # KIP's as Tables 1 and 5 print them
    for dataset, ipc, gain in (
        *(("CIFAR-10", 1, 40.55 - 35.78), ("CIFAR-10", 10, 47.23 - 46.14)),
        *(("CIFAR-10", 50, 56.94 - 53.22), ("CIFAR-100", 1, 12.04 - 6.74)),
        ("CIFAR-100", 10, 29.04 - 22.45),
    ):
        gains[dataset, "KIP", ipc] = gain
    of_blocks = gains.groupby(["dataset", "ipc"]).mean()
    assert by_print.loc[1, "value"] == pytest.approx(of_blocks.mean())
    ends = stats.ttest_1samp(of_blocks, 0).confidence_interval()
    assert tuple(by_print.loc[1, ["low", "high"]]) == pytest.approx(tuple(ends))
    assert by_print.loc[4, "value"] == pytest.approx(71.46 - 68.52)  # DSA, IPC 300
    assert by_print.loc[6, "value"] == pytest.approx(27.87 - (46.32 + 1) / 2)  # TM, CIFAR-100
    assert by_print.loc[8, "value"] == -0.09


def test_of_a_run_each_method_of_the_paper_counts_once():
    config = parse(CONFIG)
    names = ("random", "far", "near", "pixels", "short", "long", "noise")
    values = {(name, "1"): [[10.0 + i, 12.0 + i]] for i, name in enumerate(names)}
    values["random", "1"] = [[10.0, 12.0], [15.0, 19.0]]
    runs = pd.concat([networks(values), networks({("short", "1"): [[5.0]]}, augmentation="none")])
    cells = statement_cells.cells_from_run(paper_cells.collect(config, runs, PRINTED))
    assert cells[["method", "mean", "std", "n"]].values.tolist() == [
        ["Random", 14.0, 3.0, 2],  # of the means of two sets, 11 and 17
        ["K-Center", 13.0, 1.0, 2],  # `near`, of two networks
        ["DM", 16.0, 1.0, 2],  # `long`; so not `short` without augmentation
    ]
    assert set(cells["architecture"]) == {"ConvNet"} and set(cells["chance"]) == {10.0}


@pytest.mark.parametrize("unaugmented", [1, 2, 3])
def test_cells_of_one_set_are_compared_on_the_sets_that_both_have(unaugmented):
    with_dsa, without = [[31.0], [42.0], [50.0]], [[30.0], [40.0], [49.5]]
    runs = pd.concat(
        [
            networks({("random", "1"): with_dsa}),
            networks({("random", "1"): without[:unaugmented]}, augmentation="none"),
        ]
    )
    collected = paper_cells.collect(parse(CONFIG), runs, PRINTED)
    judged = statements.augmentation_raises(statement_cells.cells_from_run(collected))
    gains = [1.0, 2.0, 0.5][:unaugmented]
    assert judged.value == pytest.approx(np.mean(gains))
    ends = stats.ttest_1samp(gains, 0).confidence_interval() if unaugmented > 1 else [np.nan] * 2
    assert (judged.low, judged.high) == pytest.approx(tuple(ends), nan_ok=True)


def test_starts_are_read_along_the_iterations_of_a_run():
    def at(iteration, gap):
        values = {("short", "1"): [[20.9 + gap], [21.1 + gap]], ("centres", "1"): [[32.0], [32.0]]}
        return networks(values, iteration=iteration)

    parts = [at("0", 0), at("10", 1), at("end", 2)]
    runs = pd.concat(parts)
    collected = paper_cells.collect(parse(CONFIG), runs, PRINTED)
    table = evidence.judge_statements(collected, runs)
    faster = table[(table["source"] == "records") & (table["number"] == 9)].iloc[0]
    assert faster["value"] == pytest.approx(32 - 22) and faster["comparisons"] == 1
    assert faster["cells"] == 2 and faster["verdict"] == HOLDS


def test_ranked_sets_come_from_the_table_of_the_ranking():
    config = parse(
        CONFIG | {"nas": {"dataset": "d", "sets": {"methods": ["random", "long"], "ipc": [50]}}}
    )
    ranking = pd.DataFrame(
        [["long", "50", 0.2, 100], ["random", "50", np.nan, 100], ["", "", 0.7, 100]],
        columns=["method", "ipc", "spearman", "architectures"],
    )
    cells = statement_cells.rankings_from_run(config, ranking)
    assert cells.values.tolist() == [["d", "DM", 50, 0.2, 100]]
