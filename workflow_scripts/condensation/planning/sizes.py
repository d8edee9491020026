"""Sizes of datasets and networks, from the config alone: what estimates of jobs rest on.

Free of torch, so that a rule can ask for memory and time as the workflow is read. What cannot be
known from a name (an image folder that is not there yet, a network of a library) is assumed, and
marked so.
"""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from condensation.core import tensor_headers
from condensation.files import image_files

# of NAS-Bench-201: with as many convolutions as the mean of its cells, about
MEAN_CELL = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"
)
_STAGES = {18: (2, 2, 2, 2), 152: (3, 8, 36, 3)}  # blocks of a ResNet


@dataclass(frozen=True)
class Images:
    """A dataset: shape C, H, W of an image, and how many there are; ``known`` or assumed."""

    shape: tuple[int, int, int]
    classes: int
    train: int
    test: int
    known: bool = True

    @property
    def bytes(self) -> int:
        """Of all images as uint8, as they are kept."""
        return (self.train + self.test) * prod(self.shape)


OFFICIAL = {
    "digits": Images((1, 8, 8), 10, 1442, 355),
    "fashion_mnist": Images((1, 28, 28), 10, 60_000, 10_000),
    "cifar10": Images((3, 32, 32), 10, 50_000, 10_000),
    "cifar100": Images((3, 32, 32), 100, 50_000, 10_000),
    "tinyimagenet": Images((3, 64, 64), 200, 100_000, 10_000),
}


def images(entry: Any, prepared: Path | None = None) -> Images:
    """Return the sizes of the dataset of a config entry.

    Those in the header of its ``prepared`` file, where it exists. Else those of the official
    dataset; an image folder is counted; where it is not there, it has those of the official
    dataset that it is ``like``, or 50,000 images in 10 classes are assumed.
    """
    if prepared is not None and (header := _of_file(prepared)):
        return header
    if entry.source != "image_folder":
        return OFFICIAL[entry.source]
    if counted := image_files.count(Path(entry.path).expanduser(), entry.test_fraction):
        classes, train, test, size = counted
        shape = (entry.channels, *(2 * [entry.image_size] if entry.image_size else size))
        return Images(shape, classes, train, test)
    if entry.kind in OFFICIAL:
        return OFFICIAL[entry.kind]
    side = entry.image_size or 32
    return Images((entry.channels, side, side), 10, 50_000, 10_000, known=False)


def _of_file(path: Path) -> Images | None:
    """Return what the header of a safetensors file says of its images, if it is a dataset."""
    try:
        header = tensor_headers.read(path) or {}
        train, test = (header[f"{part}_images"]["shape"] for part in ("train", "test"))
        about = json.loads(header["__metadata__"][tensor_headers.METADATA_KEY])
        return Images(tuple(train[1:]), len(about["classes"]), train[0], test[0])
    except (ValueError, KeyError, TypeError):
        return None  # the job that reads it says what is wrong with it


@dataclass(frozen=True)
class Network:
    """A network, for one image.

    Attributes
    ----------
    operations : multiplications and additions of the forward pass.
    outputs : values that its layers give, which a backward pass needs.
    parameters : how many it has.
    features : values of its embedding.
    known : whether its structure was, or a ResNet-18 is assumed.
    """

    operations: float
    outputs: float
    parameters: float
    features: int
    known: bool = True


class _Count:
    """Adds up layers."""

    def __init__(self) -> None:
        self.operations = self.outputs = self.parameters = 0.0

    def conv(self, inputs: int, outputs: int, kernel: int, height: int, width: int) -> None:
        weights = kernel * kernel * inputs * outputs
        self.operations += 2 * weights * height * width
        self.parameters += weights
        self.give(outputs * height * width)

    def linear(self, inputs: int, outputs: int, rows: int = 1, bias: bool = True) -> None:
        self.operations += 2 * rows * inputs * outputs
        self.parameters += inputs * outputs + (outputs if bias else 0)
        self.give(rows * outputs)

    def give(self, values: float, times: int = 1) -> None:
        self.outputs += values * times

    def network(self, features: int, known: bool = True) -> Network:
        return Network(self.operations, self.outputs, self.parameters, features, known)


def network(entry: dict[str, Any], data: Images) -> Network:
    """Return the sizes of the network of an architecture entry for images like ``data``."""
    kind = entry["network"]
    counts = {"convnet": _convnet, "mlp": _mlp, "resnet": _resnet, "vit": _vit}
    counts["nasbench201"] = _nasbench201
    if kind in counts:
        return counts[kind](entry, data)
    guess = _resnet({"depth": 18, "width": 64, "stem": None, "stages": 4}, data)
    return Network(guess.operations, guess.outputs, guess.parameters, guess.features, known=False)


