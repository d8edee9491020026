"""Accuracy under corruptions, and how far it drops from that on clean images."""

import pandas as pd

from condensation.results import frames, statistics

COLUMNS = ["corruption", "sets", "networks", "clean", "mean", "low", "high"]
COLUMNS += ["drop", "drop_low", "drop_high"]
MEAN = "mean"  # the row of all corruptions together
_SEEDS = ["condensation_seed", "evaluation_seed"]


def table(networks: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell and corruption, and one for the mean over the corruptions.

    ``clean`` and ``mean`` are accuracies in percent; ``low`` to ``high`` is the 95 % interval, as
    ``statistics.summary`` describes. ``drop`` is ``clean`` - ``mean``; its
    interval pairs the accuracies of each set, or of each network of a single set. Networks without
    a result at any strength of any corruption are left out.

    Parameters
    ----------
    networks : as ``frames.corruptions`` returns it.
    """
    failed = networks[["clean", "accuracy"]].isna().any(axis=1)
    keys = [networks[name] for name in (*frames.CELL, *_SEEDS)]
    networks = networks[~failed.groupby(keys).transform("any")]
    rows = []
    for cell, part in networks.groupby(frames.CELL, sort=False):
        averages = part.groupby(_SEEDS)[["clean", "accuracy"]].mean().reset_index()
        for name, members in [*part.groupby("corruption", sort=False), (MEAN, averages)]:
            rows.append(dict(zip(frames.CELL, cell, strict=True)) | _row(name, members))
    return pd.DataFrame(rows, columns=[*frames.CELL, *COLUMNS])


def _row(corruption: str, networks: pd.DataFrame) -> dict[str, object]:
    accuracy, sets = networks["accuracy"], networks["condensation_seed"]
    summary = statistics.summary(accuracy, sets)
    both, _ = statistics.pairs(networks.set_index(_SEEDS), "clean", "accuracy")
    drops = both["clean"] - both["accuracy"]
    low, high = statistics.interval(drops)
    return {
        "corruption": corruption,
        "sets": sets.nunique(),
        "networks": len(networks),
        "clean": both["clean"].mean(),
        **{name: summary[name] for name in ("mean", "low", "high")},
        "drop": drops.mean(),
        "drop_low": low,
        "drop_high": high,
    }
