"""Augmentations: one module each, with ``build(shape, flip, **options)``.

What ``build`` returns has two methods, so that one draw can serve two batches:
``draw(generator, count)`` takes the random numbers for ``count`` images (one
for siamese use), and ``apply(images, drawn)`` is a pure, differentiable
function of standardised images.
"""

import importlib
from typing import Any


def module_of(augmentation: dict[str, Any]) -> str:
    """Return the dotted module name behind an augmentation entry."""
    policy = augmentation["policy"]
    return f"condensation.augmentation.{'identity' if policy == 'none' else policy}"


def build(augmentation: dict[str, Any], shape: tuple[int, int, int], flip: bool) -> Any:
    """Return the augmentation for standardised images of ``shape`` (C, H, W).

    ``flip`` says whether a mirrored image keeps its class.
    """
    options = {key: value for key, value in augmentation.items() if key != "policy"}
    return importlib.import_module(module_of(augmentation)).build(shape, flip, **options)
