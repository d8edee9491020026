"""ConvNet, the usual network of dataset condensation (paper, section 4.1; DC, arXiv:2006.05929)."""

import torch
from torch import nn

from condensation.core.errors import InputError
from condensation.networks.norm import InstanceNorm


class ConvNet(nn.Module):
    """depth x [3x3 convolution, instance norm, ReLU, 2x2 average pooling], then linear.

    ``embed`` returns the input of the classifier, [n, features], which DM matches and K-Center
    clusters. The norm keeps no statistics, so the network behaves alike in training and testing.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int, depth: int):
        super().__init__()
        channels, height, size = shape
        blocks: list[nn.Module] = []
        for block in range(depth):
            padding = 1 + _added(shape) // 2 if block == 0 else 1
            blocks += [
                nn.Conv2d(channels, width, 3, padding=padding),
                InstanceNorm(width),
                nn.ReLU(),
                nn.AvgPool2d(2),
            ]
            channels = width
        self.features = nn.Sequential(*blocks)
        height, size = ((side + _added(shape)) >> depth for side in shape[1:])
        self.classifier = nn.Linear(width * height * size, classes)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embedding, N x (width * final height * final width)."""
        return self.features(images).flatten(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, N x classes."""
        return self.classifier(self.embed(images))


def _added(shape: tuple[int, int, int]) -> int:
    """Return the pixels that the first layer adds: images 28 wide become 32 wide, as DC's do."""
    return 4 if shape[2] == 28 else 0


def standard_depth(shape: tuple[int, int, int]) -> int:
    """Return the depth that leaves a 4x4 map: 1 for 8 pixels, 3 for 28 and 32, 4 for 64."""
    side = min(shape[1:]) + _added(shape)
    return max(1, side.bit_length() - 3)


def build(
    shape: tuple[int, int, int], classes: int, width: int = 128, depth: int | None = None
) -> ConvNet:
    """Return a ConvNet for images of ``shape`` (C, H, W); ``depth`` None is ``standard_depth``.

    Raises
    ------
    InputError
        If there are more poolings than the image can be halved.
    """
    depth = depth or standard_depth(shape)
    smallest = min(shape[1:]) + _added(shape)
    if smallest >> depth < 1:
        raise InputError(
            f"convnet: {depth} poolings leave nothing of {shape[1]}x{shape[2]} images; "
            f"depth may be at most {smallest.bit_length() - 1}"
        )
    return ConvNet(shape, classes, width, depth)
