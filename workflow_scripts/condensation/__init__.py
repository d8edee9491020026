"""Dataset condensation: methods, evaluation protocol and tables.

The library knows nothing of Snakemake; the rules call it through the thin
scripts beside it, and tests and notebooks use it directly.

``condensation.load_dataset``, ``condense``, ``evaluate`` and ``load_set`` are the functions of
``condensation.api``. Their first use imports torch; importing this package does not.
"""

import importlib
from typing import Any

__version__ = "0.2.0"

_API = ("condense", "evaluate", "load_dataset", "load_set")


def __getattr__(name: str) -> Any:
    """Return a function of the API, imported on its first use."""
    if name in _API:
        return getattr(importlib.import_module("condensation.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_API])
