"""Parts of the training images: what is held out to validate on, and random subsets."""

from collections.abc import Sequence

import torch

from condensation.core import randomness
from condensation.core.errors import InputError
from condensation.data.datasets import Dataset


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the positions of the training images that are kept, and of those held out.

    ``share`` of every class is held out, drawn by ``seed``; both are int64, ascending.

    Raises InputError if a class would have no image to train or none to validate on.
    """
    return stratified(
        *(dataset.train_labels, dataset.classes, share),
        randomness.generator(seed, "held out"),
        f"{dataset.name}: a validation share of {share}",
    )


def stratified(
    labels: torch.Tensor,
    classes: Sequence[str],
    share: float,
    draw: torch.Generator,
    where: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the positions that are kept, and of ``share`` of every class; int64, ascending.

    ``labels`` are int64, N. Raises InputError, which begins with ``where``, if a class would have
    none of either.
    """
    kept, held = [], []
    for label, name in enumerate(classes):
        positions = (labels == label).nonzero().flatten()
        count = round(share * len(positions))
        if not 0 < count < len(positions):
            part = "to validate on" if count == 0 else "to train on"
            raise InputError(
                f"{where} leaves class {name!r}, of {len(positions)} training images, none {part}"
            )
        order = positions[torch.randperm(len(positions), generator=draw)]
        held.append(order[:count])
        kept.append(order[count:])
    return torch.cat(kept).sort().values, torch.cat(held).sort().values


def subset(
    dataset: Dataset, positions: torch.Tensor, count: int, seed: int, purpose: str
) -> torch.Tensor:
    """Return ``count`` of ``positions``, equally many of every class; int64, ascending.

    Raises InputError if ``count`` is no multiple of the number of classes, or
    more than a class has.
    """
    classes = len(dataset.classes)
    if count % classes:
        raise InputError(
            f"{dataset.name}: {count} images ({purpose}) are not equally many for each of "
            f"{classes} classes; take a multiple of {classes}"
        )
    draw = randomness.generator(seed, purpose)
    labels = dataset.train_labels[positions]
    chosen = []
    for label, name in enumerate(dataset.classes):
        of_class = positions[labels == label]
        if len(of_class) < count // classes:
            raise InputError(
                f"{dataset.name}: {count} images ({purpose}) are {count // classes} of each class, "
                f"and of class {name!r} there are {len(of_class)}"
            )
        chosen.append(of_class[torch.randperm(len(of_class), generator=draw)[: count // classes]])
    return torch.cat(chosen).sort().values
