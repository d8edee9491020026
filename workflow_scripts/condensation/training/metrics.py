"""Metrics of trained networks on the real test images."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from condensation.core import compute
from condensation.data.datasets import Dataset

_BATCH = 500
_BINS = 15  # of equal width, for the calibration error
NAMES = ("accuracy", "accuracy_of_halves", "loss", "calibration_error", "per_class")


@torch.inference_mode()
def measure(
    forward: Callable[[torch.Tensor], torch.Tensor],
    count: int,
    dataset: Dataset,
    device: torch.device,
    at_once: int | None = None,
) -> list[dict[str, Any]]:
    """Return the metrics of several networks on all test images of a dataset.

    Parameters
    ----------
    forward : images float32 [count, n, C, H, W] -> logits [count, n, classes].
    count : number of networks.
    dataset : gives the test images, uint8, and their labels.
    at_once : most images of a network in one pass.

    Returns
    -------
    A row per network:

    ``status``
        ``ok``, or ``diverged`` where the loss is not finite; all other metrics are then None.
    ``accuracy``
        In percent.
    ``accuracy_of_halves``
        In percent, on the odd and on the even test images of each class, so that a choice made on
        one half can be tested on the other.
    ``loss``
        Mean cross-entropy.
    ``calibration_error``
        Expected calibration error over 15 bins of confidence, in percentage points
        (Guo et al., 2017, arXiv:1706.04599).
    ``per_class``
        Class name -> accuracy in percent, None for a class without test images.
    """
    classes = len(dataset.classes)
    # a column per class and half of the test images
    correct = torch.zeros(count, 2 * classes, dtype=torch.int64, device=device)
    columns = 2 * dataset.test_labels + _halves(dataset.test_labels)
    loss = torch.zeros(count, dtype=torch.float64, device=device)
    bins = torch.zeros(2, count, _BINS, dtype=torch.float64, device=device)  # correct, confidence
    size = compute.part_size(len(dataset.test_labels), min(at_once or _BATCH, _BATCH))
    for images, labels, column in zip(
        *(part.split(size) for part in (dataset.test_images, dataset.test_labels, columns)),
        strict=True,
    ):
        shown, labels = dataset.preprocess(images.to(device)), labels.to(device)
        logits = forward(shown.expand(count, *shown.shape))
        targets = labels.expand(count, -1)
        loss += F.cross_entropy(logits.mT, targets, reduction="none").double().sum(1)
        hits = logits.argmax(2) == targets
        correct.index_add_(1, column.to(device), hits.long())
        confidence = logits.softmax(2).amax(2)
        bin_index = ((confidence * _BINS).ceil() - 1).nan_to_num(0).long().clamp(0, _BINS - 1)
        for total, values in zip(bins, (hits, confidence), strict=True):
            total.scatter_add_(1, bin_index, values.double())
    sizes = torch.bincount(columns, minlength=2 * classes).view(classes, 2)
    images = len(dataset.test_labels)
    gaps = (bins[0] - bins[1]).abs().sum(1) / images
    return [
        _row(dataset.classes, sizes, *totals)
        for totals in zip(
            correct.view(count, classes, 2), loss.tolist(), gaps.tolist(), strict=True
        )
    ]


def _halves(labels: torch.Tensor) -> torch.Tensor:
    """Return 0 for the first, third, ... image of each class and 1 for the others."""
    order = labels.argsort(stable=True)
    sizes = torch.bincount(labels)
    rank = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    return torch.empty_like(labels).scatter_(0, order, rank % 2)


def _row(
    names: tuple[str, ...], sizes: torch.Tensor, correct: torch.Tensor, loss: float, gap: float
) -> dict[str, Any]:
    if not math.isfinite(loss):  # accuracy is meaningless for NaN logits
        return failed("diverged")
    images = int(sizes.sum())
    return {
        "status": "ok",
        "accuracy": 100.0 * int(correct.sum()) / images,
        "accuracy_of_halves": _shares(correct.sum(0), sizes.sum(0)),
        "loss": loss / images,
        "calibration_error": 100.0 * gap,
        "per_class": dict(zip(names, _shares(correct.sum(1), sizes.sum(1)), strict=True)),
    }


def _shares(correct: torch.Tensor, sizes: torch.Tensor) -> list[float | None]:
    """Return percentages; None where a size is 0."""
    pairs = zip(correct.tolist(), sizes.tolist(), strict=True)
    return [100.0 * r / n if n else None for r, n in pairs]


def failed(status: str) -> dict[str, Any]:
    """Return the metrics of a network without a result; ``status`` is ``oom`` or ``diverged``."""
    return {"status": status} | dict.fromkeys(NAMES)
