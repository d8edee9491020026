"""Figures: what is drawn is what was given, read back from the drawn shapes."""

import functools
import hashlib
import importlib
import inspect
import itertools
import os
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT, small_dataset
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from condensation.core.errors import InputError
from condensation.data import sets, whitening
from condensation.figures import (
    accuracy,
    architectures,
    comparison,
    data,
    embedding,
    evidence,
    images,
    sources,
    style,
    tsne,
)
from condensation.results import frames

METHODS = {"random": "random", "dm": "dm", "mine": "mine.py:f", "whole": "whole"}
STYLES = style.method_styles(METHODS)
WAY = {"architecture": "convnet", "augmentation": "dsa", "optimizer": "sgd", "labels": "own"}
WHERE = {"experiment": "e", "dataset": "digits", "ipc": "1"}


def cell(method="random", mean=50.0, std=2.0, **more):
    place = {**WHERE, "method": method, "iteration": "end", **WAY}
    counts = {"sets": 1, "networks": 5, "oom": 0, "diverged": 0, "missing": 0}
    return {**place, **counts, "mean": mean, "std": std, "std_of_sets": np.nan, **more}


def failed(reason, **more):
    return cell(mean=np.nan, std=np.nan, **{reason: 5}, **more)


def without(name):
    return {key: value for key, value in WAY.items() if key != name}


def errors(container):
    """The ends of the error bars, [bars, 2]; NaN where none is drawn."""
    (lines,) = container.lines[2] if hasattr(container, "lines") else container.errorbar.lines[2]
    ends = [line[:, 1] if len(line) else [np.nan, np.nan] for line in lines.get_segments()]
    return np.array(ends)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


# --- the table ------------------------------------------------------------------------------------


def test_a_table_is_read_with_its_names_as_text(tmp_path):
    rows = [cell(augmentation="none", dataset="2024"), failed("oom", ipc="10", low="", high="")]
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    table = frames.load_accuracy(tmp_path / "t.csv")
    assert list(table["augmentation"]) == ["none", "dsa"] and table["dataset"][0] == "2024"
    assert table["mean"][0] == 50 and np.isnan(table["mean"][1]) and table["oom"][1] == 5
    assert table["low"].isna().all()


def test_a_cell_of_several_experiments_is_one_of_most_networks():
    table = pd.DataFrame(
        [
            *(cell(mean=1.0, networks=2, experiment="a"), cell(mean=2.0, networks=9)),
            *(cell(mean=3.0, networks=5, experiment="c"), cell(iteration="10")),
        ]
    )
    assert list(data.select(table, {"dataset": "digits"})["mean"]) == [2.0]
    assert list(data.select(table, {"experiment": "a"})["mean"]) == [1.0]
    assert len(data.select(table, {"dataset": "digits"}, final=False)) == 2


def test_error_bars_are_the_interval_where_there_is_one():
    plain = pd.DataFrame([cell(), cell(networks=1, std=0.0)])
    np.testing.assert_array_equal(data.spread(plain), [[2, np.nan], [2, np.nan]])
    interval = plain.assign(low=[47.0, np.nan], high=[54.0, np.nan])
    np.testing.assert_array_equal(data.spread(interval), [[3, np.nan], [4, np.nan]])
    assert "standard deviation" in data.spread_name(plain)
    assert "95 %" in data.spread_name(interval)


# --- figures 1, 3 and 5 ---------------------------------------------------------------------------


def bars(rows, values=("none", "dsa"), across="augmentation"):
    where = {**WHERE, **without(across)}
    return accuracy.bars(
        pd.DataFrame(rows), [{"where": where, "values": list(values)}], across, STYLES
    )


def test_bars_have_the_heights_and_errors_of_the_table():
    figure = bars(
        [
            *(cell(augmentation="dsa", mean=40.0, std=3.0), cell(augmentation="none", mean=30.0)),
            *(
                cell("dm", augmentation="dsa", mean=60.0),
                cell("dm", augmentation="none", mean=55.5),
            ),
            cell(augmentation="none", mean=99.0, ipc="10"),  # of another panel
        ]
    )
    (ax,) = figure.axes
    random, dm = ax.containers[1], ax.containers[3]
    assert [bar.get_height() for bar in random] == [30, 40]
    assert [bar.get_height() for bar in dm] == [55.5, 60]
    np.testing.assert_allclose(errors(random), [[28, 32], [37, 43]])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["none", "dsa"]
    for bar, group in zip([*random, *dm], [0, 1, 0, 1], strict=True):
        assert abs(bar.get_x() + bar.get_width() / 2 - group) < 0.5
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["random", "dm"]
    assert "population standard deviation" in figure.legends[0].get_title().get_text()
    assert random[0].get_facecolor()[:3] == tuple(STYLES["random"]["color"])


