"""The ranking of architectures: proxy accuracy against true accuracy, a panel per set."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from condensation.figures import data, style


def scatter(
    summary: pd.DataFrame,
    table: pd.DataFrame,
    styles: Mapping[str, Mapping[str, Any]],
    title: str,
    truth: str,
) -> Figure:
    """Draw a point per architecture and a panel per set, five in a row.

    ``summary`` and ``table`` are those of ``nas.tables``. Error bars are the
    standard deviation over networks; crosses are cells with no path from input
    to output; titles count the architectures that did not train.
    """
    style.theme()
    columns = min(5, len(summary))
    lines = -(-len(summary) // columns)
    figure, axes = plt.subplots(
        *(lines, columns),
        figsize=(0.9 + 3.1 * columns, 0.9 + 3.3 * lines),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, (_, row) in zip(axes.flat, summary.iterrows(), strict=False):
        part = table[table["set"] == row["set"]]
        method_style = styles.get(row["method"], {"color": "0.35", "marker": "o"})
        looks = {key: method_style[key] for key in ("color", "marker")}
        for connected, look in ((True, looks), (False, {**looks, "marker": "x"})):
            points = part[part["connected"] == connected]
            proxy, std = points["proxy"], points["std"]
            ax.errorbar(
                *(points["truth"], proxy),
                yerr=data.whiskers(proxy, proxy - std, proxy + std),
                **look,
                linestyle="none",
                markersize=5,
                elinewidth=0.8,
                alpha=0.75,
            )
        ax.set_title(_heading(row), fontsize="medium")
    for ax in axes.flat[len(summary) :]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel("proxy accuracy (%)")
    for number in range(columns):
        axes[(len(summary) - 1 - number) // columns, number].set_xlabel("true accuracy (%)")
        axes[(len(summary) - 1 - number) // columns, number].tick_params(labelbottom=True)
    # the title has text of the config, where $ is a dollar
    figure.suptitle(f"{title}\ntrue: {truth}", fontsize="medium", parse_math=False)
    return figure


def _heading(row: pd.Series) -> str:
    name = row["reference"] or f"{row['method']}, IPC {row['ipc']}"
    if pd.notna(row["condensation_seed"]) and row["condensation_seed"] > 0:
        name += f", set {row['condensation_seed']:.0f}"
    if pd.isna(row["spearman"]):
        return f"{name}\nno correlation"
    low, high = row["spearman_low"], row["spearman_high"]
    correlation = f"Spearman {row['spearman']:.2f} [{low:.2f}, {high:.2f}]"
    lost = f", {row['not_trained']} not trained" if row["not_trained"] else ""
    return f"{name}\n{correlation}{lost}"
