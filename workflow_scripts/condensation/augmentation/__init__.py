"""Augmentations: a module per policy, named after it, with ``build(dataset, **options)``.

What ``build`` returns has two methods, so that one draw can serve two batches:
``draw(generator, count)`` takes the random numbers for ``count`` images (one
for siamese use), and ``apply(images, drawn)`` is a pure, differentiable
function of standardised images.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Snakemake reads this module, without torch
    from condensation.data.datasets import Dataset


def build(augmentation: dict[str, Any], dataset: "Dataset") -> Any:
    """Return the augmentation for standardised images of ``dataset``.

    Raises InputError if it cannot handle images of this size.
    """
    options = {key: value for key, value in augmentation.items() if key != "policy"}
    module = importlib.import_module(f"condensation.augmentation.{augmentation['policy']}")
    return module.build(dataset, **options)
