"""Accuracy of trained networks on corrupted test images."""

from dataclasses import replace

import torch

from condensation.core import randomness
from condensation.data import corruptions
from condensation.data.datasets import Dataset
from condensation.training import metrics
from condensation.training.jobs import Forward


def measure(
    forward: Forward,
    count: int,
    dataset: Dataset,
    device: torch.device,
    at_once: int | None = None,
) -> list[dict[str, list[float | None]]]:
    """Return the accuracies of several networks under each corruption.

    All networks of all sets see the same corrupted images, so that their accuracies can be paired.

    Parameters
    ----------
    forward, count, dataset, device, at_once : as in ``metrics.measure``.

    Returns
    -------
    For each network: corruption -> accuracy in percent at each strength (``data.corruptions``);
    None where the loss is not finite.
    """
    accuracies: list[dict[str, list[float | None]]] = [
        {name: [] for name in corruptions.NAMES} for _ in range(count)
    ]
    for name in corruptions.NAMES:
        for strength in corruptions.STRENGTHS:
            generator = randomness.generator(0, "corruption", name, strength)
            images = corruptions.corrupt(dataset.test_images, name, strength, generator)
            corrupted = replace(dataset, test_images=images)
            rows = metrics.measure(forward, count, corrupted, device, at_once)
            for of_network, row in zip(accuracies, rows, strict=True):
                of_network[name].append(row["accuracy"])
    return accuracies
