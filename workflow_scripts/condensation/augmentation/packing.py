"""Draws of an augmentation in the form for a device: packed on a GPU, as they are on a CPU.

Packed draws are tensors on the CPU, which ``capture.to_device`` moves with other inputs of a step.
"""

from typing import Any

import torch

from condensation.core import capture


def static(augment: Any) -> bool:
    """Return whether all draws of ``augment`` launch the same operations once they are packed."""
    return hasattr(augment, "packed")


def for_device(augment: Any, drawn: Any, device: torch.device) -> Any:
    """Return a draw of ``augment`` in the form for ``device``."""
    return augment.packed(drawn) if _packs(augment, device) else drawn


def for_classes(augment: Any, draws: list[Any], device: torch.device) -> Any:
    """Return draws, one per class, in the form for ``device``: packed [classes, k], or a list."""
    return for_steps(augment, draws, [1] * len(draws), device)


def for_steps(augment: Any, draws: list[Any], sizes: list[int], device: torch.device) -> Any:
    """Return draws, one per step, in the form for ``device``: packed [sum of sizes, k], or a list.

    ``sizes`` are the images of each step; the draw of a step has a row for each, or one for all.
    """
    if not _packs(augment, device):
        return draws
    rows = [
        augment.packed(drawn).expand(size, -1) for drawn, size in zip(draws, sizes, strict=True)
    ]
    return torch.cat(rows)


def apply_to_steps(
    augment: Any, images: torch.Tensor, draws: Any, sizes: list[int]
) -> torch.Tensor:
    """Return ``images``, ``sizes`` of each step one after the other, with the draw of their step.

    ``draws`` are those of ``for_steps``.
    """
    if isinstance(draws, torch.Tensor):
        return augment.apply(images, draws)
    parts = zip(images.split(sizes), draws, strict=True)
    return torch.cat([augment.apply(part, drawn) for part, drawn in parts])


def apply_to_classes(
    augment: Any, images: torch.Tensor, draws: Any, counts: list[int]
) -> torch.Tensor:
    """Return ``images``, ``counts`` of each class in class order, with the draw of their class."""
    if isinstance(draws, torch.Tensor):
        rows = [draws[i : i + 1].expand(count, -1) for i, count in enumerate(counts)]
        draws = torch.cat(rows)
    return apply_to_steps(augment, images, draws, counts)


def _packs(augment: Any, device: torch.device) -> bool:
    return capture.pays(device) and static(augment)
