"""Condensed sets in memory, and on disk as one file each with its metadata."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from condensation.core import factors, storage
from condensation.core.errors import InputError
from condensation.data import formation
from condensation.data.datasets import Dataset

KIND = "condensed set"
_AT_ONCE = 1000  # images that are compared at a time
_SAME = 1e-3  # tolerance between a selected image in the set and in the dataset: other devices


@dataclass(frozen=True)
class Condensed:
    """A condensed set.

    Attributes
    ----------
    images : float32 [n, C, H, W], network input; None for selected real images, which are read
        from the dataset by ``indices``.
    labels : int64 [n], or float32 [n, classes] for soft labels.
    indices : int64 [n], positions in the training set, for selected real images.
    step_size : the learned learning rate, for methods that learn one.
    factor : each image holds factor^2 training images (``data.formation``).
    """

    images: torch.Tensor | None
    labels: torch.Tensor
    indices: torch.Tensor | None = None
    step_size: float | None = None
    factor: int = 1

    def formed(self) -> "Condensed":
        """Return the set with a training image per image, as networks are trained on it."""
        if self.images is None or self.factor == 1:
            return self
        return replace(
            self,
            images=formation.decode(self.images, self.factor),
            labels=self.labels.repeat_interleave(self.factor**2, dim=0),
            factor=1,
        )


def write(condensed: Condensed, dataset: Dataset, path: str | Path, **facts: Any) -> None:
    """Write a condensed set; its metadata includes ``facts`` (method, options, seed, ...)."""
    storage.write_tensors(path, tensors_of(condensed), metadata_of(condensed, dataset, **facts))


def tensors_of(condensed: Condensed) -> dict[str, torch.Tensor]:
    """Return the tensors of a set's file by name: images, labels and indices, where it has them."""
    names = ("images", "labels", "indices")
    tensors = {name: getattr(condensed, name) for name in names}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def metadata_of(condensed: Condensed, dataset: Dataset, **facts: Any) -> dict[str, Any]:
    """Return the metadata of a set's file, with ``facts`` (method, options, seed, ...)."""
    return {
        "kind": KIND,
        "dataset": dataset.name,
        "classes": list(dataset.classes),
        "shape": list(dataset.shape),
        "train_images": len(dataset.train_labels),
        "preprocessing": dataset.preprocessing,
        "step_size": condensed.step_size,
        "labels": "soft" if condensed.labels.dim() == 2 else "hard",
        "content": content_digest(condensed),
        "status": "ok",
        **({"factor": condensed.factor} if condensed.factor > 1 else {}),
        **facts,
    }


def write_failure(
    dataset: Dataset, path: str | Path, status: str, cause: str, iteration: int, **facts: Any
) -> None:
    """Write the file of a method that failed: no tensors, and the reason in the metadata.

    Parameters
    ----------
    status : ``oom`` or ``diverged``.
    cause : the error message.
    iteration : iterations done before the failure.
    facts : further metadata (method, options, seed, ...).
    """
    metadata = {
        "kind": KIND,
        "dataset": dataset.name,
        "classes": list(dataset.classes),
        "status": status,
        "cause": cause,
        "iteration": iteration,
        "content": status,
    }
    storage.write_tensors(path, {}, metadata | facts)


def load(path: str | Path, dataset: Dataset) -> tuple[Condensed | None, dict[str, Any]]:
    """Return the condensed set in a file, and its metadata.

    The set is None if its method failed; the metadata then has a ``status`` other than ``ok``.

    Raises
    ------
    InputError
        If the file is damaged or incomplete, or its classes, image shape or preprocessing differ
        from those of ``dataset``.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    >>> labels = torch.tensor([0, 1, 0, 1])
    >>> dataset = Dataset("made up", ("a", "b"), images, labels, images, labels, (0.5,), (0.25,))
    >>> condensed = Condensed(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(condensed, dataset, f"{folder}/set.safetensors", method="zeros", ipc=1)
    ...     loaded, metadata = load(f"{folder}/set.safetensors", dataset)
    ...     loaded.labels.tolist(), metadata["method"], metadata["labels"]
    ([0, 1], 'zeros', 'hard')
    """
    return of_tensors(*storage.read_tensors(path), dataset, path)