def test_what_is_missing_is_a_gap_and_what_failed_has_its_reason():
    figure = bars(
        [
            *(cell(augmentation="none"), cell(augmentation="dsa")),
            *(failed("oom", method="dm", augmentation="dsa"), cell("mine", augmentation="dsa")),
            failed("diverged", method="mine", augmentation="none"),
            failed("missing", method="dm", augmentation="none"),
        ]
    )
    (ax,) = figure.axes
    drawn = [container for container in ax.containers if hasattr(container, "patches")]
    heights = [[bar.get_height() for bar in container] for container in drawn]
    np.testing.assert_array_equal(heights, [[50, 50], [np.nan, np.nan], [np.nan, 50]])
    at = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert set(at) == {"OOM", "diverged", "missing"}
    assert at["missing"] == drawn[1][0].get_x() + drawn[1][0].get_width() / 2
    assert at["OOM"] == drawn[1][1].get_x() + drawn[1][1].get_width() / 2
    assert at["diverged"] == drawn[2][0].get_x() + drawn[2][0].get_width() / 2


def test_a_panel_per_dataset_and_ipc_and_transfer_by_architecture():
    rows = [
        cell(dataset=d, ipc=i, architecture=a, mean=m)
        for m, (d, i, a) in enumerate(
            (d, i, a) for d in ("x", "y") for i in ("1", "50") for a in ("mlp", "vit")
        )
    ]
    panels = [
        {
            "where": {**WHERE, "dataset": d, "ipc": i, **without("architecture")},
            "values": ["mlp", "vit"],
        }
        for d in ("x", "y")
        for i in ("1", "50")
    ]
    figure = accuracy.bars(pd.DataFrame(rows), panels, "architecture", STYLES)
    assert [ax.get_title() for ax in figure.axes] == [
        "x, IPC 1",
        "x, IPC 50",
        "y, IPC 1",
        "y, IPC 50",
    ]
    heights = [bar.get_height() for ax in figure.axes for bar in ax.patches]
    assert heights == list(range(8))
    assert figure.get_suptitle() == "Accuracy by architecture: dsa, sgd"


# --- figures 2, 4 and 6 ---------------------------------------------------------------------------


@pytest.mark.parametrize("whole", ["e", "other"])
def test_lines_against_ipc_and_the_whole_dataset(whole):
    where = {"experiment": "e", "dataset": "digits", **WAY}
    table = pd.DataFrame(
        [
            *(
                cell(ipc="10", mean=60.0, std=1.0),
                cell(ipc="2", mean=50.0),
                cell(ipc="100", mean=70.0),
            ),
            *(cell("dm", ipc="2", mean=55.0), failed("oom", method="dm", ipc="10")),
            cell("whole", ipc="all", mean=95.0, std=0.5, experiment=whole),
            cell("whole", ipc="all", mean=1.0, architecture="mlp", experiment="other"),
        ]
    )
    panel = {"where": where, "values": ["2", "10", "100"]}
    figure = accuracy.lines(table, [panel], "ipc", STYLES)
    (ax,) = figure.axes
    random, dm = ax.containers
    at, mean = random.lines[0].get_data()
    np.testing.assert_allclose(at.astype(float), [2, 10, 100], rtol=0.2)
    np.testing.assert_array_equal(mean, [50, 60, 70])
    np.testing.assert_allclose(errors(random), [[48, 52], [59, 61], [68, 72]])
    np.testing.assert_array_equal(dm.lines[0].get_ydata().astype(float), [55, np.nan])
    assert [text.get_text() for text in ax.texts] == ["dm: OOM"]
    (dashed,) = [line for line in ax.lines if set(line.get_ydata()) == {95.0}]
    assert dashed.get_linestyle() != "-"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["random", "dm", "whole"]
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "10", "100"]


def test_neighbouring_ipc_keep_their_order_and_the_last_its_label():
    ipcs = [1, 10, 50, *range(100, 1001, 100)]
    table = pd.DataFrame([cell(m, ipc=str(i)) for m in ("random", "dm", "mine") for i in ipcs])
    panel = {
        "where": {"experiment": "e", "dataset": "digits", **WAY},
        "values": list(map(str, ipcs)),
    }
    (ax,) = accuracy.lines(table, [panel], "ipc", STYLES).axes
    shown = np.array([container.lines[0].get_xdata() for container in ax.containers])
    assert (shown.max(axis=0)[:-1] < shown.min(axis=0)[1:]).all()
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels[-1] == "1000" and "900" not in labels and "1" in labels


def test_curves_end_at_the_methods_last_iteration():
    table = pd.DataFrame(
        [
            *(cell("dm", iteration="100", mean=20.0), cell("dm", iteration="20", mean=10.0)),
            *(
                cell("dm", mean=30.0),
                cell("mine", iteration="0", mean=5.0),
                cell("mine", mean=40.0),
            ),
            cell("mine", iteration="50", mean=40.0),
        ]
    )
    panel = {
        **{"where": {"dataset": "digits", "ipc": "1", **WAY}, "algorithm": "dm"},
        **{"ends": {"dm": 300, "mine": 50}, "methods": ["dm", "mine"]},
    }
    figure = accuracy.curves(table, [panel], "iteration", STYLES)
    (ax,) = figure.axes
    dm, mine = (container.lines[0].get_xydata().tolist() for container in ax.containers)
    assert dm == [[20, 10], [100, 20], [300, 30]]
    assert mine == [[0, 5], [50, 40]]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["dm", "mine"]


# --- cost and ranks -------------------------------------------------------------------------------


def beaten(at, points):
    cost, reached = points[at]
    return any(
        c <= cost and r >= reached and (c, r) != (cost, reached)
        for c, r in points
        if not np.isnan(r)
    )


