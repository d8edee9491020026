"""How many training images an image can hold. Free of torch."""


def problem(factor: int, shape: tuple[int, int, int]) -> str | None:
    """Return the message if some of ``factor`` x ``factor`` parts of an image hold no pixel.

    Parts are as large as ``formation.decode`` cuts them: all alike, the last ones partly padding.
    """
    if all((factor - 1) * -(-side // factor) < side for side in shape[1:]):
        return None
    return (
        f"factor: {factor} leaves parts of images of {shape[1]}x{shape[2]} pixels without a pixel; "
        "use a smaller one (2 is usual for 32x32 images)"
    )
