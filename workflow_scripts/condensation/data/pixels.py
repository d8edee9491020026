"""Pixels as pictures hold them."""

import torch


def as_uint8(unit: torch.Tensor) -> torch.Tensor:
    """Return pixels on [0, 1] as uint8, rounded and clipped to 0 .. 255."""
    return unit.mul(255).round().clamp(0, 255).to(torch.uint8)