def test_the_pareto_front_is_that_of_all_pairs():
    generator = np.random.default_rng(0)
    for trial in range(200):
        # few values, so that many points are equal in one or both
        points = [
            tuple(p) for p in generator.integers(0, 5, (generator.integers(0, 9), 2)).astype(float)
        ]
        if trial % 3 == 0:
            points += [(0.0, np.nan)]
        expected = {
            at
            for at in range(len(points))
            if not np.isnan(points[at][1]) and not beaten(at, points)
        }
        front = comparison.pareto_front([p[0] for p in points], [p[1] for p in points])
        assert set(front) == expected and len(front) == len(expected)
        assert [points[at][0] for at in front] == sorted(points[at][0] for at in front)


def test_costs_are_drawn_where_they_are():
    table = pd.DataFrame([cell(mean=40.0), cell("dm", mean=60.0), failed("oom", method="mine")])
    seconds = {
        ("digits", "random", "1"): 0.1,
        ("digits", "dm", "1"): 30.0,
        ("digits", "mine", "1"): 9.0,
    }
    panel = {"where": {"dataset": "digits", "ipc": "1", **WAY}}
    figure = comparison.cost_accuracy(table, [panel], seconds, STYLES)
    (ax,) = figure.axes
    points = [container.lines[0].get_xydata()[0].tolist() for container in ax.containers]
    assert points[:2] == [[0.1, 40], [30, 60]] and np.isnan(points[2][1])
    front = ax.lines[0].get_xydata().tolist()
    assert front == [[0.1, 40], [30, 60]] and ax.get_xscale() == "log"
    assert [(t.get_text(), t.get_position()[0]) for t in ax.texts] == [("mine: OOM", 9.0)]


@pytest.mark.parametrize("known", [["dm"], []])
def test_methods_without_a_cost_are_left_out(known):
    """Those whose sets were made on CPU and GPU have no mean time."""
    table = pd.DataFrame([cell(mean=40.0), cell("dm", mean=60.0)])
    seconds = {("digits", name, "1"): 30.0 if name in known else np.nan for name in STYLES}
    panel = {"where": {"dataset": "digits", "ipc": "1", **WAY}}
    (ax,) = comparison.cost_accuracy(table, [panel], seconds, STYLES).axes
    points = [container.lines[0].get_xydata()[0].tolist() for container in ax.containers]
    assert points == [[30, 60]] * len(known)


RANKS = {"tm": 1.00, "dsa": 2.22, "dm": 3.33, "dc": 3.89, "kcenter": 4.78, "random": 5.78}
RANKING = {"methods": RANKS, "blocks": 9, "critical_difference": 2.51, "alpha": 0.05}


def bars_of(ax):
    """The spans of the bars below the axis."""
    level = [line for line in ax.lines if len(set(line.get_ydata())) == 1]
    lines = [line for line in level if line.get_ydata()[0] < 0]
    return sorted((min(line.get_xdata()), max(line.get_xdata())) for line in lines)


def test_bars_join_the_methods_that_are_close():
    figure = comparison.critical_difference(RANKING, STYLES)
    (ax,) = figure.axes
    values = sorted(RANKS.values())
    groups = {tuple(v for v in values if low <= v <= low + 2.51) for low in values}
    largest = [g for g in groups if not any(set(g) < set(h) for h in groups)]
    assert bars_of(ax) == sorted((g[0], g[-1]) for g in largest if len(g) > 1)
    assert len(bars_of(ax)) == 3
    words = " ".join(text.get_text() for text in ax.texts)
    assert all(
        word in words for word in ("dm  3.33", "5.78  random", "tm  1.00", "2.51", "9 blocks")
    )


def test_without_a_ranking_its_reason_is_shown():
    figure = comparison.critical_difference({"reason": "too few of them"}, STYLES)
    assert figure.axes[0].texts[0].get_text() == "No ranks: too few of them."
    both = {**RANKING, "block": ["dataset", "ipc"], "by_set": {"reason": "one block"}}
    first, second = comparison.critical_difference(both, STYLES).axes
    assert first.get_title(loc="left") == "a block for each dataset, IPC"
    assert second.texts[0].get_text() == "No ranks: one block."


# --- figure 7 -------------------------------------------------------------------------------------


def write_set(dataset, path, method, value):
    classes = len(dataset.classes)
    # every pixel says method and class
    flat = torch.arange(classes).repeat_interleave(2).float() + value
    inputs = flat.view(-1, 1, 1, 1).expand(-1, *dataset.shape).contiguous()
    condensed = sets.Condensed(inputs, torch.arange(classes).repeat_interleave(2))
    sets.write(condensed, dataset, path, method=method, ipc=2)
    return path


