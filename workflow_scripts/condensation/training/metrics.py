"""How well trained networks do on the real test images."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from condensation.core import compute
from condensation.data.datasets import Dataset

_BATCH = 500
_BINS = 15  # of equal width, for the calibration error (Guo et al., 2017)
NAMES = ("accuracy", "accuracy_of_halves", "loss", "calibration_error", "per_class")


@torch.inference_mode()
def judge(
    forward: Callable[[torch.Tensor], torch.Tensor],
    count: int,
    dataset: Dataset,
    device: torch.device,
    at_once: int | None = None,
) -> list[dict[str, Any]]:
    """Return the metrics of ``count`` networks on all test images of ``dataset``.

    ``forward`` takes images [count, n, C, H, W] to logits [count, n, classes], at most ``at_once``
    of them.
    A row holds ``status``, which is ``diverged`` (and the others None) where
    the loss is no number; ``accuracy`` in percent; ``accuracy_of_halves``,
    that on every class's odd and even test images, so that a choice made on
    the one can be judged on the other; ``loss``, the mean cross-entropy;
    ``calibration_error``, the mean difference between confidence and accuracy
    over bins of confidence, in percentage points; ``per_class``, class name to
    accuracy in percent, None for a class without test images.
    """
    classes = len(dataset.classes)
    # a column per class and half
    right = torch.zeros(count, 2 * classes, dtype=torch.int64, device=device)
    columns = 2 * dataset.test_labels + _halves(dataset.test_labels)
    loss = torch.zeros(count, dtype=torch.float64, device=device)
    bins = torch.zeros(2, count, _BINS, dtype=torch.float64, device=device)  # right, confidence
    size = compute.part_size(len(dataset.test_labels), min(at_once or _BATCH, _BATCH))
    for images, labels, column in zip(
        *(part.split(size) for part in (dataset.test_images, dataset.test_labels, columns)),
        strict=True,
    ):
        shown, labels = dataset.preprocess(images.to(device)), labels.to(device)
        logits = forward(shown.expand(count, *shown.shape))
        every = labels.expand(count, -1)
        loss += F.cross_entropy(logits.mT, every, reduction="none").double().sum(1)
        hits = logits.argmax(2) == every
        right.index_add_(1, column.to(device), hits.long())
        confidence = logits.softmax(2).amax(2)
        which = ((confidence * _BINS).ceil() - 1).nan_to_num(0).long().clamp(0, _BINS - 1)
        for total, values in zip(bins, (hits, confidence), strict=True):
            total.scatter_add_(1, which, values.double())
    sizes = torch.bincount(columns, minlength=2 * classes).view(classes, 2)
    images = len(dataset.test_labels)
    gaps = (bins[0] - bins[1]).abs().sum(1) / images
    return [
        _row(dataset.classes, sizes, *one)
        for one in zip(right.view(count, classes, 2), loss.tolist(), gaps.tolist(), strict=True)
    ]


def _halves(labels: torch.Tensor) -> torch.Tensor:
    """Return 0 for the first, third, ... image of each class and 1 for the others."""
    order = labels.argsort(stable=True)
    sizes = torch.bincount(labels)
    place = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    return torch.empty_like(labels).scatter_(0, order, place % 2)


def _row(
    names: tuple[str, ...], sizes: torch.Tensor, right: torch.Tensor, loss: float, gap: float
) -> dict[str, Any]:
    if not math.isfinite(loss):  # the accuracy of NaN logits says nothing
        return nothing("diverged")
    images = int(sizes.sum())
    return {
        "status": "ok",
        "accuracy": 100.0 * int(right.sum()) / images,
        "accuracy_of_halves": _shares(right.sum(0), sizes.sum(0)),
        "loss": loss / images,
        "calibration_error": 100.0 * gap,
        "per_class": dict(zip(names, _shares(right.sum(1), sizes.sum(1)), strict=True)),
    }


def _shares(right: torch.Tensor, sizes: torch.Tensor) -> list[float | None]:
    """Return percentages; None where there is nothing to take them of."""
    pairs = zip(right.tolist(), sizes.tolist(), strict=True)
    return [100.0 * r / n if n else None for r, n in pairs]


def nothing(status: str) -> dict[str, Any]:
    """Return the row of a network that gave no result: ``oom`` or ``diverged``."""
    return {"status": status} | dict.fromkeys(NAMES)
