"""Tensor files (safetensors): written atomically, with metadata and a checksum inside.

The checksum covers tensors and metadata. Reading verifies it, so no job uses an altered or
truncated file. Nothing is unpickled. torch is loaded where tensors are read or written: most
tables and figures do without.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from condensation.core.errors import InputError
from condensation.core.tensor_headers import METADATA_KEY
from condensation.core.textfiles import atomic, canonical, read_json, write_json, write_text

if TYPE_CHECKING:
    import torch

__all__ = [
    "atomic",
    "read_json",
    "read_metadata",
    "read_tensors",
    "require",
    "write_json",
    "write_tensors",
    "write_text",
]


def _digest(tensors: Mapping[str, "torch.Tensor"], metadata: Mapping[str, Any]) -> str:
    import torch

    digest = hashlib.sha256(canonical(metadata).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode())
        if tensor.numel():
            digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_tensors(
    path: str | Path, tensors: Mapping[str, "torch.Tensor"], metadata: Mapping[str, Any]
) -> None:
    """Write tensors and metadata (JSON) to ``path``. Equal content gives equal bytes.

    Raises
    ------
    OSError
        If the disk is full or refuses it. An older file at ``path`` stays as it was.
    """
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = json.loads(canonical(metadata))
    content["checksum"] = _digest(plain, content)
    with atomic(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(plain, str(temporary), metadata={METADATA_KEY: canonical(content)})
        except SafetensorError as error:
            if code := re.search(r"os error (\d+)", str(error)):
                number = int(code[1])
                raise OSError(number, os.strerror(number), str(path)) from error
            raise
        temporary.chmod(mode)  # safetensors lets nobody but the owner read


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Return the metadata of a tensor file without reading its tensors, and without torch."""
    with _opened(path, "numpy") as file:
        return _metadata_of(file, path)


def read_tensors(path: str | Path) -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """Return the tensors (memory-mapped) and the metadata of ``path``.

    Raises
    ------
    InputError
        If the file is missing, was not written by this pipeline, or does not match its checksum.
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


def require(metadata: Mapping[str, Any], kinds: Mapping[str, type], path: str | Path) -> None:
    """Raise InputError unless the metadata of ``path`` has these keys, with values of these types.

    Examples
    --------
    >>> require({"name": "digits", "classes": "0"}, {"name": str, "classes": list}, "x")
    Traceback (most recent call last):
    condensation.core.errors.InputError: x: its metadata have the classes '0'; expected list
    """
    for key, kind in kinds.items():
        if key not in metadata:
            raise InputError(f"{path}: its metadata have no `{key}`; the file is incomplete")
        if not isinstance(metadata[key], kind):
            raise InputError(
                f"{path}: its metadata have the {key} {metadata[key]!r}; expected {kind.__name__}"
            )


@contextlib.contextmanager
def _opened(path: str | Path, framework: str = "pt") -> Iterator[Any]:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        file = safe_open(str(path), framework=framework)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: not a readable safetensors file ({error}). If the workflow made it, "
            "delete it and run again"
        ) from error
    with file as opened:
        yield opened


def _metadata_of(file: Any, path: str | Path) -> dict[str, Any]:
    text = (file.metadata() or {}).get(METADATA_KEY)
    if text is None:
        raise InputError(f"{path}: a safetensors file, but without this pipeline's metadata")
    try:
        metadata = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: the metadata was altered ({error})") from error
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: the metadata was altered (not a mapping)")
    return metadata
