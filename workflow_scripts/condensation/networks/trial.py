"""A trial pass through a network that is not built in, before anything is trained."""

from typing import Any

import torch
from torch import nn

from condensation.errors import InputError


def try_out(network: Any, name: str, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Return ``network`` after passing two blank images of ``shape`` (C, H, W) through it.

    Raises InputError if it is no network, or does not give the images' logits.
    """
    if not isinstance(network, nn.Module):
        raise InputError(
            f"architecture {name}: returned {type(network).__name__}; expected a torch.nn.Module"
        )
    try:
        with torch.no_grad():
            logits = network.eval()(torch.zeros(2, *shape))
    except Exception as error:
        size = " x ".join(map(str, shape))
        raise InputError(
            f"architecture {name} does not take images of {size}: {str(error).splitlines()[0]}"
        ) from error
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != (2, classes):
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise InputError(
            f"architecture {name} gives {found} for two images; expected logits (2, {classes})"
        )
    return network.train()
