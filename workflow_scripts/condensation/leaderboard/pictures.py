"""Small pictures of condensed sets, as data URIs."""

import base64
import io

import torch
from PIL import Image
from torchvision.transforms.functional import resize
from torchvision.utils import make_grid

_SIDE = 32  # pixels of a thumbnail
_LOSSLESS = 24_000  # bytes; larger pictures are lossy WebP instead of PNG


def picture_of_set(images: torch.Tensor, classes: int, ipc: int) -> tuple[str, str]:
    """Return the picture of a set as a data URI, a column per class, and its caption.

    ``images`` are its first ones, uint8 [classes, per class, C, H, W]; the set has ``classes`` and
    ``ipc`` images of each.
    """
    columns, rows = images.shape[:2]
    pixels = _sized(images.transpose(0, 1).flatten(0, 1))
    tiled = make_grid(pixels, nrow=columns, padding=1, pad_value=128)
    if images.shape[2] == 1:  # make_grid repeats it
        tiled = tiled[:1]
    caption = f"{columns} of {classes} classes" if columns < classes else f"{classes} classes"
    caption += f", {rows} of {ipc} images each" if rows < ipc else f", {ipc} per class"
    return _uri(tiled), caption


def _sized(pixels: torch.Tensor) -> torch.Tensor:
    """Scale images to about the size of a thumbnail."""
    height, width = pixels.shape[2:]
    longest = max(height, width)
    if longest <= _SIDE:
        times = _SIDE // longest
        return pixels.repeat_interleave(times, 2).repeat_interleave(times, 3)
    size = [max(1, round(side * _SIDE / longest)) for side in (height, width)]
    return resize(pixels, size, antialias=True)


def _uri(pixels: torch.Tensor) -> str:
    array = pixels.permute(1, 2, 0).numpy()
    image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    content, kind = _encoded(image, "PNG", optimize=True), "png"
    if len(content) > _LOSSLESS:
        content, kind = _encoded(image, "WEBP", quality=80, method=6), "webp"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()
