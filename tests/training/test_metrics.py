"""Metrics of trained networks, against scikit-learn and plain loops."""

import numpy as np
import pytest
import torch
from conftest import small_dataset
from sklearn.metrics import accuracy_score, log_loss, recall_score

from condensation.training import metrics, stacking

CPU = torch.device("cpu")


@pytest.fixture
def networks():
    torch.manual_seed(0)
    return [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3)) for _ in range(2)]


def calibration_error(probabilities, labels, bins=15):
    """The definition (Guo et al., 2017), image by image."""
    total, right = np.zeros((bins, 3)), probabilities.argmax(1) == labels
    for confidence, hit in zip(probabilities.max(1), right, strict=True):
        for m in range(bins):
            if m / bins < confidence <= (m + 1) / bins:
                total[m] += 1, hit, confidence
    gaps = [n / len(labels) * abs(a / n - c / n) for n, a, c in total if n]
    return 100 * sum(gaps)


def test_they_are_scikit_learns(networks, monkeypatch):
    dataset = small_dataset(test_per_class=40)
    monkeypatch.setattr(metrics, "_BATCH", 32)  # the last is partial
    rows = metrics.measure(stacking.Stack(networks, False, CPU), 2, dataset, CPU)
    labels = dataset.test_labels.numpy()
    for network, row in zip(networks, rows, strict=True):
        with torch.no_grad():
            shown = dataset.standardize(dataset.test_images)
            probabilities = network(shown).double().softmax(1).numpy()
        predictions = probabilities.argmax(1)
        assert row["status"] == "ok"
        assert row["accuracy"] == pytest.approx(100 * accuracy_score(labels, predictions))
        assert row["loss"] == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
        recalls = 100 * recall_score(labels, predictions, average=None)
        assert row["per_class"] == {
            f"class {i}": pytest.approx(recall) for i, recall in enumerate(recalls)
        }
        assert row["calibration_error"] == pytest.approx(calibration_error(probabilities, labels))
    assert rows[0]["loss"] != rows[1]["loss"]


def test_known_answers():
    dataset = small_dataset(classes=4, test_per_class=5)
    sure = torch.full((1, 20, 4), -100.0)
    sure[0, :, 1] = 100.0  # always the second class, and certain of it
    (row,) = metrics.measure(lambda x: sure, 1, dataset, CPU)
    assert row["accuracy"] == 25 and row["calibration_error"] == pytest.approx(75)
    assert list(row["per_class"].values()) == [0, 100, 0, 0]
    (row,) = metrics.measure(lambda x: torch.zeros(1, 20, 4), 1, dataset, CPU)
    assert row["loss"] == pytest.approx(np.log(4))
    assert row["calibration_error"] == pytest.approx(0, abs=1e-4)


def test_a_network_of_nan_is_no_result_and_leaves_its_neighbour_alone():
    dataset = small_dataset(test_per_class=5)
    logits = torch.zeros(2, 15, 3)
    logits[1] = float("nan")
    good, bad = metrics.measure(lambda x: logits, 2, dataset, CPU)
    assert good["status"] == "ok" and bad == metrics.failed("diverged")


def test_a_class_without_test_images_has_no_accuracy():
    dataset = small_dataset(test_per_class=5)
    keep = dataset.test_labels != 2
    object.__setattr__(dataset, "test_images", dataset.test_images[keep])
    object.__setattr__(dataset, "test_labels", dataset.test_labels[keep])
    (row,) = metrics.measure(lambda x: torch.zeros(1, 10, 3), 1, dataset, CPU)
    assert row["per_class"]["class 2"] is None and row["accuracy"] == 50


def test_halves_split_every_class_in_two(networks):
    dataset = small_dataset(test_per_class=5)  # labels 0 1 2 0 1 2 ...: 9 odd images, 6 even
    (row, _) = metrics.measure(stacking.Stack(networks, False, CPU), 2, dataset, CPU)
    with torch.no_grad():
        predictions = networks[0](dataset.standardize(dataset.test_images)).argmax(1)
    counts, right, images = {}, [0, 0], [0, 0]
    for label, guess in zip(dataset.test_labels.tolist(), predictions.tolist(), strict=True):
        half = counts.get(label, 0) % 2
        counts[label] = counts.get(label, 0) + 1
        images[half] += 1
        right[half] += guess == label
    assert images == [9, 6] and right[0] / 9 != right[1] / 6
    assert row["accuracy_of_halves"] == [100 * r / n for r, n in zip(right, images, strict=True)]
    alone = small_dataset(test_per_class=1)
    (row,) = metrics.measure(lambda x: torch.zeros(1, 3, 3), 1, alone, CPU)
    assert row["accuracy_of_halves"][1] is None
