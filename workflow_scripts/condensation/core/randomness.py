"""Random numbers from (seed, purpose), never from the clock or a shared state.

Every draw belongs to a stream that is named by what it is for, so adding a
draw in one place moves no number anywhere else, and a job that resumes at
iteration i draws what an undisturbed job would have drawn there.
"""

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def derive_seed(seed: int, *purpose: object) -> int:
    """Return a 63-bit seed for ``purpose``, e.g. ``derive_seed(0, "dm", 17)``."""
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: object) -> torch.Generator:
    """Return a fresh CPU generator for ``purpose``."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


@contextlib.contextmanager
def seeded(seed: int, *purpose: object) -> Iterator[None]:
    """Run the block with torch's global states seeded for ``purpose``, then put them back.

    For code that can only draw from the global state: the default
    initialisation of ``torch.nn`` layers, dropout.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(derive_seed(seed, *purpose))
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(derive_seed(seed, *purpose))
        yield