def test_the_map_is_made_of_the_class_and_of_nothing_else(tmp_path):
    dataset = small_dataset()
    fitted = whitening.fit(dataset.train_images, "zca_kip", dataset.mean, dataset.std)
    whitening.save(fitted, tmp_path / "w", dataset="small")
    whitening.save(fitted, tmp_path / "v", dataset="another")
    views = sources.dataset_views(dataset, [tmp_path / "w", tmp_path / "v"])
    assert set(views) == {"standardize", "zca_kip"}
    paths = [
        write_set(dataset, tmp_path / "a", "dm", 10.0),
        write_set(dataset, tmp_path / "b", "random", 20.0),
        write_set(views["zca_kip"], tmp_path / "c", "kip", 30.0),
    ]
    sets.write_failure(dataset, tmp_path / "d", "oom", "cause", 3, method="tm", ipc=2)
    inputs = sources.inputs_of_class(views, 1, [*paths, tmp_path / "d"])
    real = dataset.train_images[[i for i, c in enumerate(dataset.train_labels) if c == 1]]
    torch.testing.assert_close(inputs["standardize"][0], dataset.standardize(real))
    torch.testing.assert_close(inputs["zca_kip"][0], fitted.apply(real))
    assert {m: set(v.flatten().tolist()) for m, v in inputs["standardize"][1].items()} == {
        **{"dm": {11.0}, "random": {21.0}}
    }
    assert set(inputs["zca_kip"][1]) == {"kip"}
    assert inputs["zca_kip"][1]["kip"].shape == (2, *dataset.shape)
    with pytest.raises(InputError, match=r"figure7.label: 3, but small has the classes 0 to 2"):
        sources.inputs_of_class(views, 3, paths)


def test_each_condensed_image_stands_beside_its_nearest_real_one():
    dataset = small_dataset(classes=4, per_class=6, shape=(1, 4, 4))
    pixels = torch.arange(4 * 5 * 16).view(4, 5, 1, 4, 4).remainder(256).to(torch.uint8)
    inputs = dataset.standardize(pixels.flatten(0, 1))
    positions = [(7 * place) % 24 for place in range(20)]
    condensed = sets.Condensed(inputs, torch.arange(4).repeat_interleave(5))
    pairs = sources.beside_nearest(dataset, condensed, positions, 5)
    assert pairs.shape == (3, 6, 1, 4, 4)
    for label, number in itertools.product(range(3), range(3)):
        torch.testing.assert_close(pairs[label, 2 * number], pixels[label, number])
        real = dataset.train_images[positions[5 * label + number]]
        torch.testing.assert_close(pairs[label, 2 * number + 1], real)


def test_soft_labels_say_whose_images_those_of_a_set_are(tmp_path):
    """Of six images, in no order, three are of class 0, two of class 1 and one of class 2."""
    dataset = small_dataset()
    soft = torch.eye(3)[[1, 0, 2, 0, 1, 0]] * 0.7 + 0.1
    pixels = torch.arange(10, 16).view(-1, 1, 1, 1).expand(-1, *dataset.shape).to(torch.uint8)
    condensed = sets.Condensed(dataset.standardize(pixels), soft)
    shown = sources.first_images(dataset, condensed)
    assert shown[:, :, 0, 0, 0].tolist() == [[11, 13], [10, 14], [12, 255]]
    pairs = sources.beside_nearest(dataset, condensed, [6, 5, 4, 3, 2, 1], 2)
    real = dataset.train_images[:, 0, 0, 0].tolist()
    assert pairs[0, :, 0, 0, 0].tolist() == [11, real[5], 13, real[3]]
    assert pairs[2, :, 0, 0, 0].tolist() == [12, real[4], 255, 255]
    sets.write(condensed, dataset, tmp_path / "a", method="datm", ipc=2)
    inputs = sources.inputs_of_class({"standardize": dataset}, 0, [tmp_path / "a"])
    torch.testing.assert_close(inputs["standardize"][1]["datm"], condensed.images[[1, 3, 5]])


def test_the_map_keeps_neighbours_together_and_the_order():
    generator = np.random.default_rng(0)
    groups = [generator.normal(20 * k, 1, (n, 6)) for k, n in enumerate((30, 25, 4))]
    maps = tsne.neighbour_map(groups)
    assert [points.shape for points in maps] == [(30, 2), (25, 2), (4, 2)]
    for group, rows in enumerate(maps):
        centres = np.stack([points.mean(0) for points in maps])
        nearest = np.linalg.norm(rows[:, None] - centres[None], axis=2).argmin(1)
        assert (nearest == group).all()
    again = tsne.neighbour_map(groups)
    assert all((first == second).all() for first, second in zip(maps, again, strict=True))
    few = tsne.neighbour_map([np.eye(2), np.ones((1, 2))])
    assert [points.tolist() for points in few] == [[[0, 0]] * 2, [[0, 0]]]


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_dead_network_has_no_map(value):
    with pytest.raises(InputError, match=r"figure7.features: .*the same features"):
        tsne.neighbour_map([np.full((40, 6), value), np.full((5, 6), value)])


def test_each_panel_shows_the_real_points_and_those_of_its_method():
    real, dm, mine = np.random.default_rng(0).normal(size=(3, 7, 2))
    mapped = embedding.Map("digits", {"dm": real, "mine": real + 1}, {"dm": dm, "mine": mine})
    figure = embedding.draw([mapped], STYLES, "resnet18", [90.0, 95.5])
    for ax, (below, above), title in zip(
        figure.axes, [(real, dm), (real + 1, mine)], ["dm", "mine"], strict=True
    ):
        drawn = [c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)]
        np.testing.assert_allclose(drawn[0], below)
        np.testing.assert_allclose(drawn[1], above)
        assert ax.get_title() == title
    assert "test accuracy 90.0 to 95.5 %" in figure.legends[0].get_title().get_text()
    none = embedding.draw([embedding.Map("digits", {}, {})], STYLES, "resnet18", [])
    assert "methods failed" in none.legends[0].get_title().get_text()


