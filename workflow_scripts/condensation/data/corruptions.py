"""Common corruptions of images, at five strengths (Hendrycks & Dietterich, 2019).

These are six of the fifteen corruptions of the paper (arXiv:1903.12261), with the published
constants of the authors' scripts: those of CIFAR-10-C for images up to 64 pixels on the shorter
side, else those of ImageNet-C. The scripts truncate pixels to whole levels; here they are rounded.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from condensation.core.errors import InputError, unknown
from condensation.data.pixels import as_uint8

STRENGTHS = (1, 2, 3, 4, 5)
_SMALL = 64  # pixels of the shorter side
_LEAST = 3  # pixels: the blur reflects two at each side
_AT_ONCE = 500  # images; it decides which image gets which noise


def corrupt(
    images: torch.Tensor, name: str, strength: int, generator: torch.Generator
) -> torch.Tensor:
    """Return corrupted copies of images.

    Parameters
    ----------
    images : uint8 [n, C, H, W] on the CPU, grey or RGB.
    name : one of ``NAMES``.
    strength : one of ``STRENGTHS``; 5 damages most.
    generator : draws the noise, image after image.

    Returns
    -------
    torch.Tensor
        uint8, of the same shape.

    Raises
    ------
    InputError
        For another name, strength or kind of image, and for images below 3 x 3 pixels.

    Examples
    --------
    >>> images = torch.full((1, 1, 8, 8), 100, dtype=torch.uint8)
    >>> brighter = corrupt(images, "brightness", 4, torch.Generator())  # by 0.2 of 255
    >>> brighter.unique().tolist()
    [151]
    """
    if name not in _CORRUPTIONS:
        raise InputError(unknown("corruption", name, NAMES))
    if strength not in STRENGTHS:
        raise InputError(f"strength {strength!r} of a corruption; expected 1 to 5")
    shape = tuple(images.shape)
    if images.dtype != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3):
        raise InputError(
            f"cannot corrupt {images.dtype} of shape {shape}; expected uint8 [n, C, H, W] with one "
            "or three channels"
        )
    shorter = min(shape[2:])
    if shorter < _LEAST:
        raise InputError(
            f"cannot corrupt images of {shape[2]} x {shape[3]} pixels; expected {_LEAST} x {_LEAST}"
            " or more"
        )
    corruption = _CORRUPTIONS[name]
    constants = corruption.small if shorter <= _SMALL else corruption.large
    copies = torch.empty_like(images, memory_format=torch.contiguous_format)
    for part, copy in zip(images.split(_AT_ONCE), copies.split(_AT_ONCE), strict=True):
        unit = part.float() / 255
        copy.copy_(as_uint8(corruption.apply(unit, constants[strength - 1], generator)))
    return copies


# Each of these takes pixels on [0, 1], float32 [n, C, H, W], the constant of a strength and a
# generator. The results may leave [0, 1].


def _gaussian_noise(unit: torch.Tensor, std: float, generator: torch.Generator) -> torch.Tensor:
    return unit + std * torch.randn(unit.shape, generator=generator)


def _defocus_blur(
    unit: torch.Tensor, constants: tuple[float, float], generator: torch.Generator
) -> torch.Tensor:
    """Convolve with a disk, whose edge is smoothed; reflect pixels at the border."""
    kernel = _disk(*constants)
    reach = len(kernel) // 2
    planes = F.pad(unit.flatten(0, 1)[:, None], [reach] * 4, mode="reflect")
    return F.conv2d(planes, kernel[None, None]).view(unit.shape)


def _disk(radius: float, smoothing: float) -> torch.Tensor:
    """Return a disk convolved with a small Gaussian kernel; its sum is 1.

    The authors cut off the kernels of radius 8 and 10 at the radius; here they keep their edge.

    Parameters
    ----------
    radius, smoothing : of the disk, and standard deviation of the Gaussian, in pixels.
    """
    reach = 1 if radius <= 8 else 2
    offsets = torch.arange(-reach, reach + 1)
    gaussian = torch.exp(-(offsets**2) / (2 * smoothing**2))
    half = int(radius) + reach
    squares = torch.arange(-half, half + 1) ** 2
    disk = (squares[:, None] + squares <= radius**2).float()[None, None]
    smooth = F.conv2d(disk, torch.outer(gaussian, gaussian)[None, None], padding=reach)[0, 0]
    return smooth / smooth.sum()


def _brightness(unit: torch.Tensor, amount: float, generator: torch.Generator) -> torch.Tensor:
    """Raise the value of each pixel in the colour space HSV."""
    value = unit.amax(1, keepdim=True)
    brighter = (value + amount).clamp(max=1)
    # black has no hue, and turns grey
    return torch.where(value > 0, unit * (brighter / value), brighter)


def _contrast(unit: torch.Tensor, factor: float, generator: torch.Generator) -> torch.Tensor:
    """Move all pixels towards the mean of the channel in their image."""
    means = unit.mean((2, 3), keepdim=True)
    return (unit - means) * factor + means


def _jpeg_compression(unit: torch.Tensor, quality: int, generator: torch.Generator) -> torch.Tensor:
    pixels = as_uint8(unit).movedim(1, 3).numpy()
    result = np.empty_like(pixels)
    for before, after in zip(pixels, result, strict=True):
        buffer = io.BytesIO()
        grey = before.shape[2] == 1
        Image.fromarray(before[..., 0] if grey else before).save(buffer, "JPEG", quality=quality)
        after[:] = np.asarray(Image.open(buffer)).reshape(after.shape)
    return torch.from_numpy(result).movedim(3, 1) / 255


def _pixelate(unit: torch.Tensor, factor: float, generator: torch.Generator) -> torch.Tensor:
    """Shrink images to means over boxes, and enlarge each mean to a block."""
    for axis in (2, 3):
        length = unit.shape[axis]
        boxes = max(1, int(length * factor))
        positions = 2 * torch.arange(length) + 1  # of the centres of pixels, in half pixels
        # the box that a pixel's centre lies in; on the edge of two boxes the earlier
        box = (positions * boxes + 2 * length - 1) // (2 * length) - 1
        shape = list(unit.shape)
        shape[axis] = boxes
        sums = unit.new_zeros(shape).index_add_(axis, box, unit)
        sizes = torch.bincount(box, minlength=boxes).view(-1, *[1] * (3 - axis))
        unit = (sums / sizes).index_select(axis, positions * boxes // (2 * length))
    return unit


@dataclass(frozen=True)
class _Corruption:
    """A corruption and its constants at each strength, for small and for large images."""

    apply: Callable[[torch.Tensor, Any, torch.Generator], torch.Tensor]
    small: tuple[Any, ...]
    large: tuple[Any, ...]


_CORRUPTIONS = {
    "gaussian_noise": _Corruption(
        _gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)
    ),
    "defocus_blur": _Corruption(
        _defocus_blur,
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    ),
    "brightness": _Corruption(_brightness, (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": _Corruption(_contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "jpeg_compression": _Corruption(_jpeg_compression, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
    "pixelate": _Corruption(_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
}
NAMES = tuple(_CORRUPTIONS)
