"""Networks: one module each, with ``build(shape, classes, **options)``.

Modules are imported by name, so that a digest of one does not cover the others.
Besides those here, ``library`` holds those of timm and torchvision, and a
user's own are functions in files.
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
    """Return the network for images of ``shape`` (C, H, W), initialised from (seed, purpose).

    Raises InputError if the network cannot take images of this shape.
    """
    from condensation.core import randomness  # here: cells201 needs no torch

    name = architecture["network"]
    options = {key: value for key, value in architecture.items() if key != "network"}
    with randomness.seeded(seed, *purpose):
        if ".py:" in name:
            return _users_own(name, shape, classes, options)
        module = importlib.import_module(
            f"condensation.networks.{'library' if ':' in name else name}"
        )
        if ":" in name:
            options["source"] = name
        return module.build(shape, classes, **options)


def _users_own(
    function: str, shape: tuple[int, int, int], classes: int, options: dict[str, Any]
) -> Any:
    trial = importlib.import_module("condensation.networks.trial")  # of no other digest
    network = plugins.load(function)(shape, classes, **options)
    return trial.try_out(network, function, options, shape, classes)
