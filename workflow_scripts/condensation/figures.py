"""Figures: accuracy against IPC, and pictures of condensed images."""

from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure

from condensation.grid import WHOLE
from condensation.storage import atomic
from condensation.tables import FINAL, ipc_order

_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">"]


def method_styles(methods: Sequence[str]) -> dict[str, dict]:
    """Return colour and marker per method: the same in every figure of a config."""
    palette = sns.color_palette("colorblind", max(len(methods), 1))
    return {
        method: {"color": palette[i], "marker": _MARKERS[i % len(_MARKERS)]}
        for i, method in enumerate(methods)
    }


def accuracy(table: pd.DataFrame, dataset: str, methods: Sequence[str]) -> Figure:
    """Draw accuracy against IPC: a column per augmentation, a row per architecture and optimizer.

    ``table`` is that of ``tables.accuracy``; error bars are its ``std``.
    """
    table = table[(table["dataset"] == dataset) & (table["iteration"] == FINAL)]
    table = table.drop(columns="experiment")
    # a cell of several experiments: the one with the most networks
    table = table.sort_values("networks").drop_duplicates(
        ["method", "ipc", "architecture", "augmentation", "optimizer"], keep="last"
    )
    styles = method_styles(methods)
    sns.set_theme(style="whitegrid", context="notebook")
    ways = list(table[["architecture", "optimizer"]].drop_duplicates().itertuples(index=False))
    augmentations = list(dict.fromkeys(table["augmentation"]))
    figure, axes = plt.subplots(
        *(len(ways), len(augmentations)),
        figsize=(1.6 + 4.2 * len(augmentations), 0.6 + 3.4 * len(ways)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    ipcs = [ipc for ipc in ipc_order(table["ipc"]) if ipc != WHOLE]
    for row, way in zip(axes, ways, strict=True):
        for ax, augmentation in zip(row, augmentations, strict=True):
            chosen = (table[["architecture", "optimizer"]] == list(way)).all(axis=1)
            part = table[chosen & (table["augmentation"] == augmentation)]
            _accuracy_panel(ax, part, styles, ipcs)
            ax.set_title(f"{way.architecture}, {way.optimizer}, augmentation {augmentation}")
        row[0].set_ylabel("test accuracy (%)")
    for ax in axes[-1]:
        ax.set_xlabel("images per class")
    entries: dict = {}
    for ax in axes.flat:
        entries |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    shown = [m for m in methods if m in entries]
    figure.legend([entries[m] for m in shown], shown, loc="outside right center", frameon=False)
    figure.suptitle(f"{dataset}\nmean and standard deviation over networks", fontsize="medium")
    return figure


def _accuracy_panel(
    ax: plt.Axes, part: pd.DataFrame, styles: dict[str, dict], ipcs: list[str]
) -> None:
    for number, (method, style) in enumerate(styles.items()):
        rows = part[part["method"] == method]
        whole = rows[rows["ipc"] == WHOLE]
        for mean in whole["mean"]:
            ax.axhline(mean, color=style["color"], linestyle="--", label=method)
        rows = rows[rows["ipc"] != WHOLE].copy()
        if rows.empty:
            continue
        # side by side, or the error bars of neighbours would cover each other
        shift = 1 + 0.03 * (number - len(styles) / 2)
        rows["x"] = rows["ipc"].astype(int) * shift
        rows = rows.sort_values("x")
        ax.errorbar(rows["x"], rows["mean"], yerr=rows["std"], capsize=3, label=method, **style)
    if ipcs:
        ax.set_xscale("log")
        ax.set_xticks([int(ipc) for ipc in ipcs], ipcs)
        ax.minorticks_off()
        ax.set_xlim(int(ipcs[0]) / 1.4, int(ipcs[-1]) * 1.4)


def image_grid(pictures: dict[str, torch.Tensor], classes: Sequence[str], title: str) -> Figure:
    """Draw condensed sets side by side: a panel per method, a row per class.

    With one image per class the panels are rows instead, and the classes their columns.

    Parameters
    ----------
    pictures : per method uint8 [classes, images, C, H, W]; as many classes as are named are drawn.
    """
    sns.set_theme(style="white", context="notebook")
    per_class = next(iter(pictures.values())).shape[1]
    in_rows = per_class == 1
    drawn = {method: images[: len(classes)] for method, images in pictures.items()}
    if in_rows:
        drawn = {method: images.transpose(0, 1) for method, images in drawn.items()}
        size = (1.6 + 0.85 * len(classes), 1.2 + 0.95 * len(drawn))
    else:
        panel = max(1.6, 0.42 * per_class)
        size = (1.2 + (panel + 0.15) * len(drawn), 0.8 + panel * len(classes) / per_class)
    panels = (len(drawn), 1) if in_rows else (1, len(drawn))
    figure, axes = plt.subplots(*panels, figsize=size, squeeze=False, layout="constrained")
    for ax, (method, images) in zip(axes.flat, drawn.items(), strict=True):
        tiled, side = _tile(images), images.shape[-1] + _gap(images)
        ax.imshow(tiled, interpolation="nearest", vmin=0, vmax=255, cmap="gray")
        ax.set(xticks=[], yticks=[])
        first = ax is axes.flat[0]
        places = (np.arange(len(classes)) + 0.5) * side - 0.5
        if in_rows:
            ax.set_ylabel(method, rotation=0, ha="right", va="center")
            if first:
                ax.xaxis.tick_top()
                ax.set_xticks(places, classes, rotation=30, ha="left")
        else:
            ax.set_title(method)
            if first:
                ax.set_yticks(places, classes)
        sns.despine(ax=ax, left=True, bottom=True)
    figure.suptitle(title)
    return figure


def _gap(images: torch.Tensor) -> int:
    return max(1, images.shape[-1] // 16)


def _tile(images: torch.Tensor) -> np.ndarray:
    """[rows, columns, C, H, W] -> one picture with a white line between the images."""
    rows, columns, channels, height, width = images.shape
    gap = _gap(images)
    canvas = torch.full((channels, rows * (height + gap), columns * (width + gap)), 255)
    for r in range(rows):
        for c in range(columns):
            top, left = r * (height + gap), c * (width + gap)
            canvas[:, top : top + height, left : left + width] = images[r, c]
    picture = canvas.permute(1, 2, 0).to(torch.uint8).numpy()
    return picture[..., 0] if channels == 1 else picture


def save(figure: Figure, path: str) -> None:
    """Write ``figure`` as PNG through a temporary name; same figure, same bytes."""
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
    plt.close(figure)
