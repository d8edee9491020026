"""Figure 8 and ``condensed_<dataset>``: the images of condensed sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from matplotlib.figure import Figure, SubFigure

from condensation.figures import style

_WIDEST = 15.0  # inches; further panels start a new line


@dataclass(frozen=True)
class Pictures:
    """The drawn images of one dataset.

    Attributes
    ----------
    images : by title of the method, uint8 [classes, per class, C, H, W].
    classes : names of the drawn classes.
    title : above the panels.
    """

    images: Mapping[str, torch.Tensor]
    classes: Sequence[str]
    title: str


def image_grids(all_pictures: Sequence[Pictures]) -> Figure:
    """Draw condensed sets, one dataset below the other.

    A dataset has a panel per method with a row per class. With one image per
    class the panels are rows, and the classes columns. A dataset without images
    has only its title.
    """
    style.theme()
    all_pictures = [_with_readable_classes(pictures) for pictures in all_pictures]
    sizes = [_size(pictures) for pictures in all_pictures]
    figure = plt.figure(
        figsize=(max(width for width, _ in sizes), sum(height for _, height in sizes)),
        layout="constrained",
    )
    parts = figure.subfigures(
        len(sizes), 1, squeeze=False, height_ratios=[height for _, height in sizes]
    )
    for part, pictures in zip(parts[:, 0], all_pictures, strict=True):
        _draw(part, pictures)
    return figure


def _with_readable_classes(pictures: Pictures) -> Pictures:
    numbers = [f"class {number}" for number in range(len(pictures.classes))]
    return replace(pictures, classes=style.readable(pictures.classes, numbers))


def _layout(pictures: Pictures) -> tuple[bool, float, int]:
    """Return whether panels are rows, the width of a panel in inches, and panels per line."""
    per_class = next(iter(pictures.images.values())).shape[1]
    if per_class == 1:
        return True, 0.85 * len(pictures.classes), 1
    panel = max(1.1, 0.33 * per_class)
    beside = max(1, int((_WIDEST - 1.2) / (panel + 0.15)))
    lines = -(-len(pictures.images) // beside)
    return False, panel, -(-len(pictures.images) // lines)


def _size(pictures: Pictures) -> tuple[float, float]:
    if not pictures.images:
        return 5.0, 0.6
    in_rows, panel, beside = _layout(pictures)
    count, classes = len(pictures.images), len(pictures.classes)
    if in_rows:
        return _names(pictures) + panel, 1.2 + 0.95 * count
    per_class = next(iter(pictures.images.values())).shape[1]
    height = panel * classes / per_class + 0.35
    return 1.2 + (panel + 0.15) * beside, 0.5 + height * -(-count // beside)


def _names(pictures: Pictures) -> float:
    """Return the width in inches of the names beside rows."""
    return max(1.2, 0.3 + 0.1 * max(map(len, pictures.images)))


def _draw(part: SubFigure, pictures: Pictures) -> None:
    part.suptitle(pictures.title)
    if not pictures.images:
        return
    in_rows, panel, beside = _layout(pictures)
    lines = -(-len(pictures.images) // beside)
    if in_rows:  # names get separate axes, because fixed aspects leave no room for labels
        widths = [_names(pictures), panel]
        names, axes = part.subplots(lines, 2, squeeze=False, width_ratios=widths).T
        for ax, method in zip(names, pictures.images, strict=True):
            ax.set_axis_off()
            ax.text(1, 0.5, method, ha="right", va="center", transform=ax.transAxes)
    else:
        axes = part.subplots(lines, beside, squeeze=False)
    for ax in axes.flat[len(pictures.images) :]:
        ax.remove()
    classes = pictures.classes
    for number, (method, images) in enumerate(pictures.images.items()):
        ax = axes.flat[number]
        images = images[: len(classes)]
        images = images.transpose(0, 1) if in_rows else images
        tiled, side = _tile(images), images.shape[-1] + _gap(images)
        ax.imshow(tiled, interpolation="nearest", vmin=0, vmax=255, cmap="gray")
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        places = (np.arange(len(classes)) + 0.5) * side - 0.5
        if in_rows:
            ax.set_anchor("W")
            if number == 0:
                ax.xaxis.tick_top()
                slanted = {"rotation": 30, "ha": "left"} if max(map(len, classes)) > 6 else {}
                ax.set_xticks(places, classes, **slanted)
                ax.tick_params(length=0)
        else:
            ax.set_title(method)
            if number % beside == 0:
                ax.set_yticks(places, classes)
        sns.despine(ax=ax, left=True, bottom=True)


def _gap(images: torch.Tensor) -> int:
    return max(1, images.shape[-1] // 16)


def _tile(images: torch.Tensor) -> np.ndarray:
    """Tile images [rows, columns, C, H, W] with white lines between them."""
    rows, columns, channels, height, width = images.shape
    gap = _gap(images)
    canvas = torch.full((channels, rows * (height + gap), columns * (width + gap)), 255)
    for r in range(rows):
        for c in range(columns):
            top, left = r * (height + gap), c * (width + gap)
            canvas[:, top : top + height, left : left + width] = images[r, c]
    picture = canvas.permute(1, 2, 0).to(torch.uint8).numpy()
    return picture[..., 0] if channels == 1 else picture
