"""No augmentation."""

import torch


class Identity:
    """Images as they are."""

    def draw(self, generator: torch.Generator, count: int) -> None:
        """Draw nothing."""

    def apply(self, images: torch.Tensor, drawn: None) -> torch.Tensor:
        """Return ``images``."""
        return images


def build(shape: tuple[int, int, int], flip: bool) -> Identity:
    """Return the identity."""
    return Identity()
