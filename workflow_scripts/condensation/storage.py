"""Files that flow between the rules: safetensors and JSON, atomic and checksummed.

A tensor file holds named tensors and one JSON object of metadata; a checksum
over both is kept inside and verified on reading, so a file that was cut short
or altered is noticed before it is used. Nothing here unpickles anything.
"""

import contextlib
import glob
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from condensation.errors import InputError

_KEY = "condensation"  # the single metadata key: safetensors does not keep the order of several


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` if the block succeeds.

    Raises whatever the block raises, after removing the temporary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # a name of this process alone: a job whose Snakemake was killed lives on beside its successor
    prefix = f".{path.name}.{platform.node()}-"
    for left in path.parent.glob(glob.escape(prefix) + "*.part"):
        if not _runs(left.name.removeprefix(prefix).removesuffix(".part")):
            left.unlink(missing_ok=True)
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


def _canonical(content: Any) -> str:
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _digest(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(_canonical(metadata).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode())
        if tensor.numel():
            digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_tensors(
    path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write ``tensors`` and JSON-able ``metadata`` to ``path``; same content, same bytes.

    Raises OSError where the disk does not take it; then what was there is there still.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = json.loads(_canonical(metadata))
    content["checksum"] = _digest(plain, content)
    with atomic(path) as temporary:
        try:
            save_file(plain, str(temporary), metadata={_KEY: _canonical(content)})
        except SafetensorError as error:
            if code := re.search(r"os error (\d+)", str(error)):
                number = int(code[1])
                raise OSError(number, os.strerror(number), str(path)) from error
            raise


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Return the metadata of a tensor file without reading its tensors."""
    with _opened(path) as file:
        return _metadata_of(file, path)


def read_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors (memory-mapped) and the metadata of ``path``.

    Raises InputError if the file is missing, is not one of ours, or does not
    match the checksum written inside it.
    """
    with _opened(path) as file:
        metadata = _metadata_of(file, path)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    checksum = metadata.pop("checksum", None)
    if _digest(tensors, metadata) != checksum:
        raise InputError(
            f"{path}: the content does not match the checksum inside it: the file was altered "
            "or cut short. Delete it and run again; the workflow makes it anew"
        )
    return tensors, metadata


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        file = safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: not a readable safetensors file ({error}). If the workflow made it, "
            "delete it and run again"
        ) from error
    with file as opened:
        yield opened


def _metadata_of(file: Any, path: str | Path) -> dict[str, Any]:
    text = (file.metadata() or {}).get(_KEY)
    if text is None:
        raise InputError(f"{path}: a safetensors file, but without this pipeline's metadata")
    try:
        metadata = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: the metadata was altered ({error})") from error
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: the metadata was altered (not a mapping)")
    return metadata


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as indented JSON with a checksum of itself."""
    plain = json.loads(_canonical(content))
    plain["checksum"] = hashlib.sha256(_canonical(plain).encode()).hexdigest()
    write_text(path, _indented(plain))


def _indented(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read_json(path: str | Path) -> dict[str, Any]:
    """Return what ``write_json`` wrote.

    Raises InputError if the file is missing, is not JSON, or is not those bytes any more.
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
    # the text too: a record without its last newline was cut short, though it says the same
    if text != as_written or hashlib.sha256(_canonical(content).encode()).hexdigest() != checksum:
        raise InputError(
            f"{path}: the content does not match the checksum inside it: the file was altered. "
            "Delete it and run again; the workflow makes it anew"
        )
    return content


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` through a temporary name."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
