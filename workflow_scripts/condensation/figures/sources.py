"""Condensed sets for figures, each with the dataset in the preprocessing of its method."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from condensation.core import storage
from condensation.core.errors import InputError
from condensation.data import set_measures, sets, whitening
from condensation.data.datasets import Dataset
from condensation.data.sets import Condensed

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


def condensed_sets(
    views: dict[str, Dataset], paths: Iterable[str | Path]
) -> Iterator[tuple[str, Dataset, Condensed]]:
    """Yield the method, its view of the dataset and the set, for each set.

    ``views`` are those of ``dataset_views``. Skips failed sets and sets of other datasets.
    """
    standard = views["standardize"]
    for path in paths:
        if storage.read_metadata(path)["dataset"] != standard.name:
            continue
        view = views[preprocessing_kind(path)]
        condensed, metadata = sets.load(path, view)
        if condensed is not None:
            yield metadata["method"], view, condensed


def first_images(view: Dataset, condensed: Condensed) -> torch.Tensor:
    """Return the first images of the first classes of a set, at most ``SHOWN`` of each.

    They are uint8 [classes, per class, C, H, W], white where soft labels give a class fewer images.
    """
    assert condensed.images is not None
    places = _first(view, condensed, SHOWN)
    shown = view.to_pixels(condensed.images[places.flatten()]).view(*places.shape, *view.shape)
    shown[places < 0] = 255
    return shown


def _first(view: Dataset, condensed: Condensed, most: int) -> torch.Tensor:
    """Return positions in a set, int64 [classes, per class], -1 where a class has fewer images."""
    per_class = min(most, len(condensed.labels) // len(view.classes))
    rows = set_measures.by_class(condensed.labels, len(view.classes))[:most]
    return torch.stack([F.pad(row, (0, per_class - len(row)), value=-1) for row in rows])


def beside_nearest(
    view: Dataset, condensed: Condensed, positions: Sequence[int], ipc: int
) -> torch.Tensor:
    """Return the first images of the first classes, each followed by its nearest real image.

    At most ``PAIRS`` images of ``PAIRS`` classes.

    Parameters
    ----------
    view, condensed : as ``condensed_sets`` yields them, the set ``formed``.
    positions : of the nearest training image of each image, in the order of the set.
    ipc : images per class that the set stores, so that all sets take as much room.

    Returns
    -------
    uint8 [classes, 2 * images per class, C, H, W]
    """
    images = first_images(view, condensed)[:PAIRS, : min(PAIRS, ipc)]
    places = _first(view, condensed, PAIRS)[:, : images.shape[1]]
    nearest = view.train_images[torch.tensor(positions)[places]]
    nearest[places < 0] = 255
    return torch.stack([images, nearest], dim=2).flatten(1, 2)


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
    for method, view, condensed in condensed_sets(views, paths):
        formed = condensed.formed()
        assert formed.images is not None
        images = formed.images[set_measures.by_class(formed.labels, len(view.classes))[label]]
        if not len(images):  # soft labels give this class none
            continue
        kind = view.preprocessing["kind"]
        _, methods = inputs.setdefault(kind, (view.preprocess(real), {}))
        methods[method] = images
    return inputs
