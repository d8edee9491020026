"""Safe reading of folders, tar and zip archives.

Nothing is extracted to disk: members are checked and read in memory, so no name inside an archive
can become a path outside it.
"""

import contextlib
import hashlib
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from condensation.core.errors import InputError
from condensation.core.hashing import checksum_of

_BLOCK = 1 << 20
MAX_MEMBER_BYTES = 1 << 28  # the largest official member is 30 MB; no image is near this size
# Types of tar headers that hold long names and attributes; tarfile reads them into memory unasked.
_METADATA_HEADERS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_METADATA_HEADERS += (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
MAX_HEADER_BYTES = 1 << 16
# Images compress little; an archive that unpacks to far more than its size is made to fill memory.
_UNPACKED_FREE, _UNPACKED_RATIO = 1 << 30, 100
# Files and folders that systems create, in lower case; hidden names are skipped anyway.
_OF_SYSTEMS = {
    *("__macosx", "@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot"),
    *("$recycle.bin", "system volume information", "lost+found", "__pycache__"),
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"),
}
MANIFEST, CHOSEN = "manifest.csv", "chosen.csv"  # tables that an export writes beside pictures
# Endings of images that are always compressed, so that other content has another size.
_COMPRESSED = {
    *(".apng", ".avif", ".avifs", ".gif", ".heic", ".heif", ".hif", ".j2c", ".j2k", ".jfif"),
    *(".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".jxl", ".mpo", ".png", ".webp"),
}
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    RuntimeError,  # zipfile: encrypted members, and unknown compression
)


def verify(path: str | Path, expected: str) -> None:
    """Raise InputError unless the file at ``path`` has the checksum ``expected``."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    _compare(checksum_of(path, expected.partition(":")[0]), expected, path)


def verify_content(content: bytes, expected: str, where: str | Path) -> None:
    """Raise InputError unless ``content`` has the checksum ``expected``."""
    kind = expected.partition(":")[0]
    digest = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
    _compare(f"{kind}:{digest}", expected, where)


def _compare(checksum: str, expected: str, where: str | Path) -> None:
    if checksum != expected:
        raise InputError(
            f"{where}: wrong checksum: {checksum}, expected {expected}. "
            "The file is damaged, incomplete or another file"
        )


def members(
    path: str | Path, select: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the selected files of a folder, tar or zip; see ``opened``."""
    with _damage_named(Path(path)):
        for name, file in opened(path, select):
            yield name, file.read()


def opened(
    path: str | Path, select: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, BinaryIO]]:
    """Yield (name, file) of the selected regular files of a folder, tar or zip.

    A file stays open, and can be searched, until the next one is drawn. Names are relative, with
    forward slashes and without a leading ``./``.

    Parameters
    ----------
    select : name -> whether to yield the file. Also called for each folder, with a name that ends
        in a slash; folders are never yielded.

    Raises
    ------
    InputError
        If ``path`` is neither a folder nor an archive, if the archive is damaged or truncated or
        unpacks to more than ``unpacked_limit``, if it holds a selected member twice, or if any
        member, selected or not, has a name that leads out of the archive, or is a link or a device.
    """
    path = Path(path)
    if path.is_dir():
        for name, file_path in files_below(path, select):
            if not name.endswith("/"):
                with file_path.open("rb") as file:
                    yield name, file
        return
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    with _damage_named(path):
        tar = _opened_tar(path)
        if tar is not None:  # before zip: a zip as last member of a tar looks like a zip
            with tar:
                yield from _tar_members(path, tar, select)
        elif zipfile.is_zipfile(path):
            yield from _zip_members(path, select)
        else:
            raise InputError(f"{path}: neither a folder nor a readable tar or zip archive")


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    if path.is_dir():
        yield
        return
    try:
        yield
    except _DAMAGED as error:
        raise InputError(f"{path}: the archive is damaged or truncated ({error})") from error


def why_aside(name: str) -> str | None:
    """Return why the file or folder ``name`` is never read, judged by its parts; None if it may."""
    parts = PurePosixPath(name).parts
    if any(part.lower() in _OF_SYSTEMS for part in parts):
        return "made by the system (@eaDir, __MACOSX, Thumbs.db and the like)"
    if any(part.startswith(".") for part in parts):
        return "hidden (a leading dot)"
    return None


def is_picture(name: str) -> bool:
    """Return whether a file of a set's folder of pictures is read as one.

    The tables of ``condensation export``, hidden files and those of systems are not.
    """
    return name not in (MANIFEST, CHOSEN) and why_aside(name) is None


def listing_digest(folder: Path, select: Callable[[str], bool] = lambda name: True) -> str:
    """Return 16 hex digits of the names and sizes of the selected files below ``folder``.

    Other content has the same size in formats that do not compress. The modification time of their
    files, in nanoseconds, counts too.
    """
    lines = []
    for name, path in files_below(folder, select):
        file = path.stat()
        if name.endswith("/"):  # its size and time change with files that are not read
            lines.append(name)
        elif path.suffix.lower() in _COMPRESSED:
            lines.append(f"{name} {file.st_size}")
        else:
            lines.append(f"{name} {file.st_size} {file.st_mtime_ns}")
    # names need not be UTF-8
    return hashlib.sha256(os.fsencode("\n".join(sorted(lines)))).hexdigest()[:16]


