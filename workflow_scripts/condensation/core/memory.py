"""What the config declares of memory, and what of it TM's full graph takes. Free of torch."""

# Memory that a job may count on where the config declares none, and what a student step's graph
# takes of it, by the bytes of the layers' outputs (measured).
DECLARED_MB = 8000
_UNROLLED = 1.7


def unrolled_bytes(outputs: float, batch: int, steps: int) -> float:
    """Return the memory of the graph of TM's student: ``steps`` steps of ``batch`` images.

    ``outputs`` is how many numbers the network's layers put out for an image.
    """
    return _UNROLLED * 4 * steps * batch * outputs


def unroll_fits(outputs: float, batch: int, steps: int, memory_mb: float) -> bool:
    """Return whether that graph takes at most half of the declared memory."""
    return unrolled_bytes(outputs, batch, steps) <= memory_mb * 1e6 / 2
