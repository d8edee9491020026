"""Instance norm as GroupNorm with a group per channel, as in the code of DC."""

import torch
from torch import nn


class InstanceNorm(nn.GroupNorm):
    """Affine, eps 1e-5, without running statistics.

    A 1x1 map becomes the bias, because its variance is 0. ``nn.GroupNorm`` raises an error for a
    single such image, which a last batch may be.
    """

    def __init__(self, channels: int):
        super().__init__(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the normalised maps, [n, C, H, W]."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
