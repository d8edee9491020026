"""Condensed sets for pictures: each with the dataset as its method saw it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from condensation.core import storage
from condensation.core.errors import InputError
from condensation.data import sets, whitening
from condensation.data.datasets import Dataset

SHOWN = 10  # classes, and images per class, of a picture


def views(dataset: Dataset, whitenings: Iterable[str | Path]) -> dict[str, Dataset]:
    """Return the dataset by kind of preprocessing: standardised, and as each whitening has it.

    Whitenings of other datasets are passed over.
    """
    found = {"standardize": dataset}
    for path in whitenings:
        if storage.read_metadata(path)["dataset"] == dataset.name:
            loaded = whitening.load(path)
            found[loaded.kind] = replace(dataset, whitening=loaded)
    return found


def kind_of(path: str | Path) -> str:
    """Return the kind of preprocessing that a file was made with; of a failed set the usual one."""
    return storage.read_metadata(path).get("preprocessing", {}).get("kind", "standardize")


def condensed(
    own: dict[str, Dataset], paths: Iterable[str | Path]
) -> Iterator[tuple[str, Dataset, torch.Tensor]]:
    """Yield method, dataset as it saw it, and network input [classes, IPC, C, H, W] of each set.

    ``own`` is what ``views`` returned; sets of other datasets, and those whose
    method failed, are passed over.
    """
    usual = own["standardize"]
    for path in paths:
        if storage.read_metadata(path)["dataset"] != usual.name:
            continue
        seen = own[kind_of(path)]
        one, about = sets.load(path, seen)
        if one is not None:
            images = one.images.view(len(usual.classes), about["ipc"], *usual.shape)
            yield about["method"], seen, images


def first(seen: Dataset, images: torch.Tensor) -> torch.Tensor:
    """Return the first images of the first classes of a set that ``condensed`` gave.

    uint8 [classes, per class, C, H, W], of either at most ``SHOWN``.
    """
    some = images[:SHOWN, :SHOWN]
    return seen.to_pixels(some.flatten(0, 1)).view(*some.shape)


def inputs_of_class(
    own: dict[str, Dataset], label: int, paths: Iterable[str | Path]
) -> dict[str, tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Return, by kind of preprocessing, network input of one class: real, and of each method.

    ``own`` is what ``views`` returned, ``paths`` are condensed sets; each is
    float32 [n, C, H, W]. Raises InputError for a class that there is not.
    """
    usual = own["standardize"]
    if label >= len(usual.classes):
        raise InputError(
            f"figure7.label: {label}, but {usual.name} has the classes 0 to "
            f"{len(usual.classes) - 1}"
        )
    real = usual.train_images[usual.train_labels == label]
    found: dict[str, tuple[torch.Tensor, dict[str, torch.Tensor]]] = {}
    for method, seen, images in condensed(own, paths):
        kind = seen.preprocessing["kind"]
        _, methods = found.setdefault(kind, (seen.preprocess(real), {}))
        methods[method] = images[label]
    return found