# --- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_the_image_grid_shows_classes_as_rows(channels):
    pictures = torch.zeros(2, 3, channels, 8, 8, dtype=torch.uint8)
    pictures[1, 2] = 200
    tiled = images._tile(pictures)
    assert tiled.shape[:2] == (18, 27)
    assert (tiled[0:8, 0:8] == 0).all() and (tiled[9:17, 18:26] == 200).all()
    assert (tiled[8] == 255).all()
    drawn = images.Pictures({"m": pictures, "n": pictures}, ["zero", "one"], "title")
    figure = images.image_grids([drawn])
    first, second = figure.subfigs[0].axes
    assert [t.get_text() for t in first.get_yticklabels()] == ["zero", "one"]
    assert (first.images[0].get_array() == tiled).all() and second.get_title() == "n"


def test_with_one_image_per_class_the_methods_are_rows():
    pictures = torch.zeros(3, 1, 3, 8, 8, dtype=torch.uint8)
    drawn = images.Pictures({"m": pictures, "n": pictures}, ["zero", "one"], "title")
    axes = images.image_grids([drawn]).subfigs[0].axes
    names, rows = axes[::2], axes[1::2]
    assert [ax.texts[0].get_text() for ax in names] == ["m", "n"]
    assert [t.get_text() for t in rows[0].get_xticklabels()] == ["zero", "one"]
    assert [ax.images[0].get_array().shape for ax in rows] == [(9, 18, 3)] * 2


def test_the_names_of_rows_are_not_cut():
    names = ["dm_from_random 1", "kcenter_classifier_restarts 2"]
    for count, rows in itertools.product((1, 6), ([names[0]], names)):
        drawn = {f"{name}{i}": torch.zeros(10, 1, 3, 8, 8) for name in rows for i in range(count)}
        figure = images.image_grids([images.Pictures(drawn, list("0123456789"), "t")])
        figure.canvas.draw()
        boxes = [t.get_window_extent() for ax in figure.subfigs[0].axes for t in ax.texts]
        edge = min(ax.get_window_extent().x0 for ax in figure.subfigs[0].axes if ax.images)
        assert len(boxes) == len(drawn)
        assert all(0 <= box.x0 < box.x1 <= edge for box in boxes), (count, rows)
        style.plt.close(figure)


def test_many_methods_go_on_below_and_datasets_stand_below_each_other():
    pictures = torch.zeros(10, 10, 3, 8, 8, dtype=torch.uint8)
    many = images.Pictures({str(n): pictures for n in range(7)}, list("abcdefghij"), "one")
    none = images.Pictures({}, ["a"], "another, whose methods all failed")
    figure = images.image_grids([many, none])
    assert figure.get_figwidth() < 16
    assert [part.get_suptitle() for part in figure.subfigs] == [many.title, none.title]
    assert [ax.get_title() for ax in figure.subfigs[0].axes] == list("0123456")


# --- looks ----------------------------------------------------------------------------------------


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_methods_are_told_apart_in_grey_and_on_white():
    many = {f"m{n}": "x.py:f" for n in range(30)}
    styles = list(style.method_styles({**METHODS, **many}).values())
    for number, a in enumerate(styles):
        assert 1.05 / (luminance(a["color"]) + 0.05) > 2, "contrast with the paper"
        for b in styles[:number]:
            if a["color"] == b["color"] or abs(luminance(a["color"]) - luminance(b["color"])) < 0.1:
                lines = [(s["marker"], s["linestyle"]) for s in (a, b)]
                assert lines[0] != lines[1]
                assert (a["hatch"], a["color"]) != (b["hatch"], b["color"])


def test_the_first_seven_differ_in_every_sign():
    names = ("random", "kcenter", "dc", "dsa", "dm", "kip", "tm")
    styles = style.method_styles({name: name for name in names}).values()
    for key in ("color", "marker", "hatch"):
        assert len({looks[key] for looks in styles}) == 7


def test_a_method_keeps_its_style_whatever_else_is_drawn():
    fewer = {name: METHODS[name] for name in ("random", "dm")}
    assert style.method_styles(fewer)["dm"] == STYLES["dm"]
    # variants before it in the config leave a method of the paper its colour
    variants = {"dm2": "dm", **METHODS}
    assert style.method_styles(variants)["dm"] == STYLES["dm"]
    assert STYLES["whole"]["color"] == (0, 0, 0)
    last = {**METHODS, "x": "x.py:f"}
    without_whole = {name: algorithm for name, algorithm in last.items() if name != "whole"}
    assert style.method_styles(last)["x"] == style.method_styles(without_whole)["x"]


SAVE = """
import sys; sys.path[:0] = ["workflow_scripts", "tests", "tests/figures"]
import test_figures
test_figures.save_all(sys.argv[1])
"""


