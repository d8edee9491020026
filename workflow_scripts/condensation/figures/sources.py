"""Condensed sets for figures, each with the dataset in the preprocessing of its method."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from condensation.core import storage
from condensation.core.errors import InputError
from condensation.data import sets, whitening
from condensation.data.datasets import Dataset

SHOWN = 10  # classes, and images per class, of a picture
PAIRS = 3  # classes, and images per class, of a picture of nearest real images


def dataset_views(dataset: Dataset, whitenings: Iterable[str | Path]) -> dict[str, Dataset]:
    """Return the dataset by kind of preprocessing: standardised, and with each whitening.

    Skips whitenings of other datasets.
    """
    views = {"standardize": dataset}
    for path in whitenings:
        if storage.read_metadata(path)["dataset"] == dataset.name:
            loaded = whitening.load(path)
            views[loaded.kind] = replace(dataset, whitening=loaded)
    return views


def preprocessing_kind(path: str | Path) -> str:
    """Return the kind of preprocessing of a file; ``standardize`` for a failed set."""
    return storage.read_metadata(path).get("preprocessing", {}).get("kind", "standardize")


def condensed_images(
    views: dict[str, Dataset], paths: Iterable[str | Path], formed: bool = False
) -> Iterator[tuple[str, Dataset, torch.Tensor]]:
    """Yield the method, its view of the dataset and its images, for each set.

    The images are network input [classes, n, C, H, W], those that are stored or, if ``formed``,
    those that networks are trained on. ``views`` are those of ``dataset_views``. Skips failed sets
    and sets of other datasets.
    """
    standard = views["standardize"]
    for path in paths:
        if storage.read_metadata(path)["dataset"] != standard.name:
            continue
        view = views[preprocessing_kind(path)]
        condensed, metadata = sets.load(path, view)
        if condensed is not None:
            images = (condensed.formed() if formed else condensed).images
            shape = len(standard.classes), -1, *standard.shape
            yield metadata["method"], view, images.view(shape)


def first_images(view: Dataset, images: torch.Tensor) -> torch.Tensor:
    """Return the first images of the first classes of a set, at most ``SHOWN`` of each.

    Takes a view and images of ``condensed_images``; returns uint8 [classes, per class, C, H, W].
    """
    first = images[:SHOWN, :SHOWN]
    return view.to_pixels(first.flatten(0, 1)).view(*first.shape)


def beside_nearest(view: Dataset, images: torch.Tensor, positions: Sequence[int]) -> torch.Tensor:
    """Return the first images of the first classes, each followed by its nearest real image.

    At most ``PAIRS`` images of ``PAIRS`` classes.

    Parameters
    ----------
    view, images : as ``condensed_images`` yields them; of each class the first images, or all.
    positions : of the nearest training image of each image, in the order of the set.

    Returns
    -------
    uint8 [classes, 2 * images per class, C, H, W]
    """
    first = images[:PAIRS, :PAIRS]
    nearest = torch.tensor(positions).view(len(images), -1)[:PAIRS, : first.shape[1]]
    condensed = view.to_pixels(first.flatten(0, 1)).view(*first.shape)
    pairs = torch.stack([condensed, view.train_images[nearest]], dim=2)
    return pairs.flatten(1, 2)


def inputs_of_class(
    views: dict[str, Dataset], label: int, paths: Iterable[str | Path]
) -> dict[str, tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Return, by kind of preprocessing, the images of a class: real, and condensed by method.

    ``views`` are those of ``dataset_views``, ``paths`` are condensed sets; the
    images are network input, float32 [n, C, H, W]. Raises InputError for an
    unknown class.
    """
    standard = views["standardize"]
    if label >= len(standard.classes):
        raise InputError(
            f"figure7.label: {label}, but {standard.name} has the classes 0 to "
            f"{len(standard.classes) - 1}"
        )
    real = standard.train_images[standard.train_labels == label]
    inputs: dict[str, tuple[torch.Tensor, dict[str, torch.Tensor]]] = {}
    for method, view, images in condensed_images(views, paths, formed=True):
        kind = view.preprocessing["kind"]
        _, methods = inputs.setdefault(kind, (view.preprocess(real), {}))
        methods[method] = images[label]
    return inputs
