"""Curves along the iterations: their points, ends and headings, from curves that are known."""

import numpy as np
import pandas as pd
import pytest
from builders import networks

from condensation.config.loading import parse
from condensation.figures import evidence as evidence_figures
from condensation.paper import cells, curves, evidence
from condensation.workflow import figure_plan

AT = np.array([0, 20, 40, 80, 120, 160, 250, 350, 500], float)


def saturating(a=32.0, b=40.0, c=0.4):
    return lambda n: a - b * np.asarray(n, float) ** -c


def test_a_curve_without_noise_is_continued():
    truth = saturating()
    values = np.array([3.0, *truth(AT[1:])])  # the start has no place on it
    ahead = curves.heading(AT, values, 1000)
    assert ahead.value == pytest.approx(truth(1000), abs=0.02)
    assert ahead.low <= ahead.value <= ahead.high and ahead.high - ahead.low < 0.1
    assert curves.still_rising(AT, values)


@pytest.mark.parametrize("shape", [(32, 40, 0.4), (45, 40, 0.15), (32, 30, 0.9)])
def test_the_interval_holds_the_truth_as_often_as_it_says(shape):
    truth, rng = saturating(*shape), np.random.default_rng(0)
    held, draws = 0, 40
    for _ in range(draws):
        values = truth(np.maximum(AT, 1)) + 0.3 * rng.standard_normal(len(AT))
        ahead = curves.heading(AT, values, 1000)
        held += ahead.low <= truth(1000) <= ahead.high
    assert held >= 0.85 * draws


def test_a_curve_that_begins_slowly_is_continued():
    def truth(n):
        return 42 - 18 / (1 + (np.asarray(n, float) / 350) ** 2.5)

    at = np.array([30, 60, 100, 200, 300, 500, 750, 1000], float)
    ahead = curves.heading(at, truth(at), 5000)
    assert ahead.value == pytest.approx(truth(5000), abs=0.2)
    assert curves.still_rising(at, truth(at), 0.3)
    rng, held = np.random.default_rng(0), 0
    for _ in range(30):
        ahead = curves.heading(at, truth(at) + 0.5 * rng.standard_normal(len(at)), 5000, 0.5)
        held += ahead.low <= truth(5000) <= ahead.high
    assert held >= 26


def test_a_flat_curve_does_not_rise():
    rng = np.random.default_rng(1)
    flat = [curves.still_rising(AT, 25 + 0.4 * rng.standard_normal(len(AT))) for _ in range(60)]
    assert np.mean(flat) < 0.15


def test_known_noise_counts_where_the_points_lie_too_well():
    values = saturating()(np.maximum(AT, 1))
    narrow, wide = (curves.heading(AT, values, 1000, noise) for noise in (np.nan, 0.5))
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)
    assert curves.still_rising(AT, values, 0.1) and not curves.still_rising(AT, values, 5.0)


def test_no_accuracy_of_more_than_100_is_expected_in_the_end():
    values = 100 - 90 * np.maximum(AT, 1) ** -0.1
    assert curves.heading(AT, values, 10**9).high <= 100


def test_few_points_are_not_continued():
    assert curves.heading(AT[:5], AT[:5], 1000) is None
    assert curves.still_rising(AT[:5], AT[:5]) is None
    assert curves.still_rising(AT[:1], AT[:1]) is None


CONFIG = parse(
    {
        "datasets": {"d": {"source": "cifar10"}},
        "methods": {
            "random": {"algorithm": "random"},
            "dsa": {"algorithm": "dsa", "iterations": 500},
            "dm": {"algorithm": "dm", "iterations": 40},
        },
        "experiments": {"e": {"datasets": ["d"], "methods": ["random", "dsa", "dm"], "ipc": [1]}},
    }
)


def runs_of(method, sets, at):
    """Networks of sets, each a function of the iteration; the last stands as the end."""
    parts = []
    for iteration in at:
        name = "end" if iteration == at[-1] else str(int(iteration))
        values = [[float(curve(iteration)) + shift for shift in (-0.2, 0.2)] for curve in sets]
        parts.append(networks({(method, "1"): values}, iteration=name))
    return pd.concat(parts)


def cells_of(runs):
    return pd.DataFrame(
        [
            ["d", method, "1", "convnet", "dsa", "sgd", *values]
            for method, values in {
                "dsa": (1000.0, "27.76", 0.47),
                "dm": (20_000.0, "26.45", 0.39),
            }.items()
        ],
        columns=[*curves.CELL, "iterations_of_paper", "printed", "printed_std"],
    )


