"""How well sets serve other architectures than the one that sets are usually judged by."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from condensation.results import statistics
from condensation.results.gains import best_first
from condensation.results.statistics import BLOCK

COLUMNS = ["reference", "architectures", "sets", "networks", "accuracy"]
COLUMNS += ["transfer", "transfer_low", "transfer_high", "drop", "drop_low", "drop_high"]
_PLACE = [name for name in BLOCK if name != "architecture"]
_SEEDS = ["condensation_seed", "evaluation_seed"]


def reference(runs: pd.DataFrame, kinds: Mapping[str, str]) -> str:
    """Return the architecture that others are compared with: the ConvNet with most networks.

    Without a ConvNet it is the architecture with most networks; ``kinds`` as in ``table``.
    """
    counts = runs["architecture"].value_counts(sort=False)
    names = [name for name in counts.index if kinds.get(name) == "convnet"] or list(counts.index)
    return max(names, key=lambda name: counts[name], default="")


def table(runs: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Return a row per method and block with other architectures, the best transfer first.

    ``accuracy`` is the mean on the reference, ``transfer`` the mean over the other architectures,
    each of the same weight, and ``drop`` the first less the second, all in percent. They hold the
    seeds that have a result on every architecture of the row, and are NaN if no seed has.
    Intervals are 95 % t intervals over the sets, or over the evaluation seeds of a single set.

    Parameters
    ----------
    runs : as ``frames.runs`` returns it.
    kinds : the network of each architecture of the config, such as ``convnet``.
    """
    home = reference(runs, kinds)
    rows = []
    for place, part in runs.groupby([*_PLACE, "method"], sort=False):
        by_network = part.pivot(index=_SEEDS, columns="architecture", values="accuracy")
        others = [name for name in by_network.columns if name != home]
        by_network = by_network.astype(float).dropna()
        if home not in by_network.columns or not others:
            continue
        where = dict(zip([*_PLACE, "method"], place, strict=True))
        rows.append(where | {"reference": home} | _row(by_network[home], by_network[others]))
    frame = pd.DataFrame(rows, columns=[*_PLACE, "method", *COLUMNS])
    return best_first(frame, ["transfer"], _PLACE)


def _row(accuracy: pd.Series, others: pd.DataFrame) -> dict[str, Any]:
    both = pd.DataFrame({"accuracy": accuracy, "transfer": others.mean(axis=1)})
    samples, _ = statistics.pairs(both, "accuracy", "transfer")
    transfer = statistics.interval(samples["transfer"])
    drop = statistics.interval(samples["accuracy"] - samples["transfer"])
    return {
        "architectures": " ".join(others.columns),
        "sets": accuracy.index.get_level_values("condensation_seed").nunique(),
        "networks": len(accuracy) * (1 + len(others.columns)),
        "accuracy": samples["accuracy"].mean(),
        "transfer": samples["transfer"].mean(),
        "transfer_low": transfer[0],
        "transfer_high": transfer[1],
        "drop": (samples["accuracy"] - samples["transfer"]).mean(),
        "drop_low": drop[0],
        "drop_high": drop[1],
    }
