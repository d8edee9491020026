"""How well trained networks do on the real test images."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from condensation import compute
from condensation.datasets import Dataset

_BATCH = 500
_BINS = 15  # of equal width, for the calibration error (Guo et al., 2017)
NAMES = ("accuracy", "loss", "calibration_error", "per_class")


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
    the loss is no number; ``accuracy`` in percent; ``loss``, the mean
    cross-entropy; ``calibration_error``, the mean difference between confidence
    and accuracy over bins of confidence, in percentage points; ``per_class``,
    class name to accuracy in percent, None for a class without test images.
    """
    classes = len(dataset.classes)
    right = torch.zeros(count, classes, dtype=torch.int64, device=device)
    loss = torch.zeros(count, dtype=torch.float64, device=device)
    bins = torch.zeros(2, count, _BINS, dtype=torch.float64, device=device)  # right, confidence
    size = compute.part_size(len(dataset.test_labels), min(at_once or _BATCH, _BATCH))
    for images, labels in zip(
        dataset.test_images.split(size), dataset.test_labels.split(size), strict=True
    ):
        shown, labels = dataset.preprocess(images.to(device)), labels.to(device)
        logits = forward(shown.expand(count, *shown.shape))
        every = labels.expand(count, -1)
        loss += F.cross_entropy(logits.mT, every, reduction="none").double().sum(1)
        hits = logits.argmax(2) == every
        right.index_add_(1, labels, hits.long())
        confidence = logits.softmax(2).amax(2)
        which = ((confidence * _BINS).ceil() - 1).nan_to_num(0).long().clamp(0, _BINS - 1)
        for total, values in zip(bins, (hits, confidence), strict=True):
            total.scatter_add_(1, which, values.double())
    sizes = torch.bincount(dataset.test_labels, minlength=classes).tolist()
    images = len(dataset.test_labels)
    gaps = (bins[0] - bins[1]).abs().sum(1) / images
    return [
        _row(dataset.classes, sizes, *one)
        for one in zip(right.tolist(), loss.tolist(), gaps.tolist(), strict=True)
    ]


def _row(
    names: tuple[str, ...], sizes: list[int], right: list[int], loss: float, gap: float
) -> dict[str, Any]:
    if not math.isfinite(loss):  # the accuracy of NaN logits says nothing
        return nothing("diverged")
    shares = [100.0 * r / n if n else None for r, n in zip(right, sizes, strict=True)]
    return {
        "status": "ok",
        "accuracy": 100.0 * sum(right) / sum(sizes),
        "loss": loss / sum(sizes),
        "calibration_error": 100.0 * gap,
        "per_class": dict(zip(names, shares, strict=True)),
    }


def nothing(status: str) -> dict[str, Any]:
    """Return the row of a network that gave no result: ``oom`` or ``diverged``."""
    return {"status": status} | dict.fromkeys(NAMES)
