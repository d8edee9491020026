"""Random numbers from a seed and a purpose, never from the clock or a shared state.

Each purpose has its own stream. A new draw in one place therefore changes no number elsewhere, and
a job that resumes at iteration i draws the same numbers as an uninterrupted job.
"""

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def derive_seed(seed: int, *purpose: object) -> int:
    """Return a 63-bit seed for a purpose.

    Examples
    --------
    >>> derive_seed(0, "dm", 17) == derive_seed(0, "dm", 17)
    True
    >>> derive_seed(0, "dm", 17) == derive_seed(0, "dm", 18)
    False
    """
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: object) -> torch.Generator:
    """Return a fresh CPU generator for ``purpose``."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


@contextlib.contextmanager
def seeded(seed: int, *purpose: object) -> Iterator[None]:
    """Run the block with torch's global generators seeded for ``purpose``, then restore them.

    For code that draws from the global generators: initial weights of ``torch.nn``, dropout.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(derive_seed(seed, *purpose))
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(derive_seed(seed, *purpose))
        yield
