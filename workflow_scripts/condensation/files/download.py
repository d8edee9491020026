"""Download of official archives: several addresses, resumed after a break, verified."""

import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from condensation.core.errors import InputError
from condensation.files.archives import checksum_of, verify
from condensation.files.official import Archive

_BLOCK = 1 << 20
_TRIES = 5


def fetch(
    archive: Archive,
    destination: str | Path,
    mirror: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Download an archive to ``destination`` and verify it.

    An interrupted download leaves ``<destination>.part``; this call or a later one resumes it.

    Parameters
    ----------
    mirror : a URL or a folder that is tried before the archive's own addresses.
    say : takes the messages about progress.

    Raises
    ------
    InputError
        If no address gives the archive; lists each address with the reason.
    """
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(destination.name + ".part")
    addresses = list(archive.urls)
    if mirror and "://" in mirror:
        addresses.insert(0, f"{mirror.rstrip('/')}/{archive.name}")
    elif mirror:
        addresses.insert(0, str(Path(mirror).expanduser() / archive.name))
    failures = []
    for address in addresses:
        say(f"fetching {address}")
        try:
            if "://" in address:
                resumed = partial.exists()
                _download(address, partial, say)
                if resumed and not _has_checksum(partial, archive.checksum):
                    # the first part may come from another file
                    say("wrong checksum after continuing: starting over")
                    partial.unlink()
                    _download(address, partial, say)
                file_path = partial
            else:
                file_path = destination.with_name(destination.name + ".copy")
                try:
                    shutil.copyfile(address, file_path)
                except OSError:
                    file_path.unlink(missing_ok=True)
                    raise
            try:
                verify(file_path, archive.checksum)
            except InputError:
                file_path.unlink()  # never resume from wrong bytes
                raise
            with file_path.open("rb") as file:
                os.fsync(file.fileno())
            file_path.replace(destination)
            partial.unlink(missing_ok=True)
            return
        except (InputError, OSError, http.client.HTTPException) as error:
            reason = re.sub(r"^.*?\.(part|copy): ", "", str(error))
            failures.append(f"  {address}: {reason}")
            say(f"failed: {reason}")
    raise InputError(
        f"{archive.name}: could not be fetched from\n" + "\n".join(failures) + "\n"
        "Put the file into a folder and set data.mirror to that folder in the config, "
        "or set the dataset's path to the file"
    )


def _download(url: str, partial: Path, say: Callable[[str], None]) -> None:
    """Append to ``partial`` until it holds all of ``url``; up to ``_TRIES`` tries, each resumes."""
    for attempt in range(1, _TRIES + 1):
        size = partial.stat().st_size if partial.exists() else 0
        request = urllib.request.Request(url, headers={"Range": f"bytes={size}-"} if size else {})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                resumed = response.status == 206
                length = response.headers.get("Content-Length")
                total = int(length) + (size if resumed else 0) if length else None
                with partial.open("ab" if resumed else "wb") as file:
                    if resumed:
                        say(f"continuing at byte {size}")
                    shutil.copyfileobj(response, file, _BLOCK)
            size = partial.stat().st_size
            if total is None or size >= total:
                return
            problem: Exception = OSError(f"the connection ended at byte {size} of {total}")
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the file is complete; its checksum decides
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


def _has_checksum(path: Path, expected: str) -> bool:
    return checksum_of(path, expected.partition(":")[0]) == expected
