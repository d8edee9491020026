"""Networks: one module each, with ``build(shape, classes, **options)``.

Modules are imported by name, so that a digest of one does not cover the others.
"""

import importlib
from typing import Any

from condensation import randomness


def module_of(architecture: dict[str, Any]) -> str:
    """Return the dotted module name behind an architecture entry."""
    return f"condensation.networks.{architecture['network']}"


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
    options = {key: value for key, value in architecture.items() if key != "network"}
    module = importlib.import_module(module_of(architecture))
    with randomness.seeded(seed, *purpose):
        return module.build(shape, classes, **options)
