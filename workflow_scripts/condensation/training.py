"""Training networks: the evaluation protocol (paper, section 4.1; released evaluator).

A network is trained on a condensed set and tested on the real test images
after the last epoch. Data stays on the device; nothing waits for the device
inside an epoch.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from condensation import augmentation as augmentations
from condensation import compute, networks, randomness
from condensation.datasets import Dataset
from condensation.progress import Progress
from condensation.sets import Condensed

_TEST_BATCH = 500
Batch = Callable[[torch.Tensor], torch.Tensor]  # positions -> standardised images


def fit(
    forward: Callable[[torch.Tensor], torch.Tensor],
    parameters: list[torch.Tensor],
    batch: Batch,
    labels: torch.Tensor,
    *,
    epochs: int,
    batch_size: int,
    optimizer: dict[str, Any],
    decay_after: int | None,
    augment: Any,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> None:
    """Train ``parameters`` in place.

    Parameters
    ----------
    forward : images -> logits.
    batch, labels : the training images by position, and their labels (hard or soft).
    epochs : epochs to train; every epoch sees each image once, shuffled, the last batch partial.
    optimizer : an entry of the config.
    decay_after : index of the epoch after which the learning rate is multiplied by 0.1 and the
        optimizer built anew (momentum is lost, as in the released code); None for never.
    augment : has ``draw`` and ``apply`` (``condensation.augmentation``).
    progress : counts the steps.
    generator : a CPU generator; order and augmentation come from it.
    """
    lr = optimizer["lr"]
    steps = _optimizer(parameters, optimizer, lr)
    for epoch in range(epochs):
        order = torch.randperm(len(labels), generator=generator)
        for positions in order.split(batch_size):
            drawn = augment.draw(generator, len(positions))
            positions = positions.to(labels.device)
            images = augment.apply(batch(positions), drawn)
            loss = F.cross_entropy(forward(images), labels[positions])
            steps.zero_grad()
            loss.backward()
            steps.step()
            if progress is not None:
                progress.step()
        if epoch == decay_after:
            steps = _optimizer(parameters, optimizer, lr * 0.1)


def _optimizer(
    parameters: list[torch.Tensor], options: dict[str, Any], lr: float
) -> torch.optim.Optimizer:
    if options["algorithm"] == "adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=options["weight_decay"])
    return torch.optim.SGD(
        parameters, lr=lr, momentum=options["momentum"], weight_decay=options["weight_decay"]
    )


@torch.inference_mode()
def test(
    forward: Callable[[torch.Tensor], torch.Tensor], dataset: Dataset, device: torch.device
) -> tuple[float, float]:
    """Return accuracy in percent and mean cross-entropy on the dataset's test images."""
    correct = torch.zeros((), dtype=torch.int64, device=device)
    total = torch.zeros((), dtype=torch.float64, device=device)
    for images, labels in zip(
        dataset.test_images.split(_TEST_BATCH), dataset.test_labels.split(_TEST_BATCH), strict=True
    ):
        logits = forward(dataset.preprocess(images.to(device)))
        labels = labels.to(device)
        correct += (logits.argmax(1) == labels).sum()
        total += F.cross_entropy(logits, labels, reduction="sum")
    count = len(dataset.test_labels)
    return 100.0 * int(correct) / count, float(total) / count


def epochs_of(protocol: dict[str, Any], augmentation: dict[str, Any]) -> tuple[int, int]:
    """Return the number of epochs and the index of the epoch that the decay follows.

    With E epochs asked for, the released code counts 0..E inclusive and decays
    after epoch index E // 2 + 1: 502 epochs at the first rate and 499 at the
    second for E = 1000.
    """
    epochs = protocol["epochs"]
    if augmentation["policy"] == "none":
        epochs = protocol["epochs_without_augmentation"] or epochs
    return epochs + (1 if protocol["inclusive"] else 0), epochs // 2 + 1


def evaluate(
    condensed: Condensed,
    dataset: Dataset,
    seeds: list[int],
    *,
    architecture: dict[str, Any],
    augmentation: dict[str, Any],
    optimizer: dict[str, Any],
    protocol: dict[str, Any],
    device: torch.device,
    compile: bool | str = False,
    label: str = "",
) -> tuple[list[dict[str, Any]], list[dict[str, float]]]:
    """Train one network per seed on ``condensed`` and test each on the real test images.

    A seed's result depends on the seed alone, not on the others of the call.

    Returns rows ``{seed, status, accuracy (percent), loss}`` and costs ``{seed, seconds}``. The
    status of a network whose loss is no number is ``diverged``, and its values are None.

    Raises InputError if the network cannot take the images.
    """
    shape, classes = dataset.shape, len(dataset.classes)
    network = networks.build(architecture, shape, classes, seeds[0]).to(device)
    augment = augmentations.build(augmentation, dataset)
    labels = condensed.labels.to(device)
    batch = _batch(condensed, dataset, device)
    epochs, decay_after = epochs_of(protocol, augmentation)
    passes = len(seeds) * (3.0 * epochs * len(labels) + len(dataset.test_labels))
    compile = compute.worth_compiling(compile, network, shape, passes)
    forward = compute.compiled(network, compile, device)
    steps = len(seeds) * epochs * math.ceil(len(labels) / protocol["batch_size"])
    progress = Progress(label, steps)
    rows, costs = [], []
    for seed in seeds:
        began = time.monotonic()
        # one network, filled anew: it is compiled once
        fresh = networks.build(architecture, shape, classes, seed, "evaluation network")
        network.load_state_dict(fresh.state_dict())
        network.train()
        with randomness.seeded(seed, "evaluation dropout"):
            fit(
                forward,
                list(network.parameters()),
                batch,
                labels,
                epochs=epochs,
                batch_size=protocol["batch_size"],
                optimizer=optimizer,
                decay_after=decay_after if optimizer["decay"] else None,
                augment=augment,
                generator=randomness.generator(seed, "evaluation training"),
                progress=progress,
            )
        network.eval()
        accuracy, loss = test(forward, dataset, device)
        if math.isfinite(loss):
            rows.append({"seed": seed, "status": "ok", "accuracy": accuracy, "loss": loss})
        else:  # the accuracy of NaN logits says nothing
            rows.append({"seed": seed, "status": "diverged", "accuracy": None, "loss": None})
        costs.append({"seed": seed, "seconds": time.monotonic() - began})
    return rows, costs


def no_networks(seeds: list[int], status: str) -> list[dict[str, Any]]:
    """Return the rows of networks that could not be trained: ``oom`` or ``diverged``."""
    return [{"seed": seed, "status": status, "accuracy": None, "loss": None} for seed in seeds]


def _batch(condensed: Condensed, dataset: Dataset, device: torch.device) -> Batch:
    if condensed.images is not None:
        images = condensed.images.to(device)
        return lambda positions: images[positions]
    pixels = dataset.train_images[condensed.indices].to(device)
    return lambda positions: dataset.preprocess(pixels[positions])
