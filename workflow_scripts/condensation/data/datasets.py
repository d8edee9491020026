"""A prepared dataset: uint8 images and labels in one memory-mapped file."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from condensation.core import storage
from condensation.core.errors import InputError


@dataclass(frozen=True)
class Dataset:
    """Real images, and what is needed to feed them to a network.

    Attributes
    ----------
    name : the name in the config.
    classes : class names; the label is the position.
    train_images, test_images : uint8, N x C x H x W.
    train_labels, test_labels : int64, N.
    mean, std : per channel, on the [0, 1] scale.
    flip : whether a mirrored image keeps its class.
    source : where the images came from (reader, archive checksums).
    report : what was read, skipped and converted (``condensation.data.reading_report``).
    files : per split the name of each image's file, of images that had one.
    whitening : makes network input where it is not standardised (``condensation.data.whitening``).
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
        return tuple(self.train_images.shape[1:])

    @property
    def preprocessing(self) -> dict:
        """What turns pixels into network input; a condensed set carries the same."""
        if self.whitening is not None:
            return self.whitening.preprocessing()
        return {"kind": "standardize", "mean": list(self.mean), "std": list(self.std)}

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Return uint8 images N x C x H x W as network input: standardised or whitened."""
        if self.whitening is not None:
            return self.whitening.apply(images)
        return self.standardize(images)

    def standardize(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 ``(x / 255 - mean) / std`` per channel of uint8 N x C x H x W images."""
        mean, std = (_constant(values, images.device) for values in (self.mean, self.std))
        return images.to(torch.float32).div_(255).sub_(mean).div_(std)

    def unstandardize(self, images: torch.Tensor) -> torch.Tensor:
        """Return standardised images on the scale of [0, 1], not clipped."""
        mean, std = (_constant(values, images.device) for values in (self.mean, self.std))
        return images * std + mean

    def to_pixels(self, images: torch.Tensor) -> torch.Tensor:
        """Return uint8 pixels of network input, clipped to the range of a picture."""
        if self.whitening is not None:
            return self.whitening.invert(images).mul(255).round().clamp(0, 255).to(torch.uint8)
        return self.unstandardize(images).mul(255).round().clamp(0, 255).to(torch.uint8)

    def indices_by_class(self) -> list[torch.Tensor]:
        """Return, per class, the positions of its training images in ascending order."""
        order = torch.argsort(self.train_labels, stable=True)
        counts = torch.bincount(self.train_labels, minlength=len(self.classes))
        return list(order.split(counts.tolist()))


@functools.cache
def _constant(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """A value per channel, brought to the device once and not at every step."""
    with torch.inference_mode(False):  # what is made inside of it cannot be differentiated
        return torch.tensor(values, device=device, dtype=torch.float32).view(-1, 1, 1)


def write(dataset: Dataset, path: str | Path) -> None:
    """Check ``dataset`` and write it to ``path``.

    Raises InputError for a class without training or test images, labels out of
    range, or shapes that do not fit together.
    """
    for split in ("train", "test"):
        images, labels = getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels")
        if not len(labels):
            raise InputError(f"{dataset.name}: no {split} images")
        if images.dtype != torch.uint8 or images.dim() != 4 or len(images) != len(labels):
            raise InputError(f"{dataset.name}: the {split} images do not fit their labels")
        if images.shape[1:] != dataset.train_images.shape[1:]:
            raise InputError(
                f"{dataset.name}: the test images are {tuple(images.shape[1:])}, the training "
                f"images {dataset.shape} (channels, height, width)"
            )
        if not 0 <= int(labels.min()) <= int(labels.max()) < len(dataset.classes):
            raise InputError(f"{dataset.name}: a {split} label is outside the classes")
    for split, kind in (("train", "training"), ("test", "test")):
        counts = torch.bincount(getattr(dataset, f"{split}_labels"), minlength=len(dataset.classes))
        if bare := (counts == 0).nonzero().flatten().tolist():
            raise InputError(
                f"{dataset.name}: class {dataset.classes[bare[0]]!r} has no {kind} images"
            )
    channels = dataset.train_images.shape[1]
    if len(dataset.mean) != channels or len(dataset.std) != channels:
        raise InputError(
            f"{dataset.name}: mean and std have {len(dataset.mean)} and {len(dataset.std)} values "
            f"for images of {channels} channels"
        )
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
    """Names as the bytes that the disk has, a zero between two: a header has no room for many."""
    joined = "\0".join(names).encode("utf-8", "surrogateescape")
    return torch.frombuffer(bytearray(joined), dtype=torch.uint8)


def _unpacked(names: torch.Tensor) -> tuple[str, ...]:
    return tuple(names.numpy().tobytes().decode("utf-8", "surrogateescape").split("\0"))


def load(path: str | Path) -> Dataset:
    """Return the dataset at ``path``; the images stay memory-mapped.

    Raises InputError if the file is damaged or holds something else.
    """
    tensors, metadata = storage.read_tensors(path)
    if metadata.get("kind") != "dataset":
        raise InputError(f"{path}: holds a {metadata.get('kind')}, not a dataset")
    packed = {split: tensors.pop(f"{split}_files", None) for split in ("train", "test")}
    return Dataset(
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
