"""Augmentations: one module each, with ``build(dataset, **options)``.

What ``build`` returns has two methods, so that one draw can serve two batches:
``draw(generator, count)`` takes the random numbers for ``count`` images (one
for siamese use), and ``apply(images, drawn)`` is a pure, differentiable
function of standardised images.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Snakemake reads this module, without torch
    from condensation.data.datasets import Dataset


def module_of(augmentation: dict[str, Any]) -> str:
    """Return the dotted module name behind an augmentation entry."""
    modules = {"none": "identity", "dsa": "dsa", "torchvision": "pipelines"}
    return f"condensation.augmentation.{modules[augmentation['policy']]}"


def build(augmentation: dict[str, Any], dataset: "Dataset") -> Any:
    """Return the augmentation for standardised images of ``dataset``.

    Raises InputError if it cannot handle images of this size.
    """
    options = {key: value for key, value in augmentation.items() if key != "policy"}
    return importlib.import_module(module_of(augmentation)).build(dataset, **options)
