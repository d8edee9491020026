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
            # 28x28 images become 32x32 in the first layer, as in DC's code
            padding = 3 if block == 0 and size == 28 else 1
            blocks += [
                nn.Conv2d(channels, width, 3, padding=padding),
                InstanceNorm(width),
                nn.ReLU(),
                nn.AvgPool2d(2),
            ]
            channels = width
            height, size = (side + 2 * (padding - 1) for side in (height, size))
            height, size = height // 2, size // 2
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Linear(width * height * size, classes)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embedding, N x (width * final height * final width)."""
        return self.features(images).flatten(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, N x classes."""
        return self.classifier(self.embed(images))


def standard_depth(shape: tuple[int, int, int]) -> int:
    """Return the depth that leaves a 4x4 map: 1 for 8 pixels, 3 for 28 and 32, 4 for 64."""
    side = 32 if min(shape[1:]) == 28 else min(shape[1:])
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
    smallest = min(shape[1:])
    if (32 if smallest == 28 else smallest) >> depth < 1:
        raise InputError(
            f"convnet: {depth} poolings leave nothing of {shape[1]}x{shape[2]} images; "
            f"depth may be at most {smallest.bit_length() - 1}"
        )
    return ConvNet(shape, classes, width, depth)
