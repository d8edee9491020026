"""What a condensed set is like beside the real images: ``data.distances``, class by class.

The points are uint8 pixels, standardised with the constants of the dataset: every dataset has
them, and no network decides what is alike. Whitened sets are inverted to pixels first. The real
images go the same way there and back, because the inverse of ``zca_kip`` loses brightness and
contrast.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from condensation.core import storage
from condensation.core.errors import InputError
from condensation.data import distances, sets
from condensation.data.datasets import Dataset
from condensation.data.distances import Neighbours
from condensation.data.sets import Condensed

KIND = "neighbours of real images"
_MEASURES = ("diversity", "representativeness", "density", "coverage", "close", "nearest")
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def by_class(labels: torch.Tensor, classes: int) -> list[torch.Tensor]:
    """Return for each class the positions of its images in a set; soft labels count by the largest.

    Examples
    --------
    >>> soft = torch.tensor([[0.2, 0.8, 0.0], [0.9, 0.0, 0.1], [0.4, 0.6, 0.0]])
    >>> [places.tolist() for places in by_class(soft, 3)]
    [[1], [0, 2], []]
    """
    hard = labels.argmax(1) if labels.dim() == 2 else labels
    return [(hard == label).nonzero().flatten() for label in range(classes)]


def real_points(dataset: Dataset, indices: torch.Tensor) -> torch.Tensor:
    """Return training images as points, float64 [n, C * H * W].

    ``dataset`` has the whitening of the sets that are compared with them, if any.
    """
    pixels = dataset.train_images[indices]
    if dataset.whitening is not None:
        pixels = dataset.to_pixels(dataset.preprocess(pixels))
    return _points(dataset, pixels)


def _points(dataset: Dataset, pixels: torch.Tensor) -> torch.Tensor:
    return dataset.standardize(pixels).flatten(1).double()


def write_neighbours(dataset: Dataset, path: str | Path, **facts: Any) -> None:
    """Write the neighbours of all training images within their class: rule find_neighbours."""
    count = len(dataset.train_labels)
    tensors = {name: torch.empty(count, dtype=torch.float64) for name in ("nearest", "radius")}
    for indices in dataset.indices_by_class():
        around = distances.neighbours(real_points(dataset, indices))
        for name, values in tensors.items():
            values[indices] = getattr(around, name)
    metadata = {"kind": KIND, "dataset": dataset.name, "preprocessing": dataset.preprocessing}
    storage.write_tensors(path, tensors, metadata | {"k": distances.K} | facts)


def load_neighbours(path: str | Path, dataset: Dataset) -> Neighbours:
    """Return what ``write_neighbours`` wrote.

    Raises
    ------
    InputError
        If the file is damaged or holds something else, or for another number of images or
        preprocessing than those of ``dataset``.
    """
    tensors, metadata = storage.read_tensors(path)
    if metadata.get("kind") != KIND:
        raise InputError(f"{path}: holds a {metadata.get('kind')}, not {KIND}")
    sets.require_preprocessing(metadata["preprocessing"], dataset, str(path))
    if len(tensors["nearest"]) != len(dataset.train_labels):
        raise InputError(
            f"{path}: has {len(tensors['nearest'])} images, but {dataset.name} has "
            f"{len(dataset.train_labels)} training images"
        )
    return Neighbours(tensors["nearest"], tensors["radius"])


def measure(condensed: Condensed, dataset: Dataset, around: Neighbours) -> dict[str, Any]:
    """Return the measures of a set as plain JSON.

    ``classes`` has a row per class: ``diversity``, ``representativeness``, ``density``,
    ``coverage``, ``close`` (``distances.close_share``), ``nearest`` (the median distance of its
    images to their nearest real image) and ``real_nearest`` (quantiles of the same distance
    between real images). A value is None where too few images define it. ``nearest`` has, for
    each image of the set, the position in the training set of the nearest real image of its class,
    and the distance.

    Parameters
    ----------
    condensed : a set with images.
    dataset : with the preprocessing of the set.
    around : the neighbours of its training images.
    """
    assert condensed.images is not None
    points = _points(dataset, dataset.to_pixels(condensed.images))
    rows = []
    positions = torch.empty(len(points), dtype=torch.int64)
    to_real = torch.empty(len(points), dtype=torch.float64)
    for name, places, indices in zip(
        dataset.classes,
        by_class(condensed.labels, len(dataset.classes)),
        dataset.indices_by_class(),
        strict=True,
    ):
        local = Neighbours(around.nearest[indices], around.radius[indices])
        row: dict[str, Any] = {"class": name, **dict.fromkeys(_MEASURES)}
        if len(places):
            images, real = points[places], real_points(dataset, indices)
            nearest, lengths = distances.nearest(images, real)
            density, coverage = distances.density_and_coverage(images, real, local)
            row |= {
                "diversity": distances.diversity(images),
                "representativeness": distances.representativeness(images, real),
                "density": density,
                "coverage": coverage,
                "close": distances.close_share(lengths, local),
                "nearest": float(lengths.quantile(0.5)),
            }
            positions[places], to_real[places] = indices[nearest], lengths
        rows.append(row | {"real_nearest": _quantiles(local.nearest)})
    return {
        "images": "real" if condensed.indices is not None else "learned",
        "points": "standardised pixels",
        "k": distances.K,
        "close_rule": f"at most {distances.CLOSE:g} times the median distance of a real image to "
        "the nearest other real image of its class",
        "classes": rows,
        "nearest": {"positions": positions.tolist(), "distances": to_real.tolist()},
    }


def _quantiles(values: torch.Tensor) -> Mapping[str, float] | None:
    """Return quantiles by their share; None where there is no other image."""
    if len(values) < 2:
        return None
    levels = torch.tensor(QUANTILES, dtype=values.dtype)
    quantiles = values.quantile(levels).tolist()
    return {f"{level:g}": value for level, value in zip(QUANTILES, quantiles, strict=True)}
