"""ResNets with instance norm (paper, section 4.1; He et al., 2016, arXiv:1512.03385).

Two forms: small images get a 3x3 stem without pooling and a final 4x4 average pooling, which fits
32x32 images only; larger images get the ImageNet stem and global pooling.
"""

import torch
from torch import nn

from condensation.core.errors import InputError
from condensation.networks.norm import InstanceNorm

_STAGES = {18: (2, 2, 2, 2), 152: (3, 8, 36, 3)}


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class _Block(nn.Module):
    """A residual block: basic (two 3x3) or bottleneck (1x1, 3x3, 1x1 with four times the width)."""

    def __init__(self, inputs: int, planes: int, stride: int, bottleneck: bool):
        super().__init__()
        outputs = planes * (4 if bottleneck else 1)
        if bottleneck:
            layers = [
                *(_conv(inputs, planes, 1), InstanceNorm(planes), nn.ReLU()),
                *(_conv(planes, planes, 3, stride), InstanceNorm(planes), nn.ReLU()),
                *(_conv(planes, outputs, 1), InstanceNorm(outputs)),
            ]
        else:
            layers = [
                *(_conv(inputs, planes, 3, stride), InstanceNorm(planes), nn.ReLU()),
                *(_conv(planes, outputs, 3), InstanceNorm(outputs)),
            ]
        self.residual = nn.Sequential(*layers)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(_conv(inputs, outputs, 1, stride), InstanceNorm(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.residual(x) + self.shortcut(x))


class ResNet(nn.Module):
    """Stem, stages of residual blocks, average pooling, linear."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        depth: int,
        width: int,
        stages: int,
        imagenet: bool,
    ):
        super().__init__()
        bottleneck = depth > 34
        stem: list[nn.Module] = [_conv(shape[0], width, 3), InstanceNorm(width), nn.ReLU()]
        pool: nn.Module = nn.AvgPool2d(4)
        if imagenet:
            stem[0] = _conv(shape[0], width, 7, 2)
            stem.append(nn.MaxPool2d(3, stride=2, padding=1))
            pool = nn.AdaptiveAvgPool2d(1)
        channels = width
        blocks: list[nn.Module] = []
        for stage, count in enumerate(_STAGES[depth][:stages]):
            planes = width * 2**stage
            for block in range(count):
                stride = 2 if stage and not block else 1
                blocks.append(_Block(channels, planes, stride, bottleneck))
                channels = planes * (4 if bottleneck else 1)
        self.features = nn.Sequential(*stem, *blocks, pool, nn.Flatten())
        self.classifier = nn.Linear(channels, classes)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the pooled features, N x channels."""
        return self.features(images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, N x classes."""
        return self.classifier(self.embed(images))


def build(
    shape: tuple[int, int, int],
    classes: int,
    depth: int = 18,
    width: int = 64,
    stem: str | None = None,
    stages: int = 4,
) -> ResNet:
    """Return a ResNet; ``stem`` is ``cifar``, ``imagenet``, or None to choose by image size.

    Raises
    ------
    InputError
        If the form does not fit the images.
    """
    sides = shape[1:]
    small = [_halved(side, stages - 1) for side in sides]
    form = stem or ("cifar" if small == [4, 4] else "imagenet")
    if form == "cifar" and small != [4, 4]:
        raise InputError(
            f"resnet: the form for small images ends in a 4x4 pooling; {sides[0]}x{sides[1]} "
            f"pixels are {small[0]}x{small[1]} after {stages} stages; set stem: imagenet, or stages"
        )
    if form == "imagenet" and min(_halved(side, stages + 1) for side in sides) < 2:
        raise InputError(
            f"resnet: images of {sides[0]}x{sides[1]} pixels are single pixels after {stages} "
            "stages, whose norm erases them; set fewer stages"
        )
    return ResNet(shape, classes, depth, width, stages, form == "imagenet")


def _halved(side: int, times: int) -> int:
    """Return the side of a map after ``times`` strides of two."""
    for _ in range(times):
        side = (side + 1) // 2
    return side
