"""No augmentation."""

import torch

from condensation.data.datasets import Dataset


class Identity:
    """Images as they are."""

    def draw(self, generator: torch.Generator, count: int) -> None:
        """Draw nothing."""

    def packed(self, drawn: None) -> torch.Tensor:
        """Return a row without parameters."""
        return torch.empty(1, 0)

    def apply(self, images: torch.Tensor, drawn: torch.Tensor | None) -> torch.Tensor:
        """Return ``images``."""
        return images


def build(dataset: Dataset) -> Identity:
    """Return the identity."""
    return Identity()
