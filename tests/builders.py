"""Small archives, pictures and results, made on the spot."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image


def encoded(pixels, form="PNG") -> bytes:
    """The file of an image given as uint8 H x W (grey) or H x W x 3."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(buffer, form)
    return buffer.getvalue()


def plain(colour, height=8, width=8, form="PNG") -> bytes:
    """The file of an image of one colour: a number (grey) or three."""
    return encoded(np.broadcast_to(colour, (height, width, *np.shape(colour))), form)


def pack(path: Path, files: dict[str, bytes], kind: str) -> Path:
    """Write ``files`` (name to content) as a folder, tar, tar.gz or zip."""
    if kind == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as archive:
            for name, content in files.items():
                add(archive, name, content)
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **header) -> None:
    """Add a member with these header fields (``type``, ``linkname``, ...)."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in header.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(content))


def networks(cells, **columns):
    """A frame like that of ``tables.runs``: {(method, ipc): one list per condensed set}."""
    rows = []
    for (method, ipc), sets in cells.items():
        for number, values in enumerate(sets):
            for seed, value in enumerate(values):
                rows.append(
                    {
                        **{"dataset": "d", "method": method, "ipc": ipc, "iteration": "end"},
                        **{"architecture": "convnet", "augmentation": "dsa", "optimizer": "sgd"},
                        "labels": "own",
                        **{"condensation_seed": number, "evaluation_seed": seed},
                        **{"status": "ok" if value is not None else "diverged", "accuracy": value},
                        **columns,
                    }
                )
    return pd.DataFrame(rows).astype({"accuracy": float})
