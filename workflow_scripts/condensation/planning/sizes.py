"""Sizes of datasets and networks, without torch.

Datasets: from the prepared file, the image folder, or the official numbers. Built-in networks: from
``measured_networks.json``, which ``networks/measure.py`` writes. Other sizes are guesses and have
``known=False``.
"""

import json
from dataclasses import dataclass
from functools import cache
from math import log, prod
from pathlib import Path
from typing import Any

from condensation.config.checks import SMALLEST_CLASS
from condensation.core import tensor_headers
from condensation.files import image_files


@dataclass(frozen=True)
class Images:
    """The shape (C, H, W) of the images of a dataset and how many it has.

    ``smallest`` is the number of training images in the smallest class, None if not counted.
    """

    shape: tuple[int, int, int]
    classes: int
    train: int
    test: int
    smallest: int | None = None
    known: bool = True

    @property
    def bytes(self) -> int:
        """Bytes of all images as uint8."""
        return (self.train + self.test) * prod(self.shape)


OFFICIAL = {
    "digits": Images((1, 8, 8), 10, 1442, 355, SMALLEST_CLASS["digits"]),
    "fashion_mnist": Images((1, 28, 28), 10, 60_000, 10_000, SMALLEST_CLASS["fashion_mnist"]),
    "cifar10": Images((3, 32, 32), 10, 50_000, 10_000, SMALLEST_CLASS["cifar10"]),
    "cifar100": Images((3, 32, 32), 100, 50_000, 10_000, SMALLEST_CLASS["cifar100"]),
    "tinyimagenet": Images((3, 64, 64), 200, 100_000, 10_000, SMALLEST_CLASS["tinyimagenet"]),
}


def images(entry: Any, prepared: Path | None = None) -> Images:
    """Return the sizes of the dataset of a config entry.

    The header of the file ``prepared`` comes first. Without it, official datasets have known sizes
    and the images of a folder are counted. A missing folder takes the sizes of the dataset that it
    is ``like``, or else 50,000 images in 10 classes.
    """
    if prepared is not None and (header := _of_file(prepared)):
        return header
    if entry.source != "image_folder":
        return OFFICIAL[entry.source]
    path = Path(entry.path).expanduser()
    if counted := image_files.count(path, entry.test_fraction, entry.subset):
        size = 2 * [entry.image_size] if entry.image_size else counted.size
        shape = (entry.channels, *size)
        return Images(shape, counted.classes, counted.train, counted.test, counted.smallest)
    if entry.kind in OFFICIAL:
        return OFFICIAL[entry.kind]
    side = entry.image_size or 32
    return Images((entry.channels, side, side), 10, 50_000, 10_000, known=False)


def smallest_class(data: Images, prepared: Path | None) -> int | None:
    """Return the number of training images in the smallest class.

    If ``data`` does not hold it, the labels in the file ``prepared`` are counted. None if there are
    none.
    """
    if data.smallest is not None or prepared is None:
        return data.smallest
    # here: the jobs read this module too and do not need them
    import numpy as np
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(prepared, "numpy") as file:
            return int(np.bincount(file.get_tensor("train_labels")).min())
    except (OSError, SafetensorError, ValueError):
        return None  # the job that reads it says what is wrong with it


def _of_file(path: Path) -> Images | None:
    """Return the sizes in the header of a safetensors file; None if it is no dataset."""
    try:
        header = tensor_headers.read(path) or {}
        train, test = (header[f"{part}_images"]["shape"] for part in ("train", "test"))
        metadata = json.loads(header["__metadata__"][tensor_headers.METADATA_KEY])
        return Images(tuple(train[1:]), len(metadata["classes"]), train[0], test[0])
    except (ValueError, KeyError, TypeError):
        return None  # the job that reads it says what is wrong with it


@dataclass(frozen=True)
class Network:
    """What one image takes in a network.

    Attributes
    ----------
    operations : multiplications and additions of the forward pass.
    outputs : values that the layers output and a backward pass may keep.
    parameters : values of the weights.
    features : values of the embedding.
    known : False if the network is unknown and a ResNet-18 is assumed.
    """

    operations: float
    outputs: float
    parameters: float
    features: float
    known: bool = True


@cache
def _measured() -> list[dict[str, Any]]:
    return json.loads(Path(__file__).with_name("measured_networks.json").read_text())


def network(entry: dict[str, Any], data: Images) -> Network:
    """Return the sizes of the network of an architecture entry for images like ``data``.

    A row of the table holds each size as a polynomial in the width. The row with the most similar
    options is scaled by the image area (the tokens of a ViT), and by the depth of a ViT.
    """
    kind = entry["network"]
    if known := kind in {row["network"] for row in _measured()}:
        options, width, area = _options(entry, data)
    else:
        resnet18 = {"network": "resnet", "depth": 18, "stages": 4, "stem": None, "width": 64}
        kind, (options, width, area) = "resnet", _options(resnet18, data)

    def distance(row: dict[str, Any]) -> tuple[float, float]:
        difference = sum(abs(log(row[key] / value)) for key, value in options.items())
        return difference, abs(log(row["area"] / area))

    row = min((row for row in _measured() if row["network"] == kind), key=distance)
    operations, outputs, parameters, features = (
        sum(factor * width**power for power, factor in enumerate(row[key]))
        for key in ("operations", "outputs", "parameters", "features")
    )
    scale = area / row["area"]
    scaled = features * (scale if kind == "convnet" else 1)
    # the table holds networks with 10 classes
    last_layer = scaled * data.classes - features * 10
    for key in {"depth", "cells"} & set(options) if kind in ("vit", "nasbench201") else ():
        scale *= options[key] / row[key]
    wider_input = area / row["area"] if kind == "mlp" else 1
    return Network(
        operations=(operations - 20 * features) * scale + 2 * scaled * data.classes,
        outputs=outputs * scale,
        parameters=parameters * wider_input + last_layer,
        features=scaled,
        known=known,
    )


def _options(entry: dict[str, Any], data: Images) -> tuple[dict[str, float], int, int]:
    """Return the options that select a row, the width, and the area, values or tokens of images."""
    channels, height, width = data.shape
    kind = entry["network"]
    if kind == "mlp":
        return {}, entry["width"], prod(data.shape)
    if kind == "vit":
        tokens = (height // entry["patch"]) * (width // entry["patch"])
        return {"heads": entry["heads"], "depth": entry["depth"]}, entry["width"], tokens
    if kind == "nasbench201":
        return {"cells": entry.get("cells", 1)}, entry.get("channels", 16), height * width
    if kind == "convnet":
        if width == 28:  # the first layer makes them 32 wide
            height, width = height + 4, width + 4
        depth = entry["depth"] or max(1, min(height, width).bit_length() - 3)
        return {"depth": depth, "channels": channels}, entry["width"], height * width
    last = -(-height // 2 ** (entry["stages"] - 1))  # side after the last stage
    stem = entry["stem"] or ("cifar" if last == 4 else "imagenet")
    kernel = {"cifar": 3, "imagenet": 7}[stem]
    options = {"depth": entry["depth"], "stages": entry["stages"], "stem": kernel}
    return options, entry["width"], height * width
