"""Differentiable siamese augmentation, DSA (Zhao & Bilen, 2021, arXiv:2102.08259).

Each batch gets one operator, drawn with equal probability, with parameters per image, or with the
same parameters for all images of several batches (siamese). Operators are pure, differentiable
functions of standardised images and parameters; 0 is the mean colour.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from condensation.core.errors import InputError
from condensation.data.datasets import Dataset

BRIGHTNESS, SATURATION, CONTRAST = 1.0, 2.0, 0.5
CROP, CUTOUT, FLIP, SCALE, ROTATE = 0.125, 0.5, 0.5, 1.2, 15.0


@dataclass(frozen=True)
class Drawn:
    """An operator's name and its parameters, float32 [k, n]; n is 1 for siamese use."""

    operator: str
    parameters: torch.Tensor


def color(
    images: torch.Tensor, brightness: torch.Tensor, saturation: torch.Tensor, contrast: torch.Tensor
) -> torch.Tensor:
    """Brightness, then saturation, then contrast; each parameter in [0, 1], shape [n] or [1].

    brightness: x + (u - 1/2); saturation: away from the mean over channels by
    the factor 2u; contrast: away from the mean over the image by u + 1/2.
    """
    u, v, w = (p.view(-1, 1, 1, 1) for p in (brightness, saturation, contrast))
    images = images + (u - 0.5) * BRIGHTNESS
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * (v * SATURATION) + grey
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (w + CONTRAST) + mean


def crop(images: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Shift by whole pixels, [n] or [1] each, and fill with 0."""
    n, _, height, width = images.shape
    rows = torch.arange(height, device=images.device) - down.long().view(-1, 1)  # [n or 1, H]
    columns = torch.arange(width, device=images.device) - right.long().view(-1, 1)
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & (
        (columns >= 0) & (columns < width)
    )[:, None, None, :]
    rows = rows.clamp(0, height - 1)[:, None, :, None].expand(n, images.shape[1], -1, width)
    columns = columns.clamp(0, width - 1)[:, None, None, :].expand(n, images.shape[1], height, -1)
    return images.gather(2, rows).gather(3, columns) * inside


def cutout(images: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    """Zero a box of half the height and width around (row, column), [n] or [1] each."""
    keep = []
    for side, centre in zip(images.shape[2:], (row, column), strict=True):
        extent = int(side * CUTOUT + 0.5)
        first = centre.long().view(-1, 1) - extent // 2
        position = torch.arange(side, device=images.device)
        keep.append((position >= first) & (position < first + extent))
    return images * ~(keep[0][:, None, :, None] & keep[1][:, None, None, :])


def flip(images: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
    """Mirror left and right the images whose ``mirrored`` ([n] or [1]) is true."""
    return torch.where(mirrored.bool().view(-1, 1, 1, 1), images.flip(3), images)


def _warp(images: torch.Tensor, rows: list[list[torch.Tensor]], align: bool) -> torch.Tensor:
    matrix = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=1)  # [n or 1, 2, 3]
    matrix = matrix.to(images.dtype).expand(len(images), 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=align)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=align)


def scale(
    images: torch.Tensor, x: torch.Tensor, y: torch.Tensor, align: bool = False
) -> torch.Tensor:
    """Sample the image on a grid stretched by x and y ([n] or [1]): below 1 zooms in."""
    zero = torch.zeros_like(x)
    return _warp(images, [[x, zero, zero], [zero, y, zero]], align)


def rotate(images: torch.Tensor, degrees: torch.Tensor, align: bool = False) -> torch.Tensor:
    """Sample the image on a grid turned by ``degrees`` ([n] or [1])."""
    angle = torch.deg2rad(degrees)
    c, s, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _warp(images, [[c, -s, zero], [s, c, zero]], align)


class DSA:
    """Draws and applies the operators for images of one shape."""

    def __init__(self, shape: tuple[int, int, int], operators: Sequence[str], align_corners: bool):
        self.height, self.width = shape[1:]
        self.operators = tuple(operators)
        self.align = align_corners

    def draw(self, generator: torch.Generator, count: int) -> Drawn:
        """Draw one operator and its parameters for ``count`` images, on the generator's device.

        With ``count`` 1 (siamese) all images get the same parameters.

        Examples
        --------
        >>> import torch
        >>> augment = DSA((1, 8, 8), ["flip"], align_corners=False)
        >>> drawn = augment.draw(torch.Generator().manual_seed(0), count=3)
        >>> drawn.operator, drawn.parameters.shape
        ('flip', torch.Size([1, 3]))
        """
        device = generator.device
        # .item() waits for the device: the operator decides which code runs
        choice = int(
            torch.randint(len(self.operators), (1,), generator=generator, device=device).item()
        )
        operator = self.operators[choice]

        def uniform(low: float, high: float) -> torch.Tensor:
            u = torch.rand(count, generator=generator, device=device)
            return low + (high - low) * u

        def integers(low: int, high: int) -> torch.Tensor:  # both ends included
            return torch.randint(
                low, high + 1, (count,), generator=generator, device=device
            ).float()

        draws: dict[str, Callable[[], list[torch.Tensor]]] = {
            "color": lambda: [uniform(0, 1), uniform(0, 1), uniform(0, 1)],
            "crop": lambda: [
                integers(-shift, shift)
                for shift in (int(self.height * CROP + 0.5), int(self.width * CROP + 0.5))
            ],
            "cutout": lambda: [
                integers(0, side - int(side * CUTOUT + 0.5) % 2)
                for side in (self.height, self.width)
            ],
            "flip": lambda: [(uniform(0, 1) < FLIP).float()],
            "scale": lambda: [uniform(1 / SCALE, SCALE), uniform(1 / SCALE, SCALE)],
            "rotate": lambda: [uniform(-ROTATE, ROTATE)],
        }
        return Drawn(operator, torch.stack(draws[operator]()))

    def apply(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        """Return standardised images [n, C, H, W] with the drawn operator applied; differentiable.

        Examples
        --------
        >>> import torch
        >>> augment = DSA((1, 1, 3), ["flip"], align_corners=False)
        >>> augment.apply(torch.tensor([[[[1.0, 2.0, 3.0]]]]), Drawn("flip", torch.ones(1, 1)))
        tensor([[[[3., 2., 1.]]]])
        """
        parameters = drawn.parameters.to(images.device)
        if drawn.operator == "scale":
            return scale(images, *parameters, align=self.align)
        if drawn.operator == "rotate":
            return rotate(images, *parameters, align=self.align)
        return {"color": color, "crop": crop, "cutout": cutout, "flip": flip}[drawn.operator](
            images, *parameters
        )


def build(dataset: Dataset, operators: Sequence[str], align_corners: bool) -> DSA:
    """Return DSA for images of ``dataset``, without flip if ``dataset.flip`` is false.

    Raises
    ------
    InputError
        If no operator is left.
    """
    kept = [operator for operator in operators if dataset.flip or operator != "flip"]
    if not kept:
        raise InputError(
            f"dsa: no operator is left for {dataset.name}, whose images must not be flipped"
        )
    return DSA(dataset.shape, kept, align_corners)
