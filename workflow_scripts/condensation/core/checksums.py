"""Checksums of tables, figures, pages and archives.

The checksum of ``x.csv`` is the hidden file ``.x.csv.sha256`` beside it, in the format of
``sha256sum -c``. Tensor files and records hold theirs inside (``condensation.core.storage``).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from condensation.core import storage
from condensation.core.errors import InputError
from condensation.core.hashing import checksum_of

_WITH_CHECKSUM = {".safetensors": storage.read_tensors, ".json": storage.read_json}
_NOT_RESULTS = {"logs", "benchmarks"}  # no job reads them


def beside(path: str | Path) -> Path:
    """Return the path of the checksum of ``path``."""
    path = Path(path).absolute()  # "." has no name
    return path.with_name(f".{path.name}.sha256")


def write(path: str | Path) -> None:
    """Write the checksum of a file, unless the file holds it inside."""
    path = Path(path)
    if path.suffix not in _WITH_CHECKSUM:
        storage.write_text(beside(path), _line(path))


def check(path: str | Path) -> None:
    """Raise InputError if ``path`` does not match its checksum. No checksum is no error."""
    checksum = beside(path)
    if not checksum.is_file():
        return
    if not Path(path).is_file():
        raise InputError(f"{path}: is gone, though its checksum is there. {_again(path)}")
    if checksum.read_bytes() != _line(Path(path)).encode():
        raise InputError(
            f"{path}: does not match the checksum beside it: it was altered or cut short after it "
            f"was made. {_again(path)}"
        )


def _line(path: Path) -> str:
    return f"{checksum_of(path).partition(':')[2]}  {path.name}\n"


def _again(path: str | Path) -> str:
    return f"`snakemake --forcerun {path}` makes it anew"


def verify(folders: Iterable[str | Path]) -> Iterator[tuple[Path, str | None]]:
    """Yield every file below ``folders`` that has a checksum, and its error or None.

    A missing file whose checksum exists is an error.
    """
    for folder in map(Path, folders):
        paths = {path for path in folder.rglob("*") if path.is_file()}
        lost = {path.with_name(path.name[1:-7]) for path in paths if _is_checksum(path)} - paths
        for path in sorted(paths | lost):
            inside = path.relative_to(folder).parts
            if inside[0] in _NOT_RESULTS or path.name.startswith("."):
                continue
            read = _WITH_CHECKSUM.get(path.suffix, check if beside(path).is_file() else None)
            if read is not None:
                try:
                    read(path)
                    yield path, None
                except InputError as error:
                    yield path, str(error)


def _is_checksum(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".sha256")
