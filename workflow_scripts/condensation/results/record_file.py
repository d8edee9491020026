"""All records and costs of a run in one compressed file, and several such files joined.

A line is a JSON object: the ``path`` below the results, and the content of that file.
"""

import json
import lzma
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from condensation.core.errors import InputError
from condensation.results.records import Records

Contents = dict[str, dict[str, Any]]  # by path below the results


def pack(contents: Records) -> bytes:
    """Return the compressed file; the same contents give the same bytes."""
    lines = (json.dumps({"path": path, **content}) + "\n" for path, content in contents.items())
    return lzma.compress("".join(lines).encode())


def unpack(path: str | Path) -> Contents:
    """Return the records and costs of a file, by path.

    Raises
    ------
    InputError
        For a missing or damaged file, for a path that is absolute or leads upwards, and for
        a path that occurs twice.
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
        name, content = _parse_line(line, f"{path}, line {number}")
        if name in contents:
            raise InputError(f"{path}, line {number}: {name} occurs twice")
        contents[name] = content
    return contents


def _parse_line(content: Any, where: str) -> tuple[str, dict[str, Any]]:
    name = content.pop("path", None) if isinstance(content, dict) else None
    if not isinstance(name, str) or not name.endswith(".json"):
        raise InputError(f"{where}: expected a JSON object with the `path` of a .json file")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"{where}: {name!r} is no path below the results")
    return name, content


def join(files: Iterable[str | Path]) -> Contents:
    """Return the records of several files as those of one run; of a path in two the first counts.

    Raises
    ------
    InputError
        If networks of one set (dataset, method, IPC, seed, iteration) were trained on
        different images.
    """
    contents: Contents = {}
    first_digests: dict[tuple, tuple[str, str]] = {}
    for file in files:
        for path, content in unpack(file).items():
            if digest := (content.get("set") or {}).get("content") if "cell" in content else None:
                key, where = _set_key(content["cell"]), f"{path} in {file}"
                first, first_where = first_digests.setdefault(key, (digest, where))
                if digest != first:
                    raise InputError(
                        f"{where} and {first_where} judge different images (digests {digest} "
                        f"and {first}) under one name. Join only files whose sets are the same"
                    )
            contents.setdefault(path, content)
    return contents


def _set_key(cell: Mapping[str, Any]) -> tuple:
    names = ("dataset", "method", "ipc", "condensation_seed", "iteration")
    return tuple(cell.get(name) for name in names)
