"""Archives: where the official ones are, how they are fetched, how any one is read.

Nothing is ever extracted to disk: members are checked and read in memory, so
no name inside an archive can become a path outside.
"""

import contextlib
import hashlib
import http.client
import io
import lzma
import os
import re
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from condensation.core.errors import InputError
from condensation.core.hashing import checksum_of

_BLOCK = 1 << 20
_TRIES = 5
MAX_MEMBER_BYTES = 1 << 28  # the largest official member is 30 MB; anything near this is no image
# Names and attributes that stand before a member of a tar, which tarfile reads unasked.
_READ_UNASKED = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_READ_UNASKED += (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
MAX_HEADER_BYTES = 1 << 16
# Packed images shrink little, so what unpacks to far more than its size is made to fill a memory.
_UNPACKED_FREE, _UNPACKED_RATIO = 1 << 30, 100
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    RuntimeError,  # zipfile: encrypted members, and unknown compression
)


@dataclass(frozen=True)
class Archive:
    """An official file: its name, addresses and ``md5:``/``sha256:`` checksum."""

    name: str
    urls: tuple[str, ...]
    checksum: str


_FASHION = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)


def _fashion(name: str, md5: str) -> Archive:
    return Archive(name, tuple(prefix + name for prefix in _FASHION), f"md5:{md5}")


