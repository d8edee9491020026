"""Networks: one module each, with ``build(shape, classes, **options)``.

Kept free of imports, so that a digest of one network does not cover the others.
"""

import importlib
from typing import Any


def module_of(architecture: dict[str, Any]) -> str:
    """Return the dotted module name behind an architecture entry."""
    return f"condensation.networks.{architecture['network']}"


def build(architecture: dict[str, Any], shape: tuple[int, int, int], classes: int) -> Any:
    """Return the network for images of ``shape`` (C, H, W), randomly initialised.

    Draws from torch's global state; wrap the call in ``randomness.seeded``.

    Raises InputError if the network cannot take images of this shape.
    """
    options = {key: value for key, value in architecture.items() if key != "network"}
    return importlib.import_module(module_of(architecture)).build(shape, classes, **options)
