"""Headers of safetensors files, read without torch."""

import json
from pathlib import Path
from typing import Any

METADATA_KEY = "condensation"  # the only one: safetensors does not keep the order of several


def read(path: Path) -> dict[str, Any] | None:
    """Return the header of a safetensors file; None if there is no readable one."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (OSError, ValueError, MemoryError, OverflowError):
        return None
    return header if isinstance(header, dict) else None


def metadata(path: Path) -> dict[str, Any] | None:
    """Return the metadata that ``storage.write_tensors`` wrote; None if there is none."""
    try:
        content = json.loads((read(path) or {})["__metadata__"][METADATA_KEY])
    except (ValueError, KeyError, TypeError):
        return None
    return content if isinstance(content, dict) else None