# Addresses and checksums: the data sets' own pages, as torchvision lists them; for TinyImageNet
# the value that its public loaders agree on.
OFFICIAL: dict[str, tuple[Archive, ...]] = {
    "cifar10": (
        Archive(
            "cifar-10-python.tar.gz",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
            "md5:c58f30108f718f92721af3b95e74349a",
        ),
    ),
    "cifar100": (
        Archive(
            "cifar-100-python.tar.gz",
            ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
            "md5:eb9058c3a382ffc7106e4002c42a8d85",
        ),
    ),
    "fashion_mnist": (
        _fashion("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        _fashion("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        _fashion("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        _fashion("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    "tinyimagenet": (
        Archive(
            "tiny-imagenet-200.zip",
            ("http://cs231n.stanford.edu/tiny-imagenet-200.zip",),
            "md5:90528d7ca1a48142e341f4ef8d21d0de",
        ),
    ),
    # no images: what the architectures of NAS-Bench-201 reach, exported from the benchmark
    "nasbench201": (
        Archive(
            "nats_bench.csv",
            (
                "https://raw.githubusercontent.com/v-tao/nats-bench-landscape/"
                "b307ae5fe6e8d7043cd4fe7d1c3532288271adb7/nats_bench.csv",
            ),
            "sha256:cb5d777ec3368be83c8f9b3aa4d520696051cb0eb8d94b8f85b519f9ea4afa3e",
        ),
    ),
}


# What the archives of pickles unpack to: the folder, and its files with the checksums that
# torchvision verifies.
UNPACKED: dict[str, tuple[str, dict[str, str]]] = {
    "cifar10": (
        "cifar-10-batches-py",
        {
            "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
            "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
            "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "md5:40351d587109b95175f43aff81a1287e",
            "batches.meta": "md5:5ff9c542aee3614f3951f8cda6e48888",
        },
    ),
    "cifar100": (
        "cifar-100-python",
        {
            "train": "md5:16019d7e3df5f24257cddd939b257f8d",
            "test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "md5:7973b15100ade9c7d40fb424638fde48",
        },
    ),
}


def official_files(source: str, paths: Sequence[str | Path]) -> list[Path]:
    """Return the official archives of ``source``, or the one folder that they unpack to.

    ``paths`` are the archives themselves, or one folder that holds them or what they unpack to.

    Raises InputError that says what is taken, for what is none of these.
    """
    official = [archive.name for archive in OFFICIAL[source]]
    path = Path(paths[0])
    if len(paths) == len(official) and not path.is_dir():
        return [Path(given) for given in paths]
    expected = f"{', '.join(official)} as distributed, or a folder that holds "
    expected += "it" if len(official) == 1 else "all of them"
    if source in UNPACKED:
        expected += f" or what it unpacks to, {UNPACKED[source][0]}"
    if not path.is_dir():
        raise InputError(f"{path}: expected {expected}")
    if any((path / name).exists() for name in official):  # of several, the job names what is lost
        return [path / name for name in official]
    if source in UNPACKED:
        folder, files = UNPACKED[source]
        for place in (path, path / folder):
            if any((place / name).is_file() for name in files):
                return [place]
    held = sorted(item.name for item in path.iterdir())
    listed = ", ".join(held[:5]) + (", …" if held[5:] else "") if held else "nothing"
    raise InputError(f"{path}: expected {expected}; this folder holds {listed}")


def verify(path: str | Path, expected: str) -> None:
    """Raise InputError unless the file at ``path`` has the checksum ``expected``."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    found = checksum_of(path, expected.partition(":")[0])
    if found != expected:
        raise InputError(
            f"{path}: wrong checksum: {found}, expected {expected}. "
            "The file is damaged, incomplete or another one"
        )


def _verified(path: Path, expected: str) -> bool:
    return checksum_of(path, expected.partition(":")[0]) == expected


def fetch(
    archive: Archive,
    destination: str | Path,
    mirror: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Put the verified ``archive`` at ``destination``; the mirror is tried first.

    A download that breaks off leaves ``destination`` with ``.part`` behind it
    and is continued from there, by the same call or a later one.

    Raises InputError that lists every place tried and what was wrong there.
    """
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(destination.name + ".part")
    places = list(archive.urls)
    if mirror and "://" in mirror:
        places.insert(0, f"{mirror.rstrip('/')}/{archive.name}")
    elif mirror:
        places.insert(0, str(Path(mirror).expanduser() / archive.name))
    failures = []
    for place in places:
        say(f"fetching {place}")
        try:
            if "://" in place:
                resumed = partial.exists()
                _download(place, partial, say)
                if resumed and not _verified(partial, archive.checksum):
                    # what was there may have come from elsewhere
                    say("wrong checksum after continuing: starting over")
                    partial.unlink()
                    _download(place, partial, say)
                found = partial
            else:
                found = destination.with_name(destination.name + ".copy")
                try:
                    shutil.copyfile(place, found)
                except OSError:
                    found.unlink(missing_ok=True)
                    raise
            try:
                verify(found, archive.checksum)
            except InputError:
                found.unlink()  # never continue from wrong bytes
                raise
            with found.open("rb") as file:
                os.fsync(file.fileno())
            found.replace(destination)
            partial.unlink(missing_ok=True)
            return
        except (InputError, OSError, http.client.HTTPException) as error:
            reason = re.sub(r"^.*?\.(part|copy): ", "", str(error))
            failures.append(f"  {place}: {reason}")
            say(f"failed: {reason}")
    raise InputError(
        f"{archive.name}: could not be fetched from\n" + "\n".join(failures) + "\n"
        "Put the file into a folder and name that folder in the config as data.mirror, "
        "or its own place as the dataset's path"
    )


def _download(url: str, partial: Path, say: Callable[[str], None]) -> None:
    """Append to ``partial`` until the whole of ``url`` is there; several tries, each resuming."""
    for attempt in range(1, _TRIES + 1):
        have = partial.stat().st_size if partial.exists() else 0
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                resumed = answer.status == 206
                length = answer.headers.get("Content-Length")
                total = int(length) + (have if resumed else 0) if length else None
                with partial.open("ab" if resumed else "wb") as file:
                    if resumed:
                        say(f"continuing at byte {have}")
                    shutil.copyfileobj(answer, file, _BLOCK)
            got = partial.stat().st_size
            if total is None or got >= total:
                return
            problem: Exception = OSError(f"the connection ended at byte {got} of {total}")
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing left to ask for: the checksum will judge
                return
            if error.code < 500 and error.code not in (408, 429):
                raise
            problem = error
        except (OSError, http.client.HTTPException) as error:
            problem = error
        if attempt == _TRIES:
            raise problem
        say(f"attempt {attempt} of {_TRIES}: {problem}; trying again")
        time.sleep(min(0.2 * 2**attempt, 30))


def members(
    path: str | Path, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the wanted regular files of a folder, tar or zip; as ``opened``."""
    with _damage_named(Path(path)):
        for name, file in opened(path, wanted):
            yield name, file.read()


def opened(
    path: str | Path, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, BinaryIO]]:
    """Yield (name, file) of the wanted regular files of a folder, tar or zip.

    A file is open, and seekable, until the next is asked for. Names are relative,
    with forward slashes; a leading ``./`` is dropped. ``wanted`` is asked about
    folders too, by a name that ends in a slash; they are not yielded.

    Raises InputError for what is neither, for a damaged or truncated archive,
    for any member, wanted or not, whose name leaves the archive or that is
    a link or a device, and for what unpacks to more than ``unpacked_limit``.
    """
    path = Path(path)
    if path.is_dir():
        for name, place in files_below(path):
            if wanted(name) and not name.endswith("/"):
                with place.open("rb") as file:
                    yield name, file
        return
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    with _damage_named(path):
        tar = _opened_tar(path)
        if tar is not None:  # first: a zip inside a tar looks like a zip at its end
            with tar:
                yield from _tar_members(path, tar, wanted)
        elif zipfile.is_zipfile(path):
            yield from _zip_members(path, wanted)
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


def listing_digest(folder: Path) -> str:
    """Return 16 hex digits of the names and sizes of all files below ``folder``."""
    lines = [f"{name} {path.stat().st_size}" for name, path in files_below(folder)]
    # names need not be UTF-8
    return hashlib.sha256(os.fsencode("\n".join(sorted(lines)))).hexdigest()[:16]


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (relative name, file), folders with a slash, sorted; links are followed, each once."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = Path(parent).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        if real != folder.resolve():
            yield Path(parent).relative_to(folder).as_posix() + "/", Path(parent)
        for file in sorted(files):
            path = Path(parent, file)
            if not path.is_file():
                raise InputError(f"{path}: a link that leads nowhere, or no regular file")
            yield path.relative_to(folder).as_posix(), path


def unpacked_limit(path: str | Path) -> int:
    """Return to how many bytes a packed file may unpack: a hundred times its size, or 1 GiB."""
    return max(_UNPACKED_FREE, _UNPACKED_RATIO * Path(path).stat().st_size)


def check_unpacked(path: str | Path, size: int) -> None:
    """Raise InputError if ``size`` is more than ``path`` may unpack to."""
    if size > unpacked_limit(path):
        raise InputError(
            f"{path}: unpacks to {size} bytes or more; at most {unpacked_limit(path)} are allowed, "
            f"which is {_UNPACKED_RATIO} times its size or 1 GiB"
        )


def _zip_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, BinaryIO]]:
    with zipfile.ZipFile(path) as archive:
        check_unpacked(path, sum(entry.file_size for entry in archive.infolist()))
        for entry in archive.infolist():
            name = _safe_name(path, _zip_name(entry))
            kind = entry.external_attr >> 28  # the Unix file type, 0 where none was stored
            if kind not in (0, 0o4, 0o10):
                raise InputError(f"{path}: {entry.filename!r} is a link or a device, not a file")
            if not wanted(name + "/" * entry.is_dir()) or entry.is_dir():
                continue
            _check_size(path, name, entry.file_size)
            with archive.open(entry) as file:
                yield name, file


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The name in a zip; macOS writes UTF-8 without the flag that says so."""
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
            if header.type in _READ_UNASKED and header.size > MAX_HEADER_BYTES:
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
    path: Path, archive: tarfile.TarFile, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, BinaryIO]]:
    while (entry := archive.next()) is not None:
        name = _safe_name(path, entry.name)
        if not (entry.isreg() or entry.isdir()):
            raise InputError(f"{path}: {entry.name!r} is a link or a device, not a file")
        check_unpacked(path, archive.offset)  # the end of this member, before it is read
        if wanted(name + "/" * entry.isdir()) and not entry.isdir():
            _check_size(path, name, entry.size)
            file = archive.extractfile(entry)
            assert file is not None  # regular, as just checked
            yield name, io.BytesIO(file.read())  # to go back in a packed file is to start it anew
        archive.members = []  # or tarfile would keep every header of a long archive
    # tarfile takes a damaged header, or the end of the file, for the end of the archive
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise InputError(
            f"{path}: the archive is damaged or truncated: no end mark after its last member"
        )
    end = archive.offset
    while block := archive.fileobj.read(_BLOCK):  # to the end of a packed stream, for its checksum
        check_unpacked(path, end := end + len(block))


def _safe_name(path: Path, name: str) -> str:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or (pure.parts and ":" in pure.parts[0]):
        raise InputError(f"{path}: the member name {name!r} leads out of the archive")
    if "\0" in name:
        raise InputError(f"{path}: the member name {name!r} holds a zero byte")
    return pure.as_posix()


def _check_size(path: Path, name: str, size: int) -> None:
    if size > MAX_MEMBER_BYTES:
        raise InputError(
            f"{path}: {name!r} unpacks to {size} bytes; at most {MAX_MEMBER_BYTES} are allowed"
        )
