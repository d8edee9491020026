"""Differentiable siamese augmentation, DSA (Zhao & Bilen, 2021, arXiv:2102.08259).

Each batch gets one operator, drawn with equal probability, with parameters per image, or with the
same parameters for all images of several batches (siamese). Operators are pure, differentiable
functions of standardised images and parameters; 0 is the mean colour.

A GPU runs all operators at once, the drawn one with its parameters and the others with neutral
ones, so that every draw launches the same operations: a ``packed`` draw holds the parameters of
all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from condensation.core.errors import InputError
from condensation.data.datasets import Dataset

BRIGHTNESS, SATURATION, CONTRAST = 1.0, 2.0, 0.5
CROP, CUTOUT, FLIP, SCALE, ROTATE = 0.125, 0.5, 0.5, 1.2, 15.0


# A row of a packed draw: added brightness; factors of saturation and contrast; the matrix of the
# warp, two rows of three; row and column of the cutout, and 1 if there is one.
NEUTRAL = (0.0, 1.0, 1.0, *(1.0, 0.0, 0.0), *(0.0, 1.0, 0.0), 0.0, 0.0, 0.0)
_COLOR, _WARP, _CUTOUT = slice(0, 3), slice(3, 9), slice(9, 12)


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
    return _color(
        images, (brightness - 0.5) * BRIGHTNESS, saturation * SATURATION, contrast + CONTRAST
    )


def _color(
    images: torch.Tensor, added: torch.Tensor, saturation: torch.Tensor, contrast: torch.Tensor
) -> torch.Tensor:
    added, saturation, contrast = (p.view(-1, 1, 1, 1) for p in (added, saturation, contrast))
    images = images + added
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * saturation + grey
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * contrast + mean


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
    return images * ~_box(images, row, column)


def _box(images: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    """Return where the box is, bool [n or 1, 1, H, W]."""
    inside = []
    for side, centre in zip(images.shape[2:], (row, column), strict=True):
        extent = int(side * CUTOUT + 0.5)
        first = centre.long().view(-1, 1) - extent // 2
        position = torch.arange(side, device=images.device)
        inside.append((position >= first) & (position < first + extent))
    return inside[0][:, None, :, None] & inside[1][:, None, None, :]


def flip(images: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
    """Mirror left and right the images whose ``mirrored`` ([n] or [1]) is true."""
    return torch.where(mirrored.bool().view(-1, 1, 1, 1), images.flip(3), images)


def _warp(images: torch.Tensor, rows: list[list[torch.Tensor]], align: bool) -> torch.Tensor:
    return _sample(images, _matrix(rows), align)


def _matrix(rows: list[list[torch.Tensor]]) -> torch.Tensor:
    """Return matrices [n or 1, 2, 3] from their entries, [n] or [1] each."""
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=1)


def _sample(images: torch.Tensor, matrix: torch.Tensor, align: bool) -> torch.Tensor:
    matrix = matrix.to(images.dtype).expand(len(images), 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=align)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=align)


def scale(
    images: torch.Tensor, x: torch.Tensor, y: torch.Tensor, align: bool = False
) -> torch.Tensor:
    """Sample the image on a grid stretched by x and y ([n] or [1]): below 1 zooms in."""
    return _warp(images, _scaling(x, y), align)


def rotate(images: torch.Tensor, degrees: torch.Tensor, align: bool = False) -> torch.Tensor:
    """Sample the image on a grid turned by ``degrees`` ([n] or [1])."""
    return _warp(images, _turning(degrees), align)


def _scaling(x: torch.Tensor, y: torch.Tensor) -> list[list[torch.Tensor]]:
    zero = torch.zeros_like(x)
    return [[x, zero, zero], [zero, y, zero]]


def _turning(degrees: torch.Tensor) -> list[list[torch.Tensor]]:
    angle = torch.deg2rad(degrees)
    c, s, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return [[c, -s, zero], [s, c, zero]]


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

    def packed(self, drawn: Drawn) -> torch.Tensor:
        """Return a draw as rows of the parameters of all operators, float32 [n or 1, 12].

        Examples
        --------
        >>> import torch
        >>> augment = DSA((1, 8, 8), ["cutout"], align_corners=False)
        >>> augment.packed(Drawn("cutout", torch.tensor([[2.0], [3.0]]))).tolist()
        [[0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0, 3.0, 1.0]]
        """
        first, *others = parameters = drawn.parameters
        rows = torch.tensor(NEUTRAL, dtype=first.dtype).repeat(len(first), 1)
        unit, zero = torch.ones_like(first), torch.zeros_like(first)
        if drawn.operator == "color":
            saturation, contrast = others
            added = (first - 0.5) * BRIGHTNESS
            rows[:, _COLOR] = torch.stack(
                [added, saturation * SATURATION, contrast + CONTRAST], dim=1
            )
        elif drawn.operator == "cutout":
            rows[:, _CUTOUT] = torch.stack([*parameters, unit], dim=1)
        else:
            entries = {
                "crop": lambda: [
                    [unit, zero, self._shift(parameters[1], self.width)],
                    [zero, unit, self._shift(parameters[0], self.height)],
                ],
                "flip": lambda: _scaling(1 - 2 * first, unit),
                "scale": lambda: _scaling(*parameters),
                "rotate": lambda: _turning(first),
            }[drawn.operator]()
            rows[:, _WARP] = _matrix(entries).flatten(1)
        return rows

    def _shift(self, pixels: torch.Tensor, side: int) -> torch.Tensor:
        """Return the entry of the matrix that moves the image by ``pixels``."""
        return -2 * pixels / (side - 1 if self.align else side)

    def apply(self, images: torch.Tensor, drawn: Drawn | torch.Tensor) -> torch.Tensor:
        """Return standardised images [n, C, H, W] with the drawn operator applied; differentiable.

        ``drawn`` is a draw, or a packed one on the device of the images, float32 [n or 1, 12]. The
        two give the same images up to rounding.

        Examples
        --------
        >>> import torch
        >>> augment = DSA((1, 1, 3), ["flip"], align_corners=False)
        >>> augment.apply(torch.tensor([[[[1.0, 2.0, 3.0]]]]), Drawn("flip", torch.ones(1, 1)))
        tensor([[[[3., 2., 1.]]]])
        """
        if isinstance(drawn, torch.Tensor):
            added, saturation, contrast = drawn[:, _COLOR].unbind(1)
            images = _color(images, added, saturation, contrast)
            images = _sample(images, drawn[:, _WARP].view(-1, 2, 3), self.align)
            row, column, present = drawn[:, _CUTOUT].unbind(1)
            hidden = _box(images, row, column) & present.bool().view(-1, 1, 1, 1)
            return images * ~hidden
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
