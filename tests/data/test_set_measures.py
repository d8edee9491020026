"""Measures of a set beside made-up real images, against loops in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import small_dataset

from condensation.core.errors import InputError
from condensation.data import distances, set_measures, whitening
from condensation.data.sets import Condensed


@pytest.fixture
def neighbours_of(tmp_path):
    def write_and_load(dataset):
        path = tmp_path / "neighbours.safetensors"
        set_measures.write_neighbours(dataset, path, source="ab")
        return set_measures.load_neighbours(path, dataset)

    return write_and_load


def in_class_order(dataset, per_class):
    """Positions of the first images of each class."""
    return torch.cat([indices[:per_class] for indices in dataset.indices_by_class()])


def learned(dataset, pixels):
    ipc = len(pixels) // len(dataset.classes)
    labels = torch.arange(len(dataset.classes)).repeat_interleave(ipc)
    return Condensed(dataset.preprocess(pixels), labels)


def standardised(dataset, pixels):
    """Points by numpy alone."""
    mean, std = (np.reshape(values, (-1, 1, 1)) for values in (dataset.mean, dataset.std))
    return ((pixels.numpy() / 255 - mean) / std).reshape(len(pixels), -1)


def test_every_value_is_that_of_a_loop(dataset, neighbours_of):
    noise = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (6, *dataset.shape), generator=noise, dtype=torch.uint8)
    measures = set_measures.measure(learned(dataset, pixels), dataset, neighbours_of(dataset))
    assert measures["images"] == "learned" and measures["k"] == 5
    for label, row in enumerate(measures["classes"]):
        assert row["class"] == dataset.classes[label]
        positions = [i for i, value in enumerate(dataset.train_labels.tolist()) if value == label]
        real = standardised(dataset, dataset.train_images[positions])
        points = standardised(dataset, pixels[2 * label : 2 * label + 2])
        table = np.array([[np.linalg.norm(a - b) for b in real] for a in points])
        between = np.array([[np.linalg.norm(a - b) for b in real] for a in real])
        np.fill_diagonal(between, np.inf)
        between.sort(axis=1)
        inside = table <= between[:, 4]
        expected = {
            "diversity": np.linalg.norm(points[0] - points[1]),
            "representativeness": table.min(0).mean(),
            "density": inside.sum() / (5 * 2),
            "coverage": inside.any(0).mean(),
            "close": (table.min(1) <= np.median(between[:, 0]) / 2).mean(),
            "nearest": np.median(table.min(1)),
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-5), name
        for level, value in row["real_nearest"].items():
            assert value == pytest.approx(np.quantile(between[:, 0], float(level)), rel=1e-5)
        part = slice(2 * label, 2 * label + 2)
        expected = [positions[place] for place in table.argmin(1)]
        assert measures["nearest"]["positions"][part] == expected
        assert measures["nearest"]["distances"][part] == pytest.approx(table.min(1), rel=1e-5)


@pytest.mark.parametrize("kind", ["standardize", "zca", "zca_kip"])
def test_the_real_images_as_a_set_cover_themselves_under_any_preprocessing(kind, neighbours_of):
    dataset = small_dataset(shape=(1, 8, 8))
    if kind != "standardize":
        fitted = whitening.fit(dataset.train_images, kind, dataset.mean, dataset.std)
        dataset = replace(dataset, whitening=fitted)
    positions = in_class_order(dataset, 20)
    condensed = learned(dataset, dataset.train_images[positions])
    measures = set_measures.measure(condensed, dataset, neighbours_of(dataset))
    for row in measures["classes"]:
        assert (row["coverage"], row["representativeness"], row["close"]) == (1, 0, 1)
    assert measures["nearest"]["positions"] == positions.tolist()
    assert set(measures["nearest"]["distances"]) == {0.0}


def test_a_copy_among_learned_images_is_noticed(dataset, neighbours_of):
    """One image of two per class is real; the other is far from all of them."""
    positions = in_class_order(dataset, 1)
    pixels = torch.stack(
        [dataset.train_images[positions], 255 - dataset.train_images[positions]], dim=1
    ).flatten(0, 1)
    measures = set_measures.measure(learned(dataset, pixels), dataset, neighbours_of(dataset))
    assert [row["close"] for row in measures["classes"]] == [0.5, 0.5, 0.5]
    assert measures["nearest"]["positions"][::2] == positions.tolist()
    lengths = measures["nearest"]["distances"]
    assert lengths[::2] == [0, 0, 0] and min(lengths[1::2]) > 1


def test_soft_labels_say_whose_images_are_measured(dataset, neighbours_of):
    """Four images of class 0 and two of class 1, in no order, and none of class 2."""
    noise = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (6, *dataset.shape), generator=noise, dtype=torch.uint8)
    soft = torch.eye(3)[[1, 0, 0, 1, 0, 0]] * 0.7 + 0.1
    around = neighbours_of(dataset)
    condensed = replace(learned(dataset, pixels), labels=soft)
    measures = set_measures.measure(condensed, dataset, around)
    for label, places in enumerate(([1, 2, 4, 5], [0, 3])):
        points = standardised(dataset, pixels[places])
        real = standardised(dataset, dataset.train_images[dataset.train_labels == label])
        table = np.linalg.norm(points[:, None] - real, axis=2)
        row = measures["classes"][label]
        assert row["representativeness"] == pytest.approx(table.min(0).mean(), rel=1e-5)
        found = np.array(measures["nearest"]["positions"])[places]
        assert (found % 3 == label).all() and (found // 3 == table.argmin(1)).all()
    none = measures["classes"][2]
    assert none.pop("class") == "class 2" and none.pop("real_nearest")["0.5"] > 0
    assert set(none.values()) == {None}


def test_selected_images_are_called_real(dataset, neighbours_of):
    positions = in_class_order(dataset, 2)
    condensed = learned(dataset, dataset.train_images[positions])
    measures = set_measures.measure(
        replace(condensed, indices=positions), dataset, neighbours_of(dataset)
    )
    assert measures["images"] == "real"
    assert all(row["close"] == 1 for row in measures["classes"])


def test_a_single_image_has_no_diversity_and_a_class_of_a_single_image_no_neighbours(neighbours_of):
    dataset = small_dataset(per_class=1)
    measures = set_measures.measure(
        learned(dataset, dataset.train_images), dataset, neighbours_of(dataset)
    )
    for row in measures["classes"]:
        undefined = ("diversity", "density", "coverage", "close", "real_nearest")
        assert {row[name] for name in undefined} == {None}
        assert row["representativeness"] == 0


def test_neighbours_of_other_images_are_refused(dataset, tmp_path):
    path = tmp_path / "neighbours.safetensors"
    set_measures.write_neighbours(dataset, path)
    with pytest.raises(InputError, match="has 60 images, but small has 30"):
        set_measures.load_neighbours(path, small_dataset(per_class=10))
    fitted = whitening.fit(dataset.train_images, "zca", dataset.mean, dataset.std)
    with pytest.raises(InputError, match="prepared with"):
        set_measures.load_neighbours(path, replace(dataset, whitening=fitted))


def test_a_grey_level_is_more_than_the_rounding():
    """The smallest difference of two images, in units of a large standard deviation."""
    assert 1 / 255 / 0.5 > 100 * distances._ROUNDING
