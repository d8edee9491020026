"""Figure 7: real and condensed images of a class in a map of a network's features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from condensation.figures import style


@dataclass(frozen=True)
class Map:
    """The mapped points of one dataset.

    Attributes
    ----------
    title : the dataset, the class and the IPC.
    real, condensed : by method, float [n, 2]; ``real`` are the points of the method's map.
    """

    title: str
    real: Mapping[str, np.ndarray]
    condensed: Mapping[str, np.ndarray]


def draw(
    maps: Sequence[Map],
    styles: Mapping[str, Mapping[str, Any]],
    architecture: str,
    accuracies: Sequence[float],
) -> Figure:
    """Draw a row of panels per dataset and a panel per method, over the real images in grey.

    ``accuracies`` (percent) are the test accuracies of the networks whose
    features are mapped. A dataset whose methods all failed has no row.
    """
    maps = [mapped for mapped in maps if mapped.condensed]
    title = "t-SNE of the features of one class"
    if not maps:
        style.theme()
        figure = plt.figure(figsize=(6.0, 1.0), layout="constrained")
        style.annotate(figure, title, "no condensed set to show: its methods failed", [], {})
        return figure
    titles = [list(mapped.condensed) for mapped in maps]
    ylabels = [mapped.title for mapped in maps]
    figure, axes = style.panels(titles, (2.7, 2.7), ylabels, most=5)
    handles: dict = {}
    for number, mapped in enumerate(maps):
        for place, (method, points) in enumerate(mapped.condensed.items()):
            ax = axes[number][place]
            looks, real = styles[method], mapped.real[method]
            handles["real images"] = ax.scatter(
                *(*real.T, 8), color="0.65", linewidths=0, rasterized=True
            )
            many = len(points) > 20
            handles[method] = ax.scatter(
                *(*points.T, 28 if many else 60),
                color=looks["color"],
                marker=looks["marker"],
                edgecolors="black",
                linewidths=0.6,
            )
            ax.set(xticks=[], yticks=[], box_aspect=1)
            ax.margins(0.06)
    ends = (f"{accuracy:.1f}" for accuracy in (min(accuracies), max(accuracies)))
    reached = " to ".join(dict.fromkeys(ends))
    note = f"features of {architecture} trained on the real images (test accuracy {reached} %); "
    note += "panels of the same preprocessing share a map"
    names = ["real images", *(title for row in titles for title in row)]
    style.annotate(figure, title, note, names, handles)
    return figure