def save_all(folder):
    where = {"experiment": "e", "dataset": "digits", **WAY}
    table = pd.DataFrame([cell(ipc="2"), cell("dm", ipc="2"), cell("dm", ipc="10")])
    figure = accuracy.lines(table, [{"where": where, "values": ["2", "10"]}], "ipc", STYLES)
    style.save(figure, f"{folder}/line.png", f"{folder}/line.pdf")
    points = np.random.default_rng(0).normal(size=(20, 2))
    mapped = embedding.Map("digits", {"dm": points}, {"dm": points + 1})
    style.save(embedding.draw([mapped], STYLES, "r", [1.0]), f"{folder}/map.pdf")
    pictures = images.Pictures(
        {"m": torch.zeros(2, 2, 1, 8, 8, dtype=torch.uint8)}, ["a", "b"], "t"
    )
    style.save(images.image_grids([pictures]), f"{folder}/grid.pdf")


@pytest.mark.slow
def test_the_same_figure_has_the_same_bytes_in_another_process(tmp_path):
    digests = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC+{seed}"}
        subprocess.run(
            [sys.executable, "-c", SAVE, str(folder)], cwd=ROOT, env=environment, check=True
        )
        digests.append(
            {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
        )
    assert digests[0] == digests[1]
    assert set(digests[0]) == {"line.png", "line.pdf", "map.pdf", "grid.pdf"}
    assert Image.open(tmp_path / "1/line.png").size[0] > 500
    assert (tmp_path / "1/line.pdf").read_bytes().startswith(b"%PDF")


def test_names_below_bars_are_broken_between_words_alone():
    assert accuracy._broken(["imagenet_aug", "randaug"], 1.0) == ["imagenet_\naug", "randaug"]


# --- nothing that is drawn lies outside -----------------------------------------------------------


def outside(figure):
    """Points of lines, ends of error bars, markers and tops of bars that their axes do not hold."""
    figure.canvas.draw()
    lost = []
    for ax in figure.findobj(Axes):
        points = [line.get_transform().transform(line.get_xydata()) for line in ax.lines]
        for drawn in ax.collections:
            if isinstance(drawn, PathCollection):
                points.append(drawn.get_offset_transform().transform(drawn.get_offsets()))
            else:
                ends = [path.vertices for path in drawn.get_paths() if len(path.vertices)]
                points += [drawn.get_transform().transform(each) for each in ends]
        tops = [bar for bar in ax.patches if isinstance(bar, Rectangle) and bar.get_height() > 0]
        points += [bar.get_transform().transform([[0.5, 1.0]]) for bar in tops]
        box = ax.get_window_extent().padded(1.0)
        parts = [np.asarray(each, float).reshape(-1, 2) for each in points or [[]]]
        ends = np.concatenate(parts)
        ends = ends[np.isfinite(ends).all(axis=1)]
        lost += [tuple(at) for at in ends if not box.contains(*at)]
    return lost


def hard_table(generator, wide=False):
    """Cells of two datasets and IPC, in which the best and the worst are not where a panel begins.

    With ``wide`` the intervals go far beyond 0 and 100, as those of two networks do.
    """
    rows = []
    for dataset, ipc in itertools.product(("digits", "more"), ("1", "10")):
        for method in ("random", "dm", "mine"):
            for augmentation, iteration in itertools.product(("none", "dsa"), ("end", "0", "90")):
                mean = generator.choice([*generator.uniform(0, 100, 3), 0.0, 100.0])
                apart = generator.uniform(40, 90) if wide else generator.uniform(0, 4)
                place = {"dataset": dataset, "ipc": ipc, "augmentation": augmentation}
                ends = {"low": mean - apart, "high": mean + apart, "iteration": iteration}
                rows.append(cell(method, mean=mean, std=apart, **place, **ends))
        rows.append(failed("oom", dataset=dataset, ipc=ipc, method="mine", architecture="mlp"))
    rows.append(cell("whole", ipc="all", mean=99.9, low=80.0, high=119.8))
    return pd.DataFrame(rows)


def drawn_accuracy(kind, generator, wide):
    table = hard_table(generator, wide)
    sides = [(d, i) for d in ("digits", "more") for i in ("1", "10")]
    fixed = {"experiment": "e", "architecture": "convnet", "optimizer": "sgd", "labels": "own"}
    if kind == "bars":
        panels = [
            {"where": {**fixed, "dataset": d, "ipc": i}, "values": ["none", "dsa"]}
            for d, i in sides
        ]
        return accuracy.bars(table, panels, "augmentation", STYLES)
    where = fixed | {"augmentation": "dsa"}
    if kind == "lines":
        panels = [
            {"where": {**where, "dataset": d}, "values": ["1", "10"]} for d in ("digits", "more")
        ]
        return accuracy.lines(table, panels, "ipc", STYLES)
    facts = {"algorithm": "dm", "ends": {"random": 95, "dm": 300}, "methods": ["random", "dm"]}
    panels = [{"where": {**where, "dataset": d, "ipc": i}, **facts} for d, i in sides]
    return accuracy.curves(table, panels, "iteration", STYLES)


def drawn_costs(generator, wide):
    table = hard_table(generator, wide)
    sides = list(itertools.product(("digits", "more"), ("1", "10")))
    panels = [{"where": {"dataset": d, "ipc": i, **WAY}} for d, i in sides]
    methods = ("random", "dm", "mine")
    seconds = {(d, m, i): 10 ** generator.uniform(-3, 5) for d, i in sides for m in methods}
    seconds["digits", "random", "1"] = 0.0  # by a coarse clock
    return comparison.cost_accuracy(table, panels, seconds, STYLES)


def drawn_ranks(generator, wide):
    names = [f"m{n}" for n in range(2 + generator.integers(9))]
    ranks = generator.permutation(len(names)) + 1.0
    gap = 40.0 if wide else generator.uniform(0.2, 3)
    facts = {"blocks": 5, "critical_difference": gap, "alpha": 0.05, "block": ["dataset"]}
    ranking = {"methods": dict(zip(names, ranks, strict=True)), **facts}
    return comparison.critical_difference({**ranking, "by_set": ranking}, STYLES)


def drawn_map(generator, wide):
    size = 1e4 if wide else 1.0
    points = {m: generator.normal(size=(30, 2)) * size for m in ("random", "dm")}
    shifted = {m: at[:9] + 3 * size * n for n, (m, at) in enumerate(points.items())}
    maps = [embedding.Map(name, points, shifted) for name in ("digits", "more")]
    return embedding.draw(maps, STYLES, "convnet", [50.0])


def drawn_architectures(generator, wide):
    names = ["random/2/0", "dm/2/0"]
    table = pd.DataFrame(
        {
            "set": np.repeat(names, 8),
            "connected": np.tile([True, False], 8),
            "truth": generator.uniform(10, 94, 16),
            "proxy": generator.uniform(0, 100, 16),
            "std": generator.uniform(0, 60 if wide else 3, 16),
        }
    )
    facts = {"reference": "", "ipc": "2", "condensation_seed": 0, "spearman": np.nan}
    summary = pd.DataFrame([{"set": n, "method": n.split("/")[0], **facts} for n in names])
    return architectures.scatter(summary, table, STYLES, "costs $5 and $6", "truth")


def drawn_beside_print(generator, wide):
    mean = generator.uniform(0, 100, 12)
    apart = generator.uniform(0, 90 if wide else 3, 12)
    facts = {"dataset": "digits", "architecture": "convnet", "augmentation": "dsa"}
    facts |= {"iterations": np.nan, "iterations_of_paper": np.nan}
    frame = pd.DataFrame({"mean": mean, "low": mean - apart, "high": mean + apart}).assign(
        **facts,
        ipc=["1", "10"] * 6,
        method=[f"m{n}" for n in range(12)],
        printed=generator.uniform(0, 100, 12),
        printed_std=apart,
        difference=1.0,
    )
    return evidence.beside_print(frame)


def drawn_curves(generator, wide):
    way = {"architecture": "convnet", "augmentation": "dsa", "optimizer": "sgd"}
    rows, ends = [], []
    for method, ipc in itertools.product(("random", "dm"), ("1", "10")):
        place = {"dataset": "digits", "method": method, "ipc": ipc, **way}
        for iteration in (0, 10, 300, 1000):
            mean = generator.uniform(0, 100)
            apart = generator.uniform(40, 90) if wide else generator.uniform(0, 4)
            limits = {"low": mean - apart, "high": mean + apart, "networks": 3}
            rows.append(place | {"iteration": iteration, "mean": mean, "std": apart, **limits})
        heading = {"heading": mean, "heading_low": mean - apart, "heading_high": mean + apart}
        printed = {"printed": generator.uniform(0, 100), "iterations_of_paper": 20_000.0}
        ends.append(place | {"rising": True} | heading | printed)
    return evidence.curves(pd.DataFrame(rows), pd.DataFrame(ends), STYLES)


def drawn_images(generator, wide):
    pictures = torch.zeros(2, 1 if wide else 3, 1, 8, 8, dtype=torch.uint8)
    return images.image_grids([images.Pictures({"m": pictures, "n": pictures}, ["a", "b"], "t")])


DRAWN = {
    **{
        getattr(accuracy, kind): functools.partial(drawn_accuracy, kind)
        for kind in ("bars", "lines", "curves")
    },
    comparison.cost_accuracy: drawn_costs,
    comparison.critical_difference: drawn_ranks,
    embedding.draw: drawn_map,
    architectures.scatter: drawn_architectures,
    evidence.beside_print: drawn_beside_print,
    evidence.curves: drawn_curves,
    images.image_grids: drawn_images,
}


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__qualname__)
def test_each_point_and_each_end_of_an_interval_lies_inside_the_axes(draw, wide):
    for seed in range(3):
        figure = DRAWN[draw](np.random.default_rng(seed), wide)
        assert outside(figure) == [], seed
        plt.close(figure)