def of_tensors(
    tensors: Mapping[str, torch.Tensor],
    metadata: dict[str, Any],
    dataset: Dataset,
    path: str | Path,
) -> tuple[Condensed | None, dict[str, Any]]:
    """Return what ``load`` does, from the content of the file at ``path``."""
    check_file(tensors, metadata, path)
    if metadata["classes"] != list(dataset.classes):
        raise InputError(
            f"{path}: was made for {len(metadata['classes'])} classes "
            f"({', '.join(metadata['classes'][:3])}, ...), not for those of {dataset.name}"
        )
    if metadata.get("status", "ok") != "ok":
        return None, metadata
    require_preprocessing(metadata["preprocessing"], dataset, str(path))
    images, labels = images_of(tensors), tensors["labels"]
    if tuple(metadata["shape"]) != dataset.shape:
        raise InputError(
            f"{path}: images of shape {tuple(metadata['shape'])}; {dataset.name} has "
            f"{dataset.shape}"
        )
    rest = tensors.get("indices"), metadata.get("step_size"), metadata.get("factor", 1)
    condensed = Condensed(images, labels, *rest)
    if images is None and not is_at_positions(condensed, dataset):
        raise InputError(f"{path}: refers to images that {dataset.name} does not have")
    return condensed, metadata


def check_metadata(metadata: Mapping[str, Any], path: str | Path) -> None:
    """Raise InputError unless this is the metadata of a condensed set's file."""
    if metadata.get("kind") != KIND:
        raise InputError(f"{path}: holds a {metadata.get('kind')}, not a condensed set")
    storage.require(metadata, {"dataset": str, "classes": list, "content": str}, path)
    if not all(isinstance(name, str) for name in metadata["classes"]):
        raise InputError(f"{path}: its classes are {metadata['classes']}; expected names")
    if metadata.get("status", "ok") != "ok":
        return
    storage.require(metadata, {"shape": list, "preprocessing": dict}, path)
    shape, preprocessing = metadata["shape"], metadata["preprocessing"]
    if len(shape) != 3 or not all(type(side) is int and side > 0 for side in shape):
        raise InputError(f"{path}: its shape is {shape}; expected channels, height and width")
    if preprocessing.get("kind") == "standardize":
        storage.require(preprocessing, {"mean": list, "std": list}, path)
        values = preprocessing["mean"] + preprocessing["std"]
        if len(values) != 2 * shape[0] or not all(isinstance(x, (int, float)) for x in values):
            raise InputError(
                f"{path}: made with {preprocessing}; expected mean and std of {shape[0]} channels"
            )
    else:
        storage.require(preprocessing, {"kind": str, "digest": str}, path)
    step_size, factor = metadata.get("step_size"), metadata.get("factor", 1)
    if step_size is not None and not isinstance(step_size, (int, float)):
        raise InputError(f"{path}: its step_size is {step_size!r}; expected a number or null")
    if type(factor) is not int or factor < 1:
        raise InputError(f"{path}: its factor is {factor!r}; expected a whole number from 1")
    if problem := factors.problem(factor, tuple(shape)):
        raise InputError(f"{path}: {problem}")


def check_file(
    tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any], path: str | Path
) -> None:
    """Raise InputError unless tensors and metadata of a file make a condensed set."""
    check_metadata(metadata, path)
    if metadata.get("status", "ok") != "ok":
        return
    images, indices, labels = map(tensors.get, ("images", "indices", "labels"))
    if labels is None or not labels.dim() or (images is None and indices is None):
        raise InputError(
            f"{path}: holds {', '.join(sorted(tensors)) or 'nothing'}; expected `labels`, with "
            "`images` or `indices`"
        )
    count = len(labels)
    if images is not None:
        if images.dtype not in (torch.float32, torch.float16):
            raise InputError(f"{path}: holds {images.dtype} images; expected float32 or float16")
        expected = (count, *metadata["shape"])
        if not count or tuple(images.shape) != expected:
            raise InputError(
                f"{path}: images of shape {tuple(images.shape)}; expected {expected}, by its "
                "labels and its metadata"
            )
        if not torch.isfinite(images).all():
            raise InputError(f"{path}: holds NaN or infinite pixels")
    if indices is not None and (indices.dtype != torch.int64 or tuple(indices.shape) != (count,)):
        raise InputError(
            f"{path}: positions are {indices.dtype} of shape {tuple(indices.shape)}; expected "
            f"int64 of shape {(count,)}, one for each label"
        )
    check_labels(labels, count, len(metadata["classes"]), str(path))