def test_last_and_best_stand_apart_and_a_rising_curve_has_a_heading():
    truth = saturating()
    rising = runs_of("dsa", [lambda n: truth(max(n, 1))], AT)
    # two sets: the best of each is at another iteration
    humps = [{0: 10, 10: 30, 20: 24, 40: 26}.get, {0: 10, 10: 20, 20: 28, 40: 24}.get]
    runs = pd.concat([rising, runs_of("dm", humps, [0, 10, 20, 40])])
    runs = pd.concat([runs, networks({("random", "1"): [[15.0]]})])  # no curve
    points = curves.points(CONFIG, runs)
    assert points.groupby("method")["iteration"].max().to_dict() == {"dsa": 500, "dm": 40}
    assert points[points["method"] == "dm"]["mean"].tolist() == [10, 25, 26, 25]
    ends = curves.ends(CONFIG, runs, cells_of(runs)).set_index("method")
    dm = ends.loc["dm"]
    assert (dm["last"], dm["best"], dm["looks"], dm["sets"]) == (25, 29, 4, 2)
    assert dm["rising"] is None and np.isnan(dm["heading"])
    dsa = ends.loc["dsa"]
    assert dsa["rising"] and dsa["last"] == pytest.approx(truth(500))
    assert dsa["heading_low"] < truth(1000) < dsa["heading_high"]
    assert dsa["heading"] == pytest.approx(truth(1000), abs=0.05)


@pytest.mark.parametrize("later_sets", [1, 2])
def test_sets_that_are_evaluated_at_the_end_alone_bend_no_curve(later_sets):
    """A flat curve of one set, and other sets that are six points better at the end."""
    flat = runs_of("dsa", [lambda n: 20.1], AT)
    others = networks({("dsa", "1"): [[26.0, 26.2]] * later_sets})
    others["condensation_seed"] += 1
    runs = pd.concat([flat, others])
    (ends,) = curves.ends(CONFIG, runs, cells_of(runs)).to_dict("records")
    assert ends["last"] == pytest.approx((20.1 + 26.1 * later_sets) / (1 + later_sets))
    assert not ends["rising"] and ends["heading"] == pytest.approx(20.1, abs=0.05)


def test_a_curve_without_iterations_of_the_paper_has_no_heading():
    runs = runs_of("dsa", [lambda n: saturating()(max(n, 1))], AT)
    cells = cells_of(runs).assign(iterations_of_paper=None)
    (ends,) = curves.ends(CONFIG, runs, cells).to_dict("records")
    assert ends["rising"] and np.isnan(ends["heading"])


def test_methods_with_a_curve_have_colours_of_their_own():
    """Among more methods than there are colours, two of which would share one."""
    names = ["dsa", *(f"other{i}" for i in range(7)), "dm"]
    methods = {name: "dsa" if name == "dsa" else "dm" for name in names}
    truth = saturating()
    runs = pd.concat(runs_of(m, [lambda n: truth(max(n, 1))], AT) for m in ("dsa", "dm"))
    points, ends = curves.points(CONFIG, runs), curves.ends(CONFIG, runs, cells_of(runs))
    (ax,) = evidence_figures.curves(points, ends, methods).axes
    across = [line for line in ax.lines if len(set(line.get_ydata())) == 1 < len(line.get_xdata())]
    dashed = [line.get_color() for line in across if line.get_linestyle() == "--"]
    assert len(dashed) == len(set(dashed)) == 2


def test_the_figure_has_points_the_printed_line_and_the_heading():
    truth = saturating()
    runs = runs_of("dsa", [lambda n: truth(max(n, 1))], AT)
    points, ends = curves.points(CONFIG, runs), curves.ends(CONFIG, runs, cells_of(runs))
    (ax,) = evidence_figures.curves(points, ends, figure_plan.methods(CONFIG)).axes
    line, heading = (container.lines[0] for container in ax.containers)
    assert line.get_xdata().tolist() == AT.tolist()
    assert line.get_ydata() == pytest.approx([truth(1), *truth(AT[1:])])
    assert heading.get_xdata() == [1000] and heading.get_ydata() == ends["heading"].tolist()
    assert 27.76 in [across.get_ydata()[0] for across in ax.lines if across.get_linestyle() == "--"]


def test_without_a_curve_there_is_neither_row_nor_line():
    runs = networks({("random", "1"): [[15.0]], ("dm", "1"): [[20.0]]})
    beside = evidence.cells_beside_print(
        cells.collect(CONFIG, runs, {}),
        pd.DataFrame(columns=["dataset", "method", "ipc", "seconds", "memory_mb"]),
        pd.DataFrame(columns=[*curves.CELL, "seconds", "memory_mb"]),
    )
    points, ends = curves.points(CONFIG, runs), curves.ends(CONFIG, runs, beside)
    assert len(points) == 0 and list(ends.columns) == curves.ENDS and len(ends) == 0
    (ax,) = evidence_figures.curves(points, ends, {}).axes
    assert not ax.lines
