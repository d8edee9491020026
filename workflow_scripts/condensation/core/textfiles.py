"""Text and JSON files, written atomically; JSON with a checksum inside. Free of torch."""

import contextlib
import glob
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from condensation.core.errors import InputError


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, and rename it to ``path`` if the block succeeds.

    If the block raises, the temporary file is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # unique to this process: a job may outlive its Snakemake and run beside its successor
    prefix = f".{path.name}.{platform.node()}-"
    for part in path.parent.glob(glob.escape(prefix) + "*.part"):
        if not _runs(part.name.removeprefix(prefix).removesuffix(".part")):
            part.unlink(missing_ok=True)
    temporary = path.with_name(f"{prefix}{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _runs(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:  # another user's
        pass
    return True


def canonical(content: Any) -> str:
    """Return JSON that is the same text for equal content. NaN raises ValueError."""
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as indented JSON with a checksum inside."""
    plain = json.loads(canonical(content))
    plain["checksum"] = hashlib.sha256(canonical(plain).encode()).hexdigest()
    write_text(path, _indented(plain))


def _indented(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read_json(path: str | Path) -> dict[str, Any]:
    """Return what ``write_json`` wrote.

    Raises
    ------
    InputError
        If the file is missing, is not JSON, or was altered.
    """
    try:
        text = Path(path).read_bytes().decode()
        content = json.loads(text)
        as_written = _indented(content)
        checksum = content.pop("checksum")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: not a record of this pipeline ({error!r})") from error
    # compare the text too: a record that lost its last newline was cut short
    if text != as_written or hashlib.sha256(canonical(content).encode()).hexdigest() != checksum:
        raise InputError(
            f"{path}: the content does not match the checksum inside it: the file was altered. "
            "Delete it and run again; the workflow makes it anew"
        )
    return content


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
