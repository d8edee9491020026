"""Which source modules a config entry stands for. Free of torch: names only."""

from typing import Any


def of_network(architecture: dict[str, Any]) -> list[str]:
    """Return the sources of an architecture entry: dotted module names, or a user's file."""
    name = architecture["network"]
    if ".py:" in name:
        return [name.rpartition(":")[0], "condensation.networks.trial"]
    return [f"condensation.networks.{'library' if ':' in name else name}"]


def of_augmentation(augmentation: dict[str, Any]) -> list[str]:
    """Return the source of an augmentation entry: the module named after its policy."""
    return [f"condensation.augmentation.{augmentation['policy']}"]
