"""All records and costs of a run in one compressed file, and the records of several runs as one.

A line is a JSON object: the ``path`` below the results, and what the file at that path holds.
"""

import json
import lzma
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from condensation.core.errors import InputError

Contents = dict[str, dict[str, Any]]  # by path below the results


def pack(contents: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return the file of these records and costs: always the same bytes for the same contents."""
    lines = (json.dumps({"path": path, **content}) + "\n" for path, content in contents.items())
    return lzma.compress("".join(lines).encode())


def unpack(path: str | Path) -> Contents:
    """Return the records and costs of a file, by path.

    Raises InputError for a file that is none, or damaged, for a path that is
    absolute or leads upwards, and for a path that is there twice.
    """
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file of records") from error
    except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
        raise InputError(
            f"{path}: not a file of records (evidence/records.jsonl.xz), or damaged ({error})"
        ) from error
    contents: Contents = {}
    for number, line in enumerate(lines, 1):
        name, content = _entry(line, f"{path}, line {number}")
        if name in contents:
            raise InputError(f"{path}, line {number}: {name} is there twice")
        contents[name] = content
    return contents


def _entry(content: Any, where: str) -> tuple[str, dict[str, Any]]:
    name = content.pop("path", None) if isinstance(content, dict) else None
    if not isinstance(name, str) or not name.endswith(".json"):
        raise InputError(f"{where}: expected a JSON object with the `path` of a .json file")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"{where}: {name!r} is no path below the results")
    return name, content


def join(files: Iterable[str | Path]) -> Contents:
    """Return the records of several files as those of one run; of a path in two the first counts.

    Raises InputError where two networks of one set (dataset, method, IPC, seed,
    iteration) were trained on different images: such records say nothing of one set.
    """
    contents: Contents = {}
    trained_on: dict[tuple, tuple[str, str]] = {}
    for file in files:
        for path, content in unpack(file).items():
            if found := _set_of(content):
                key, images = found
                first, where = trained_on.setdefault(key, (images, f"{path} in {file}"))
                if images != first:
                    raise InputError(
                        f"{path} in {file} and {where} judge different images (digests {images} "
                        f"and {first}) under one name. Join only files whose sets are the same"
                    )
            contents.setdefault(path, content)
    return contents


def _set_of(content: Mapping[str, Any]) -> tuple[tuple, str] | None:
    if "cell" not in content or not (content.get("set") or {}).get("content"):
        return None
    names = ("dataset", "method", "ipc", "condensation_seed", "iteration")
    return tuple(content["cell"].get(name) for name in names), content["set"]["content"]
