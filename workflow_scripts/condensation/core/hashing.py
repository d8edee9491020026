"""Checksums of whole files. Free of torch."""

import hashlib
from pathlib import Path

_BLOCK_BYTES = 1 << 20


def checksum_of(path: str | Path, kind: str = "sha256") -> str:
    """Return ``kind:hexdigest`` of a file; ``kind`` is md5 or sha256."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()}"