def test_no_figure_is_left_out_of_that():
    makers = {
        function
        for path in (ROOT / "workflow_scripts/condensation/figures").glob("*.py")
        for function in vars(importlib.import_module(f"condensation.figures.{path.stem}")).values()
        if inspect.isfunction(function)
        and function.__module__ == f"condensation.figures.{path.stem}"
        and inspect.signature(function).return_annotation in ("Figure", Figure)
    }
    assert makers - {accuracy.draw} == set(DRAWN)  # `draw` is one of three


def test_limits_that_stop_short_are_noticed():
    figure, (first, second) = plt.subplots(1, 2, sharey=True)
    first.plot([0, 1], [20, 40], "o")
    accuracy.within_percent([first])  # too early: the axes are shared
    second.errorbar([0], [95.6], yerr=[1.0])
    assert len(outside(figure)) >= 3
    accuracy.within_percent([first, second])
    second.set_ylim(0, 100)
    assert outside(figure) == []


def heights_of(*means, apart=1.0):
    rows = [
        cell(augmentation=name, mean=mean, std=apart)
        for name, mean in zip(("none", "dsa"), means, strict=True)
    ]
    figure = bars(rows)
    low, high = figure.axes[0].get_ylim()
    note = figure.legends[0].get_title().get_text().replace("\n", " ")
    return low, high, "bars do not start at 0" in note


