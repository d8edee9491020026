"""Checksums of files that have no room for one inside: tables, figures, pages, archives.

Each lies beside its file, hidden, in the form that ``sha256sum -c`` reads.
Tensor files and records carry their own (``condensation.core.storage``).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from condensation.core import storage
from condensation.core.errors import InputError
from condensation.core.hashing import checksum_of

_OWN = {".safetensors": storage.read_tensors, ".json": storage.read_json}
_NOT_RESULTS = {"logs", "benchmarks"}  # of Snakemake and of the jobs: nothing is made from them


def beside(path: str | Path) -> Path:
    """Return where the checksum of ``path`` is."""
    path = Path(path)
    return path.with_name(f".{path.name}.sha256")


def write(path: str | Path) -> None:
    """Write the checksum of a file, unless its form holds one inside."""
    path = Path(path)
    if path.suffix not in _OWN:
        storage.write_text(beside(path), _line(path))


def check(path: str | Path) -> None:
    """Raise InputError if ``path`` is not what its checksum says; without one, it is taken."""
    written = beside(path)
    if not written.is_file():
        return
    if not Path(path).is_file():
        raise InputError(f"{path}: is gone, though its checksum is there. {_again(path)}")
    if written.read_bytes() != _line(Path(path)).encode():
        raise InputError(
            f"{path}: does not match the checksum beside it: it was altered or cut short after it "
            f"was made. {_again(path)}"
        )


def _line(path: Path) -> str:
    return f"{checksum_of(path).partition(':')[2]}  {path.name}\n"


def _again(path: str | Path) -> str:
    return f"`snakemake --forcerun {path}` makes it anew"


def verify(folders: Iterable[str | Path]) -> Iterator[tuple[Path, str | None]]:
    """Yield every file with a checksum below ``folders``, and what is wrong with it, or None.

    A file whose checksum is there and which is not counts as wrong.
    """
    for folder in map(Path, folders):
        paths = {path for path in folder.rglob("*") if path.is_file()}
        lost = {path.with_name(path.name[1:-7]) for path in paths if _is_checksum(path)} - paths
        for path in sorted(paths | lost):
            inside = path.relative_to(folder).parts
            if inside[0] in _NOT_RESULTS or path.name.startswith("."):
                continue
            read = _OWN.get(path.suffix, check if beside(path).is_file() else None)
            if read is not None:
                try:
                    read(path)
                    yield path, None
                except InputError as error:
                    yield path, str(error)


def _is_checksum(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".sha256")
