"""Accuracies on corrupted test images against a plain loop; nothing else of a row changes."""

import pytest
import torch
from conftest import small_dataset
from torch import nn

from condensation.api import evaluate
from condensation.core.randomness import generator
from condensation.data.corruptions import NAMES, STRENGTHS, corrupt
from condensation.planning.work import CORRUPTED_COPIES
from condensation.training import metrics, robustness, stacking

CPU = torch.device("cpu")


def linear(dataset, seed):
    torch.manual_seed(seed)
    channels, height, width = dataset.shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, len(dataset.classes)))


def test_each_accuracy_is_that_of_a_plain_loop():
    dataset = small_dataset(test_per_class=20)
    networks = [linear(dataset, seed) for seed in (0, 1)]
    rows = robustness.measure(stacking.Stack(networks, False, CPU), 2, dataset, CPU, at_once=7)
    for network, row in zip(networks, rows, strict=True):
        assert list(row) == list(NAMES)
        for name in NAMES:
            for strength, accuracy in zip(STRENGTHS, row[name], strict=True):
                draws = generator(0, "corruption", name, strength)
                images = corrupt(dataset.test_images, name, strength, draws)
                right = 0
                for image, label in zip(images, dataset.test_labels, strict=True):
                    with torch.no_grad():
                        right += int(network(dataset.standardize(image[None])).argmax() == label)
                assert accuracy == pytest.approx(100 * right / len(images))
    assert rows[0] != rows[1]


def test_a_network_that_knows_brightness_alone_suffers_from_it():
    """The classes differ in brightness, so that of the images decides, and blur changes nothing."""
    dataset = small_dataset(test_per_class=20)
    centres = [dataset.test_images[dataset.test_labels == i].float().mean() for i in range(3)]

    def forward(images):
        pixels = dataset.unstandardize(images[0]) * 255
        distances = [(pixels.mean((1, 2, 3)) - centre).abs() for centre in centres]
        return -torch.stack(distances, 1)[None]

    (row,) = robustness.measure(forward, 1, dataset, CPU)
    assert metrics.measure(forward, 1, dataset, CPU)[0]["accuracy"] == 100
    assert row["defocus_blur"] == [100] * 5
    # a shift of 0.3 is more than half of the 70 levels between the classes
    assert row["brightness"][0] == 100 and row["brightness"][-1] < 70


def test_a_network_of_nan_has_no_accuracy():
    dataset = small_dataset()
    (row,) = robustness.measure(
        lambda images: torch.full((1, images.shape[1], 3), float("nan")), 1, dataset, CPU
    )
    assert row == dict.fromkeys(NAMES, [None] * 5)


def test_the_option_adds_to_rows_and_changes_nothing_else():
    dataset = small_dataset(per_class=5)
    condensed = dataset.standardize(dataset.train_images[:6]), dataset.train_labels[:6].sort()[0]
    robust, plain = (
        evaluate(condensed, dataset, "mlp", networks=2, epochs=3, corruptions=option).rows
        for option in (True, False)
    )
    assert all("corruptions" not in row for row in plain)
    assert [set(row.pop("corruptions")) for row in robust] == [set(NAMES)] * 2
    assert robust == plain


def test_the_plan_counts_all_copies():
    assert len(NAMES) * len(STRENGTHS) == CORRUPTED_COPIES