def test_bars_start_where_differences_are_seen_and_say_so():
    low, high, noted = heights_of(94.0, 96.0)
    assert 85 < low < 93 and 97 <= high <= 100 and noted
    assert (96 - 94) / (high - low) > 0.2, "a fifth of the panel"
    low, high, noted = heights_of(20.0, 60.0)
    assert low == 0 and not noted
    low, high, noted = heights_of(50.0, 50.0, apart=0.0)
    assert low == 0 and not noted
    low, high, noted = heights_of(0.0, 0.0, apart=0.0)
    assert low == 0 < high


def test_error_bars_end_at_0_and_100():
    table = pd.DataFrame([cell(mean=2.0), cell(mean=99.0)]).assign(low=[-7, 88], high=[11, 110])
    np.testing.assert_array_equal(data.spread(table), [[2, 11], [9, 1]])
    plain = pd.DataFrame([cell(mean=1.0, std=4.0), cell(mean=98.0, std=4.0)])
    np.testing.assert_array_equal(data.spread(plain), [[1, 4], [4, 2]])


# --- users' names ---------------------------------------------------------------------------------


def pictures_of(*classes):
    drawn = torch.zeros(len(classes), 2, 1, 8, 8, dtype=torch.uint8)
    return images.Pictures({"random": drawn}, classes, "t")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a font with these letters alone, for a test; returns its name."""
    monkeypatch.setattr(style, "_more_fonts", [])
    plain_fonts = [f for f in font_manager.fontManager.ttflist if "DejaVu" in f.name]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", plain_fonts)

    def install(letters):
        builder = FontBuilder(1000)
        names = [".notdef", *(f"g{n}" for n in range(len(letters)))]
        pen = TTGlyphPen(None)
        for step, at in enumerate([(100, 0), (900, 0), (900, 800), (100, 800)]):
            pen.lineTo(at) if step else pen.moveTo(at)
        pen.closePath()
        box = pen.glyph()
        builder.setupGlyphOrder(names)
        builder.setupCharacterMap(
            {ord(c): name for c, name in zip(letters, names[1:], strict=True)}
        )
        builder.setupGlyf(dict.fromkeys(names, box))
        builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
        builder.setupHorizontalHeader(ascent=800, descent=-200)
        builder.setupNameTable({"familyName": "Little", "styleName": "Regular"})
        builder.setupOS2()
        builder.setupPost()
        builder.save(tmp_path / "little.ttf")
        font_manager.fontManager.addfont(tmp_path / "little.ttf")

    font_manager.fontManager._findfont_cached.cache_clear()
    yield install
    font_manager.fontManager._findfont_cached.cache_clear()


@pytest.mark.parametrize("name", ["$$", "$", "${x", "$\\alpha", "a_b^c$d$", "\\frac", "%", "#1"])
@pytest.mark.filterwarnings("error")
def test_a_name_is_drawn_as_it_is_and_never_as_maths(tmp_path, name):
    figure = images.image_grids([pictures_of(name, "b")])
    style.save(figure, tmp_path / "f.png", tmp_path / "f.pdf")
    (axes,) = figure.subfigs[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [name, "b"]
    assert not any(label.get_parse_math() for label in axes.get_yticklabels())
    for draw in (
        lambda: embedding.draw(
            [embedding.Map(f"digits\n{name}", {"dm": np.zeros((2, 2))}, {"dm": np.zeros((1, 2))})],
            *(STYLES, "convnet", [50.0]),
        ),
        lambda: style.panels([[name]], (3, 3), [name])[0],
    ):
        style.save(draw(), tmp_path / "g.png", tmp_path / "g.pdf")


@pytest.mark.filterwarnings("error")
def test_letters_that_no_font_has_are_replaced_and_said(tmp_path, capsys, installed):
    figure = images.image_grids([pictures_of("猫", "b", "犬 x", "é")])
    style.save(figure, tmp_path / "f.png", tmp_path / "f.pdf")
    labels = [label.get_text() for label in figure.subfigs[0].axes[0].get_yticklabels()]
    assert labels == ["class 0", "b", "class 2", "é"]
    message = capsys.readouterr().err
    assert "no installed font has the letters 犬 猫 of 猫, 犬 x" in message
    assert len(message.split("\n")) == 2
    assert style.readable(["new 猫"]) == ["new \\u732b"]


@pytest.mark.filterwarnings("error")
def test_an_installed_font_with_the_letters_is_used(tmp_path, capsys, installed):
    installed("猫")
    figure = images.image_grids([pictures_of("猫", "b", "犬")])
    style.save(figure, tmp_path / "f.png", tmp_path / "f.pdf")
    labels = figure.subfigs[0].axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["猫", "b", "class 2"]
    assert "Little" in labels[0].get_fontfamily()
    assert "犬" in capsys.readouterr().err
    style.theme()  # of the next figure
    assert plt.rcParams["font.family"] == ["sans-serif", "Little"]
