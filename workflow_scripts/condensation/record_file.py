"""All records and costs of a run in one compressed file, and the records of several runs as one.

A line is a JSON object: the ``path`` below the results, and what the file at that path holds.
"""

import json
import lzma
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from condensation.errors import InputError

Contents = dict[str, dict[str, Any]]  # by path below the results


def pack(contents: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return the file of these records and costs: always the same bytes for the same contents."""
    lines = (json.dumps({"path": path, **content}) + "\n" for path, content in contents.items())
    return lzma.compress("".join(lines).encode())


def unpack(path: str | Path) -> Contents:
    """Return the records and costs of a file, by path; InputError if it is none, or damaged.

    A path that is absolute or leads upwards is refused.
    """
    contents = {}
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                content = json.loads(line)
                contents[content.pop("path")] = content
    except (OSError, EOFError, lzma.LZMAError, ValueError, LookupError, AttributeError) as error:
        raise InputError(
            f"{path}: not a file of records (evidence/records.jsonl.xz), or damaged ({error})"
        ) from error
    except TypeError as error:
        raise InputError(f"{path}: a line is no JSON object with a `path` ({error})") from error
    for name in contents:
        if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{path}: {name!r} is no path below the results")
    return contents


def join(files: Iterable[str | Path]) -> Contents:
    """Return the records of several files as those of one run; of a path in two the first counts.

    Raises InputError where two networks of one cell and seed of condensation
    were trained on different images: such records say nothing of one set.
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
                        f"and {first}) under one name. Leave out the records of one of the sets"
                    )
            contents.setdefault(path, content)
    return contents


def _set_of(content: Mapping[str, Any]) -> tuple[tuple, str] | None:
    if "cell" not in content or not (content.get("set") or {}).get("content"):
        return None
    names = ("dataset", "method", "ipc", "condensation_seed", "iteration")
    return tuple(content["cell"].get(name) for name in names), content["set"]["content"]
