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
    """Points of one dataset: of each method its own, and the real ones that they share a map with.

    Attributes
    ----------
    title : the dataset, the class and the IPC.
    real, condensed : per method, float [n, 2].
    """

    title: str
    real: Mapping[str, np.ndarray]
    condensed: Mapping[str, np.ndarray]


def maps(
    found: Sequence[Map],
    styles: Mapping[str, Mapping[str, Any]],
    architecture: str,
    accuracy: Sequence[float],
) -> Figure:
    """Draw a row of panels per dataset, a panel per method, real points grey below its own.

    ``accuracy`` (percent) is that of the networks behind the maps on the test
    images. Where the methods of a dataset all failed, it has no row.
    """
    found = [one for one in found if one.condensed]
    title = "t-SNE of the features of one class"
    if not found:
        style.theme()
        figure = plt.figure(figsize=(6.0, 1.0), layout="constrained")
        style.annotate(figure, title, "no condensed set to show: its methods failed", [], {})
        return figure
    titles = [list(one.condensed) for one in found]
    figure, axes = style.panels(titles, (2.7, 2.7), [one.title for one in found], most=5)
    handles: dict = {}
    for number, one in enumerate(found):
        for place, (method, points) in enumerate(one.condensed.items()):
            ax = axes[number][place]
            looks, real = styles[method], one.real[method]
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
    reached = " to ".join(dict.fromkeys(f"{one:.1f}" for one in (min(accuracy), max(accuracy))))
    note = f"features of {architecture} trained on the real images (test accuracy {reached} %); "
    note += "panels of the same preprocessing share a map"
    names = ["real images", *(title for row in titles for title in row)]
    style.annotate(figure, title, note, names, handles)
    return figure
