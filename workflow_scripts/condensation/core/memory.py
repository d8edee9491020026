"""Memory that TM's full graph needs, and whether it fits. Free of torch."""

DECLARED_MB = 8000  # memory of a job if the config declares none
_UNROLLED = 1.7  # bytes of a step's graph per byte of the layers' outputs (measured)


def unrolled_bytes(outputs: float, batch: int, steps: int) -> float:
    """Return the bytes of the graph of TM's student: ``steps`` steps of ``batch`` images.

    ``outputs`` is the number of values that all layers output for one image.
    """
    return _UNROLLED * 4 * steps * batch * outputs


def unroll_fits(outputs: float, batch: int, steps: int, memory_mb: float) -> bool:
    """Return whether that graph takes at most half of the declared memory."""
    return unrolled_bytes(outputs, batch, steps) <= memory_mb * 1e6 / 2
