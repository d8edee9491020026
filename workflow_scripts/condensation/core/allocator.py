"""The allocator of the C library, which gives a tensor on a CPU its memory.

glibc returns large blocks to the system as soon as they are free, and the system clears each page
again for the next tensor. A step of training frees and allocates gigabytes, so this takes a fifth
to a third of its time (docs/measurements.md).
"""

import ctypes
import platform
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt's parameters in malloc.h
_MOST = 2**31 - 1  # the largest value that mallopt takes


def keep_freed_memory() -> bool:
    """Keep freed blocks of less than 2 GiB in this process, for its next tensors.

    The peak memory of the process may rise by a third, because blocks of other sizes leave gaps.

    Returns
    -------
    bool
        Whether the C library can do this: only glibc, on Linux, can.
    """
    library = _glibc()
    if library is None:
        return False
    return library.mallopt(_MMAP_THRESHOLD, _MOST) + library.mallopt(_TRIM_THRESHOLD, _MOST) == 2


def return_freed_memory() -> None:
    """Return the freed memory that the process keeps to the system, once."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)
