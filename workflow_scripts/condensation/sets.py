"""Condensed sets on disk: one self-describing file each."""

from pathlib import Path
from typing import Any

import torch

from condensation import storage
from condensation.contract import Condensed, check_labels, content_digest
from condensation.datasets import Dataset
from condensation.errors import InputError

KIND = "condensed set"


def write(condensed: Condensed, dataset: Dataset, path: str | Path, **facts: Any) -> None:
    """Write a condensed set; ``facts`` (method, options, seed, ...) go into its metadata."""
    tensors = {"images": condensed.images, "labels": condensed.labels}
    tensors["indices"] = condensed.indices
    metadata = {
        "kind": KIND,
        "dataset": dataset.name,
        "classes": list(dataset.classes),
        "shape": list(dataset.shape),
        "preprocessing": dataset.preprocessing,
        "step_size": condensed.step_size,
        "content": content_digest(condensed),
        **facts,
    }
    present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    storage.write_tensors(path, present, metadata)


def load(path: str | Path, dataset: Dataset) -> tuple[Condensed, dict[str, Any]]:
    """Return the condensed set at ``path`` and its metadata.

    Raises InputError if the file is damaged, or if its classes, image shape or
    preprocessing are not those of ``dataset``.
    """
    tensors, metadata = storage.read_tensors(path)
    if metadata.get("kind") != KIND:
        raise InputError(f"{path}: holds a {metadata.get('kind')}, not a condensed set")
    if metadata["classes"] != list(dataset.classes):
        raise InputError(
            f"{path}: was made for {len(metadata['classes'])} classes "
            f"({', '.join(metadata['classes'][:3])}, ...), not for those of {dataset.name}"
        )
    require_preprocessing(metadata["preprocessing"], dataset, str(path))
    images, labels = tensors.get("images"), tensors["labels"]
    if images is not None and tuple(images.shape[1:]) != dataset.shape:
        raise InputError(
            f"{path}: images of shape {tuple(images.shape[1:])}; {dataset.name} has {dataset.shape}"
        )
    check_labels(labels, len(labels), len(dataset.classes), str(path))
    indices = tensors.get("indices")
    if images is None:
        in_range = indices is not None and len(indices) and int(indices.min()) >= 0
        if not in_range or int(indices.max()) >= len(dataset.train_labels):
            raise InputError(f"{path}: refers to images that {dataset.name} does not have")
    return Condensed(images, labels, indices, metadata["step_size"]), metadata


def require_preprocessing(found: dict[str, Any], dataset: Dataset, where: str) -> None:
    """Raise InputError unless ``found`` is the preprocessing of ``dataset``."""
    wanted = dataset.preprocessing
    same = found.get("kind") == wanted["kind"] and all(
        len(found[key]) == len(wanted[key])
        and torch.allclose(torch.tensor(found[key]), torch.tensor(wanted[key]), atol=1e-4)
        for key in ("mean", "std")
    )
    if not same:
        raise InputError(
            f"{where}: its images were made with {found}, but {dataset.name} is prepared with "
            f"{wanted}: trained on the one and tested on the other, the numbers would be wrong"
        )
