"""Networks: one module each, with ``build(shape, classes, **options)``.

``build`` imports the module of a network by name, so that the source digest of one network does
not cover the others. ``library`` builds networks of timm and torchvision; an architecture entry
``file.py:function`` names a network of the user.
"""

import importlib
from typing import Any

from condensation.core import plugins


def build(
    architecture: dict[str, Any],
    shape: tuple[int, int, int],
    classes: int,
    seed: int,
    *purpose: object,
) -> Any:
    """Build a network.

    Parameters
    ----------
    architecture : an entry ``architectures`` of the config: ``network``, and its options.
    shape : C, H, W of the images.
    classes : number of classes.
    seed, purpose : decide the initialisation; torch's global generator is neither read nor changed.

    Returns
    -------
    A torch module: images [n, C, H, W] -> logits [n, classes], with a method ``embed``: images ->
    input of the classifier [n, features].

    Raises
    ------
    InputError
        If the network cannot take images of this shape.

    Examples
    --------
    >>> import torch
    >>> network = build({"network": "convnet", "width": 8, "depth": 1}, (1, 8, 8), 10, seed=0)
    >>> images = torch.zeros(2, 1, 8, 8)
    >>> network(images).shape, network.embed(images).shape
    (torch.Size([2, 10]), torch.Size([2, 128]))
    """
    from condensation.core import randomness  # here: cells201 needs no torch

    name = architecture["network"]
    options = {key: value for key, value in architecture.items() if key != "network"}
    with randomness.seeded(seed, *purpose):
        if ".py:" in name:
            return _from_file(name, shape, classes, options)
        module = importlib.import_module(
            f"condensation.networks.{'library' if ':' in name else name}"
        )
        if ":" in name:
            options["source"] = name
        return module.build(shape, classes, **options)


def _from_file(
    function: str, shape: tuple[int, int, int], classes: int, options: dict[str, Any]
) -> Any:
    trial = importlib.import_module("condensation.networks.trial")  # of no other digest
    network = plugins.load(function)(shape, classes, **options)
    return trial.try_out(network, function, options, shape, classes)
