"""MLP: flatten, two hidden layers with ReLU, linear (paper, section 4.1)."""

import math

import torch
from torch import nn


class MLP(nn.Module):
    """A multilayer perceptron on the flattened image."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(shape), width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(width, classes)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the last hidden layer, N x width."""
        return self.features(images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, N x classes."""
        return self.classifier(self.embed(images))


def build(shape: tuple[int, int, int], classes: int, width: int = 128) -> MLP:
    """Return an MLP for images of ``shape`` (C, H, W)."""
    return MLP(shape, classes, width)
