"""Parts of the training images: a held-out validation part, and random subsets."""

from collections.abc import Callable, Sequence

import torch

from condensation.core import randomness
from condensation.core.errors import InputError
from condensation.data.datasets import Dataset


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Split the training images into a part to train on and a part to validate on.

    Parameters
    ----------
    share : share of each class to hold out, between 0 and 1.
    seed : decides which images are held out.

    Returns
    -------
    kept, held : positions in the training set, int64, ascending.

    Raises
    ------
    InputError
        If a class would have no image in one of the parts.
    """
    return stratified(
        *(dataset.train_labels, dataset.classes, lambda number: round(share * number)),
        randomness.generator(seed, "held out"),
        f"{dataset.name}: a validation share of {share}",
    )


def stratified(
    labels: torch.Tensor,
    classes: Sequence[str],
    held_out: Callable[[int], int],
    draw: torch.Generator,
    where: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Split positions at random, class by class.

    Parameters
    ----------
    labels : int64 [n].
    classes : class names; the label is the position.
    held_out : how many of a number of images to hold out.
    draw : decides which images are held out.
    where : the beginning of the error message.

    Returns
    -------
    kept, held : int64 positions, ascending.

    Raises
    ------
    InputError
        If a class would have no image in one of the parts.

    Examples
    --------
    >>> import torch
    >>> labels = torch.tensor([0, 0, 0, 0, 1, 1])
    >>> draw = torch.Generator().manual_seed(0)
    >>> kept, held = stratified(labels, ["a", "b"], lambda number: number // 2, draw, "made up")
    >>> labels[held].tolist()
    [0, 0, 1]
    """
    kept, held = [], []
    for label, name in enumerate(classes):
        positions = (labels == label).nonzero().flatten()
        count = held_out(len(positions))
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
    """Return ``count`` of ``positions`` at random, as many of each class; int64, ascending.

    Raises
    ------
    InputError
        If ``count`` is not a multiple of the number of classes, or a class has too few images.
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