def files_below(
    folder: Path, select: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, Path]]:
    """Yield (relative name, path) of what is selected, sorted; folder names end in a slash.

    Links are followed, except one to a folder that it lies in. A folder that several links lead to
    comes once for each.

    Raises
    ------
    InputError
        If a folder cannot be listed, unless ``why_aside`` it is, or a selected link leads nowhere.
    """

    def refuse(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix()
        if not (isinstance(error, FileNotFoundError) or why_aside(name)):  # removed, or not read
            raise InputError(f"{error.filename}: cannot be listed ({error.strerror})") from error

    real: dict[Path, Path] = {}  # path -> the folder without links
    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(parent)
        real[here] = here.resolve()
        if here != folder:
            above = here.relative_to(folder).parents
            if real[here] in (real[folder / name] for name in above):
                folders.clear()
                continue
            if select(name := here.relative_to(folder).as_posix() + "/"):
                yield name, here
        folders.sort()
        for file in sorted(files):
            path = here / file
            if not select(name := path.relative_to(folder).as_posix()):
                continue
            if not path.is_file():
                raise InputError(f"{path}: a link that leads nowhere, or no regular file")
            yield name, path


def unpacked_limit(path: str | Path) -> int:
    """Return how many bytes an archive may unpack to: 100 times its size, at least 1 GiB."""
    return max(_UNPACKED_FREE, _UNPACKED_RATIO * Path(path).stat().st_size)


def check_unpacked(path: str | Path, size: int) -> None:
    """Raise InputError if ``size`` bytes are more than the archive may unpack to."""
    if size > unpacked_limit(path):
        raise InputError(
            f"{path}: unpacks to {size} bytes or more; at most {unpacked_limit(path)} are allowed, "
            f"which is {_UNPACKED_RATIO} times its size or 1 GiB"
        )


def _zip_members(path: Path, select: Callable[[str], bool]) -> Iterator[tuple[str, BinaryIO]]:
    with zipfile.ZipFile(path) as archive:
        check_unpacked(path, sum(entry.file_size for entry in archive.infolist()))
        seen: set[str] = set()
        for entry in archive.infolist():
            name = _safe_name(path, _zip_name(entry))
            kind = entry.external_attr >> 28  # the Unix file type, 0 where none was stored
            if kind not in (0, 0o4, 0o10):
                raise InputError(f"{path}: {entry.filename!r} is a link or a device, not a file")
            if not select(name + "/" * entry.is_dir()) or entry.is_dir():
                continue
            _check_size(path, name, entry.file_size)
            _check_new(path, name, seen)
            with archive.open(entry) as file:
                yield name, file


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """Return the name of a member; macOS writes UTF-8 without setting the flag for it."""
    try:
        if not entry.flag_bits & 0x800:
            return entry.filename.encode("cp437").decode()
    except UnicodeError:
        pass
    return entry.filename


def _opened_tar(path: Path) -> tarfile.TarFile | None:
    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "Header":
            header = super().frombuf(buf, encoding, errors)
            if header.type in _METADATA_HEADERS and header.size > MAX_HEADER_BYTES:
                raise InputError(
                    f"{path}: a name or attribute of {header.size} bytes; at most "
                    f"{MAX_HEADER_BYTES} are allowed"
                )
            return header

    try:
        return tarfile.open(path, tarinfo=Header)
    except tarfile.TarError:
        return None


def _tar_members(
    path: Path, archive: tarfile.TarFile, select: Callable[[str], bool]
) -> Iterator[tuple[str, BinaryIO]]:
    seen: set[str] = set()
    while (entry := archive.next()) is not None:
        name = _safe_name(path, entry.name)
        if not (entry.isreg() or entry.isdir()):
            raise InputError(f"{path}: {entry.name!r} is a link or a device, not a file")
        check_unpacked(path, archive.offset)  # the end of this member, before it is read
        if select(name + "/" * entry.isdir()) and not entry.isdir():
            _check_size(path, name, entry.size)
            _check_new(path, name, seen)
            file = archive.extractfile(entry)
            assert file is not None  # regular, as just checked
            yield name, io.BytesIO(file.read())  # seeking back would unpack again
        archive.members = []  # otherwise tarfile keeps all headers of a long archive
    # tarfile mistakes a damaged header and the end of the file for the end of the archive
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise InputError(
            f"{path}: the archive is damaged or truncated: no end mark after its last member"
        )
    end = archive.offset
    while block := archive.fileobj.read(_BLOCK):  # read to the end, which verifies the checksum
        check_unpacked(path, end := end + len(block))


def _safe_name(path: Path, name: str) -> str:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or (pure.parts and ":" in pure.parts[0]):
        raise InputError(f"{path}: the member name {name!r} leads out of the archive")
    if "\0" in name:
        raise InputError(f"{path}: the member name {name!r} holds a zero byte")
    return pure.as_posix()


def _check_new(path: Path, name: str, seen: set[str]) -> None:
    if name in seen:
        raise InputError(
            f"{path}: holds {name!r} twice; unpack it, which keeps the last version, and pack the "
            "folder into a new archive"
        )
    seen.add(name)


def _check_size(path: Path, name: str, size: int) -> None:
    if size > MAX_MEMBER_BYTES:
        raise InputError(
            f"{path}: {name!r} unpacks to {size} bytes; at most {MAX_MEMBER_BYTES} are allowed"
        )
