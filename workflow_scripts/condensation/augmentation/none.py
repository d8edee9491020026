"""No augmentation."""

import torch

from condensation.data.datasets import Dataset


class Identity:
    """Images as they are."""

    def draw(self, generator: torch.Generator, count: int) -> None:
        """Draw nothing."""

    def apply(self, images: torch.Tensor, drawn: None) -> torch.Tensor:
        """Return ``images``."""
        return images


def build(dataset: Dataset) -> Identity:
    """Return the identity."""
    return Identity()
