"""The published sets of docs/reproduction/sets: condensed sets by name, such as cifar10/dsa/ipc1.

A published set is the file of a condensed set with its images in half precision. Selected real
images are not published: they belong to their dataset.
"""

import hashlib
from pathlib import Path
from typing import Any

from condensation.core import storage
from condensation.core.errors import InputError
from condensation.core.names import NAME, name_error
from condensation.data import sets

FOLDER = Path(__file__).parents[3] / "docs" / "reproduction" / "sets"
INDEX = "index.json"


def find(name: str, folder: Path | None = None) -> Path | None:
    """Return the file of a published set; None if there is no set of this name.

    Raises
    ------
    InputError
        If the file is not the one that the index names.
    """
    row = index(folder).get(name)
    if row is None:
        return None
    path = (folder or FOLDER) / row["file"]
    if not path.is_file() or _checksum(path) != row["sha256"]:
        raise InputError(
            f"{path}: the file of the published set {name} is missing, or is not the one whose "
            f"checksum {INDEX} holds. Check it out again: git checkout -- {path}"
        )
    return path


def index(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Return file, checksum, origin and largest error of each published set, by its name."""
    path = (folder or FOLDER) / INDEX
    return storage.read_json(path)["sets"] if path.is_file() else {}


def publish(source: str | Path, folder: Path | None = None) -> tuple[str, dict[str, Any]]:
    """Add a condensed set to the published ones; return its name and its row of the index.

    Raises
    ------
    InputError
        For a set without images of its own, for one whose method failed, for a snapshot, for a
        dataset, method, IPC or seed that cannot be part of a name, and for a name that another set
        has.
    """
    folder = folder or FOLDER
    tensors, metadata = storage.read_tensors(source)
    sets.check_file(tensors, metadata, source)
    if metadata.get("status", "ok") != "ok":
        raise InputError(f"{source}: not a condensed set with images")
    storage.require(metadata, {"source": str}, source)
    if "indices" in tensors:
        raise InputError(
            f"{source}: selected real images, which belong to {metadata['dataset']}; only "
            "synthesised images are published"
        )
    if "snapshots" in Path(source).absolute().parts:
        raise InputError(f"{source}: a snapshot; only finished sets are published")
    exact, half = tensors["images"], tensors["images"].half()
    parts = _parts_of_name(metadata, source)
    name = "/".join(parts)
    published = index(folder).get(name)
    # no name of the config has a +, so no two sets share a file
    file = published["file"] if published else f"{'+'.join(parts)}.safetensors"
    if (folder / file).parent != folder:
        raise InputError(f"{folder / INDEX}: {name} has the file {file!r}, outside {folder}")
    if published is not None and published["content"] != metadata["content"]:
        raise InputError(
            f"{source}: {folder / published['file']} is another set of the same name, {name}. "
            f"Remove that file and its row of {INDEX} first"
        )
    storage.write_tensors(folder / file, tensors | {"images": half}, metadata)
    row = {
        "file": file,
        "sha256": _checksum(folder / file),
        "bytes": (folder / file).stat().st_size,
        "iterations": metadata.get("iterations"),
        "source": metadata["source"],
        "content": metadata["content"],
        "largest_error": float((half.float() - exact).abs().max()),
    }
    rows = index(folder) | {name: row}
    storage.write_json(folder / INDEX, {"sets": dict(sorted(rows.items()))})
    return name, row


def _parts_of_name(metadata: dict[str, Any], source: str | Path) -> list[str]:
    """Return dataset, method, IPC and, but for the first set, seed, as parts of a name."""
    for key in ("dataset", "method"):
        if not NAME.fullmatch(text := str(metadata.get(key))):
            raise InputError(f"{source}: its {key} {name_error(text)}")
    for key in ("ipc", "seed"):
        if type(metadata.get(key)) is not int:
            raise InputError(
                f"{source}: its {key} is {metadata.get(key)!r}; expected a whole number, as "
                "`condensation condense` and the workflow write it"
            )
    parts = [metadata["dataset"], metadata["method"], f"ipc{metadata['ipc']}"]
    return [*parts, f"set{metadata['seed']}"] if metadata["seed"] else parts


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
