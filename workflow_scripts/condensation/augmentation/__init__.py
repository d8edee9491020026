"""Augmentations: a module per policy, named after it, with ``build(dataset, **options)``.

An augmentation has two methods, so that two batches can share one draw: ``draw(generator, count)``
draws the parameters for ``count`` images (1 for siamese use), and ``apply(images, drawn)`` is a
pure function of standardised images. One whose draws all launch the same operations on a GPU also
has ``packed(drawn)``: the draw as a float32 tensor on the CPU, a row per image, that ``apply``
takes too once it is on the device.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Snakemake reads this module, without torch
    from condensation.data.datasets import Dataset


def build(augmentation: dict[str, Any], dataset: "Dataset") -> Any:
    """Build the augmentation for standardised images of a dataset.

    Parameters
    ----------
    augmentation : an entry ``augmentations`` of the config: ``policy``, and its options.
    dataset : gives the image shape, and whether images may be flipped.

    Raises
    ------
    InputError
        If the augmentation cannot take images of this size.

    Examples
    --------
    >>> import torch
    >>> from condensation.data.datasets import Dataset
    >>> images, labels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1])
    >>> dataset = Dataset("made up", ("a", "b"), images, labels, images, labels, (0.5,), (0.25,))
    >>> entry = {"policy": "dsa", "operators": ["crop", "flip"], "align_corners": False}
    >>> augment = build(entry, dataset)
    >>> drawn = augment.draw(torch.Generator().manual_seed(0), count=1)
    >>> augment.apply(torch.zeros(5, 1, 8, 8), drawn).shape
    torch.Size([5, 1, 8, 8])
    """
    options = {key: value for key, value in augmentation.items() if key != "policy"}
    module = importlib.import_module(f"condensation.augmentation.{augmentation['policy']}")
    return module.build(dataset, **options)
