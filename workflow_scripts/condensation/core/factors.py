"""How many training images an image can hold. Free of torch."""

from condensation.core.errors import InputError


def check(factor: int, shape: tuple[int, int, int]) -> None:
    """Raise InputError if some of ``factor`` x ``factor`` parts of an image would hold no pixel.

    Parts are as large as ``formation.decode`` cuts them: all alike, the last ones partly padding.
    """
    for side in shape[1:]:
        if (factor - 1) * -(-side // factor) >= side:
            raise InputError(
                f"factor: {factor} leaves parts of images of {shape[1]}x{shape[2]} pixels without "
                "a pixel; use a smaller one (2 is usual for 32x32 images)"
            )
