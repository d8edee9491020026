"""A prepared dataset: uint8 images and int64 labels in one memory-mapped file."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from condensation.core import storage
from condensation.core.errors import InputError
from condensation.data.pixels import as_uint8


@dataclass(frozen=True)
class Dataset:
    """Real images, and the constants that turn them into network input.

    Attributes
    ----------
    name : the name in the config.
    classes : class names; the label is the position.
    train_images, test_images : uint8 [n, C, H, W].
    train_labels, test_labels : int64 [n].
    mean, std : per channel, for pixels on [0, 1].
    flip : whether a mirrored image keeps its class.
    source : origin of the images (reader, archive checksums).
    report : counts of read, skipped and converted images (``condensation.data.reading_report``).
    files : split -> file name of each image, for images that were files.
    whitening : a ``condensation.data.whitening.Whitening`` that replaces standardisation, or None.

    Examples
    --------
    >>> import torch
    >>> images = torch.full((4, 1, 2, 2), 255, dtype=torch.uint8)
    >>> labels = torch.tensor([0, 1, 0, 1])
    >>> dataset = Dataset("made up", ("a", "b"), images, labels, images, labels, (0.5,), (0.25,))
    >>> dataset.shape
    (1, 2, 2)
    >>> dataset.preprocess(dataset.train_images[:1])  # (1 - 0.5) / 0.25
    tensor([[[[2., 2.],
              [2., 2.]]]])
    >>> [indices.tolist() for indices in dataset.indices_by_class()]
    [[0, 2], [1, 3]]
    """

    name: str
    classes: tuple[str, ...]
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool = True
    source: dict = field(default_factory=dict)
    report: dict = field(default_factory=dict)
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    whitening: Any = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.train_images.shape
        return channels, height, width

    @property
    def preprocessing(self) -> dict:
        """Description of the step from pixels to network input, as condensed sets store it."""
        if self.whitening is not None:
            return self.whitening.preprocessing()
        return {"kind": "standardize", "mean": list(self.mean), "std": list(self.std)}

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Return uint8 images [n, C, H, W] as network input: standardised or whitened float32."""
        if self.whitening is not None:
            return self.whitening.apply(images)
        return self.standardize(images)

    def standardize(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 ``(x / 255 - mean) / std`` per channel of uint8 images [n, C, H, W]."""
        mean, std = (_constant(values, images.device) for values in (self.mean, self.std))
        return images.to(torch.float32).div_(255).sub_(mean).div_(std)

    def unstandardize(self, images: torch.Tensor) -> torch.Tensor:
        """Return standardised images as pixels on [0, 1], not clipped."""
        mean, std = (_constant(values, images.device) for values in (self.mean, self.std))
        return images * std + mean

    def to_pixels(self, images: torch.Tensor) -> torch.Tensor:
        """Return network input as uint8 pixels, clipped to 0 .. 255."""
        invert = self.unstandardize if self.whitening is None else self.whitening.invert
        return as_uint8(invert(images))

    def indices_by_class(self) -> list[torch.Tensor]:
        """Return for each class the positions of its training images, int64, ascending."""
        order = torch.argsort(self.train_labels, stable=True)
        counts = torch.bincount(self.train_labels, minlength=len(self.classes))
        return list(order.split(counts.tolist()))


@functools.cache
def _constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return a value per channel, copied to the device once rather than at each step."""
    with torch.inference_mode(False):  # tensors created in inference mode cannot be differentiated
        return torch.tensor(values, device=device, dtype=torch.float32).view(-1, 1, 1)


def check(dataset: Dataset) -> None:
    """Check that images, labels and constants of a dataset fit together.

    Raises
    ------
    InputError
        For fewer than two classes, a class without training or test images, labels out of range
        or of another type, or shapes that do not match.
    """
    if len(dataset.classes) < 2:
        raise InputError(
            f"{dataset.name}: has {len(dataset.classes)} class; a classifier needs two or more"
        )
    for split in ("train", "test"):
        images, labels = getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels")
        if not len(labels):
            raise InputError(f"{dataset.name}: no {split} images")
        if images.dtype != torch.uint8 or images.dim() != 4 or len(images) != len(labels):
            raise InputError(f"{dataset.name}: the {split} images do not fit their labels")
        if labels.dtype != torch.int64 or labels.dim() != 1:
            raise InputError(
                f"{dataset.name}: {split} labels are {labels.dtype} of shape "
                f"{tuple(labels.shape)}; expected int64 of shape {(len(images),)}"
            )
        if images.shape[1:] != dataset.train_images.shape[1:]:
            raise InputError(
                f"{dataset.name}: the test images are {tuple(images.shape[1:])}, the training "
                f"images {dataset.shape} (channels, height, width)"
            )
        if not 0 <= int(labels.min()) <= int(labels.max()) < len(dataset.classes):
            raise InputError(f"{dataset.name}: a {split} label is outside the classes")
    for split, kind in (("train", "training"), ("test", "test")):
        counts = torch.bincount(getattr(dataset, f"{split}_labels"), minlength=len(dataset.classes))
        if empty := (counts == 0).nonzero().flatten().tolist():
            raise InputError(
                f"{dataset.name}: class {dataset.classes[empty[0]]!r} has no {kind} images"
            )
    channels = dataset.train_images.shape[1]
    if len(dataset.mean) != channels or len(dataset.std) != channels:
        raise InputError(
            f"{dataset.name}: mean and std have {len(dataset.mean)} and {len(dataset.std)} values "
            f"for images of {channels} channels"
        )


def write(dataset: Dataset, path: str | Path) -> None:
    """Write a dataset to a file; raises InputError as ``check`` does."""
    check(dataset)
    storage.write_tensors(
        path,
        {
            "train_images": dataset.train_images,
            "train_labels": dataset.train_labels,
            "test_images": dataset.test_images,
            "test_labels": dataset.test_labels,
            **{f"{split}_files": _packed(names) for split, names in dataset.files.items()},
        },
        {
            "kind": "dataset",
            "name": dataset.name,
            "classes": list(dataset.classes),
            "mean": list(dataset.mean),
            "std": list(dataset.std),
            "flip": dataset.flip,
            "source": dataset.source,
            "report": dataset.report,
        },
    )


def _packed(names: Iterable[str]) -> torch.Tensor:
    """Return names as bytes separated by zeros; the header of the file is too small for many."""
    joined = "\0".join(names).encode("utf-8", "surrogateescape")
    return torch.frombuffer(bytearray(joined), dtype=torch.uint8)


def _unpacked(names: torch.Tensor) -> tuple[str, ...]:
    return tuple(names.numpy().tobytes().decode("utf-8", "surrogateescape").split("\0"))


def load(path: str | Path) -> Dataset:
    """Return the dataset in a file; its images stay memory-mapped.

    Raises
    ------
    InputError
        If the file is damaged or incomplete or holds something else, and as ``check`` does.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    >>> labels = torch.tensor([0, 1])
    >>> test = images.clone(), labels.clone()
    >>> dataset = Dataset("made up", ("a", "b"), images, labels, *test, (0.5,), (0.25,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(dataset, f"{folder}/dataset.safetensors")
    ...     loaded = load(f"{folder}/dataset.safetensors")
    ...     loaded.classes, loaded.train_images.shape
    (('a', 'b'), torch.Size([2, 1, 8, 8]))
    """
    tensors, metadata = storage.read_tensors(path)
    if metadata.get("kind") != "dataset":
        raise InputError(f"{path}: holds a {metadata.get('kind')}, not a dataset")
    kinds = {"name": str, "classes": list, "mean": list, "std": list, "flip": bool, "source": dict}
    storage.require(metadata, kinds, path)
    packed = {split: tensors.pop(f"{split}_files", None) for split in ("train", "test")}
    names = {f"{split}_{part}" for split in ("train", "test") for part in ("images", "labels")}
    if tensors.keys() != names:
        raise InputError(
            f"{path}: holds {', '.join(sorted(tensors)) or 'nothing'}; expected "
            f"{', '.join(sorted(names))}"
        )
    dataset = Dataset(
        name=metadata["name"],
        classes=tuple(metadata["classes"]),
        mean=tuple(metadata["mean"]),
        std=tuple(metadata["std"]),
        flip=metadata["flip"],
        source=metadata["source"],
        report=metadata.get("report", {}),
        files={split: _unpacked(names) for split, names in packed.items() if names is not None},
        **tensors,
    )
    try:
        check(dataset)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return dataset