def _convnet(entry: dict[str, Any], data: Images) -> Network:
    count, width = _Count(), entry["width"]
    channels, height, side = data.shape
    depth = entry["depth"]
    if min(height, side) == 28:  # the first layer pads them to 32
        height, side = height + 4, side + 4
    depth = depth or max(1, min(height, side).bit_length() - 3)
    for _ in range(depth):
        count.conv(channels, width, 3, height, side)
        count.parameters += 3 * width
        count.give(width * height * side, 2)  # norm, ReLU
        height, side, channels = height // 2, side // 2, width
        count.give(width * height * side)  # pooling
    features = width * height * side
    count.linear(features, data.classes)
    return count.network(features)


def _mlp(entry: dict[str, Any], data: Images) -> Network:
    count, width = _Count(), entry["width"]
    for inputs, outputs in ((prod(data.shape), width), (width, width), (width, data.classes)):
        count.linear(inputs, outputs)
    count.give(2 * width)
    return count.network(width)


def _resnet(entry: dict[str, Any], data: Images) -> Network:
    count, width = _Count(), entry["width"]
    stages, bottleneck = entry["stages"], entry["depth"] > 34
    channels, height, side = data.shape
    small = entry["stem"] or ("cifar" if _ends_in_four(height, stages) else "imagenet")
    if small == "imagenet":
        height, side = height // 2, side // 2
        count.conv(channels, width, 7, height, side)
        height, side = height // 2, side // 2
    else:
        count.conv(channels, width, 3, height, side)
    count.give(width * height * side, 2)
    count.parameters += 2 * width
    channels = width
    for stage, blocks in enumerate(_STAGES[entry["depth"]][:stages]):
        planes = width * 2**stage
        outputs = planes * (4 if bottleneck else 1)
        for block in range(blocks):
            before = (height, side)
            if stage and not block:
                height, side = -(-height // 2), -(-side // 2)
            if bottleneck:
                count.conv(channels, planes, 1, *before)
                count.conv(planes, planes, 3, height, side)
                count.conv(planes, outputs, 1, height, side)
                count.give(planes * before[0] * before[1], 2)
                count.parameters += 4 * planes + 2 * outputs
            else:
                count.conv(channels, planes, 3, height, side)
                count.conv(planes, outputs, 3, height, side)
                count.parameters += 4 * planes
            if channels != outputs or before != (height, side):
                count.conv(channels, outputs, 1, height, side)
                count.parameters += 2 * outputs
            count.give(outputs * height * side, 4)
            channels = outputs
    count.linear(channels, data.classes)
    return count.network(channels)


def _ends_in_four(side: int, stages: int) -> bool:
    for _ in range(stages - 1):
        side = -(-side // 2)
    return side == 4


def _vit(entry: dict[str, Any], data: Images) -> Network:
    count, width, inner = _Count(), entry["width"], entry["heads"] * 64
    channels, height, side = data.shape
    patch = entry["patch"]
    tokens = (height // patch) * (side // patch)
    count.linear(channels * patch * patch, width, tokens)
    tokens += 1
    count.parameters += width + tokens * width
    for _ in range(entry["depth"]):
        count.linear(width, 3 * inner, tokens, bias=False)
        count.operations += 4 * tokens * tokens * inner
        count.give(2 * entry["heads"] * tokens * tokens)
        count.linear(inner, width, tokens)
        count.linear(width, width, tokens)
        count.linear(width, width, tokens)
        count.give(tokens * width, 6)
        count.parameters += 4 * width
    count.parameters += 2 * width
    count.linear(width, data.classes)
    return count.network(width)


def _nasbench201(entry: dict[str, Any], data: Images) -> Network:
    """Return the mean over the search space: of six edges, a fifth is each convolution."""
    count, channels = _Count(), entry.get("channels", 16)
    inputs, height, side = data.shape
    count.conv(inputs, channels, 3, height, side)
    for stage in range(3):
        if stage:
            height, side = height // 2, side // 2
            count.conv(channels, 2 * channels, 3, height, side)
            count.conv(2 * channels, 2 * channels, 3, height, side)
            count.conv(channels, 2 * channels, 1, height, side)
            count.give(2 * channels * height * side, 4)
            channels *= 2
        for _ in range(entry.get("cells", 1)):
            share = 6 / 5 * (9 + 1)  # 3x3 and 1x1, of six edges
            count.operations += 2 * share * channels**2 * height * side
            count.parameters += share * channels**2
            count.give(channels * height * side, 12)
    count.linear(channels, data.classes)
    return count.network(channels)