def images_of(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    """Return the images of a set's file as float32; None if it has positions alone.

    Published sets hold them in half precision.
    """
    images = tensors.get("images")
    return None if images is None else images.float()


def is_at_positions(condensed: Condensed, dataset: Dataset) -> bool:
    """Return whether the images and hard labels of a set are those at its positions."""
    if not shows_positions(condensed, dataset):
        return False
    labels = condensed.labels
    return labels.dim() == 2 or torch.equal(dataset.train_labels[condensed.indices], labels)


def shows_positions(condensed: Condensed, dataset: Dataset) -> bool:
    """Return whether the images of a set are those at its positions, whatever its labels are."""
    positions, images = condensed.indices, condensed.images
    assert positions is not None
    if not len(positions) or positions.min() < 0 or positions.max() >= len(dataset.train_labels):
        return False
    return images is None or all(
        torch.allclose(dataset.preprocess(dataset.train_images[p]), x, rtol=_SAME, atol=_SAME)
        for p, x in zip(positions.split(_AT_ONCE), images.split(_AT_ONCE), strict=True)
    )


def is_in_training_set(images: torch.Tensor, dataset: Dataset) -> bool:
    """Return whether each image, network input [n, C, H, W], has the pixels of a training image."""
    known = {hash(image.numpy().tobytes()) for image in dataset.train_images}
    return all(hash(image.numpy().tobytes()) in known for image in dataset.to_pixels(images))


def by_position(
    condensed: Condensed, dataset: Dataset, device: torch.device
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function from positions in the set, int64 [n], to images as network input."""
    if condensed.images is not None:
        images = condensed.images.to(device)
        return lambda positions: images[positions]
    pixels = dataset.train_images[condensed.indices].to(device)
    return lambda positions: dataset.preprocess(pixels[positions])


def require_preprocessing(preprocessing: dict[str, Any], dataset: Dataset, where: str) -> None:
    """Raise InputError unless ``preprocessing`` is that of ``dataset``."""
    expected = dataset.preprocessing
    if expected["kind"] == "standardize":
        matches = preprocessing.get("kind") == "standardize" and _same_constants(
            preprocessing, expected
        )
    else:
        matches = preprocessing == expected
    if not matches:
        raise InputError(
            f"{where}: its images were made with {preprocessing}, but {dataset.name} is prepared "
            f"with {expected}; accuracies across the two would be wrong"
        )


def _same_constants(preprocessing: dict[str, Any], expected: dict[str, Any]) -> bool:
    return all(
        len(preprocessing[key]) == len(expected[key])
        and torch.allclose(torch.tensor(preprocessing[key]), torch.tensor(expected[key]), atol=1e-4)
        for key in ("mean", "std")
    )


def check_labels(labels: torch.Tensor, count: int, classes: int, where: str) -> None:
    """Raise InputError unless labels are int64 [count] in range, or float [count, classes]."""
    if labels.dim() == 2 and labels.is_floating_point():
        if tuple(labels.shape) != (count, classes) or not torch.isfinite(labels).all():
            raise InputError(
                f"{where}: soft labels of shape {tuple(labels.shape)}; expected finite numbers of "
                f"shape {(count, classes)}"
            )
    elif labels.dtype != torch.int64 or tuple(labels.shape) != (count,):
        raise InputError(
            f"{where}: labels are {labels.dtype} of shape {tuple(labels.shape)}; expected int64 of "
            f"shape {(count,)}, or float32 of shape {(count, classes)}"
        )
    elif count and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(
            f"{where}: labels from {int(labels.min())} to {int(labels.max())}; "
            f"the dataset has classes 0 to {classes - 1}"
        )


def content_digest(condensed: Condensed) -> str:
    """Return 16 hex digits that identify images (or positions), labels and factor."""
    digest = hashlib.sha256()
    for tensor in (condensed.images, condensed.labels, condensed.indices):
        if tensor is not None:
            plain = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8)
            digest.update(plain.numpy().data)
    if condensed.factor > 1:
        digest.update(f"factor {condensed.factor}".encode())
    return digest.hexdigest()[:16]
