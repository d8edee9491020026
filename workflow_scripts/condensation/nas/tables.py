"""Tables of the architecture ranking (Table 3), from records of trained architectures."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condensation.core import randomness
from condensation.core.errors import InputError
from condensation.nas import ranking
from condensation.networks import cells201
from condensation.results import frames

KEY = ["reference", "method", "ipc", "condensation_seed"]
_FACTS = ("algorithm", "images", "also_held_out")
_SHOWN = ("images", "also_held_out", "epochs", "validated_on")
COLUMNS = [
    *("set", *KEY),
    *("spearman", "spearman_low", "spearman_high", "p_zero"),
    *("minus_random", "minus_random_low", "minus_random_high", "p_random"),
    *("kendall", "kendall_low", "kendall_high"),
    *("top1", "best_of_top5", "best_in_sample", "regret"),
    *("architectures", "disconnected", "tied", "tied_first", "not_trained"),
    *("networks", "lost", *_SHOWN),
]
_NAMES = ("set", "reference", "method", "ipc", "architecture")  # they may look like numbers
_RANDOM = "condensation.methods.random"
_WORST = -1.0  # below all accuracies: ranks untrained architectures last


def networks(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per trained network, with the ``set`` that it was trained on and its facts."""
    rows = []
    for record in records:
        key = record["trained_on"]
        facts = {name: key[name] or "" for name in ("reference", "method", "ipc")}
        facts["condensation_seed"] = key["condensation_seed"]
        facts["set"] = "/".join(str(key[name]) for name in KEY if key[name] is not None)
        facts |= {"epochs": record["options"]["epochs"], "validated_on": record["validated_on"]}
        facts |= {name: record["set"].get(name) for name in _FACTS}
        rows += [facts | row for row in record["rows"]]
    return pd.DataFrame(rows).astype({"condensation_seed": "Int64", "accuracy": float})


def architectures(frame: pd.DataFrame, sample: dict[str, Any], whole: str | None) -> pd.DataFrame:
    """Return a row per set and sampled architecture: proxy accuracy and truth, in percent.

    ``proxy`` is the mean over the networks that trained, NaN without any;
    ``truth`` comes from ``sample``, or is the proxy accuracy of the reference
    ``whole``, which then has no rows.

    Raises
    ------
    InputError
        If a record is missing, or an architecture has no truth.
    """
    names = sample["architectures"]
    connected = [cells201.connected(cells201.parse(name)) for name in names]
    parts = []
    for label, part in frame.groupby("set", sort=False):
        ok = part["status"] == "ok"
        by_name = part["architecture"]
        counts = by_name.value_counts().reindex(names)
        if counts.isna().any():
            raise InputError(f"{label}: no record of {counts.index[counts.isna()][0]}")
        proxy = part["accuracy"].where(ok).groupby(by_name)
        columns = {
            "architecture": names,
            "connected": connected,
            "networks": counts.astype(int),
            "lost": (~ok).groupby(by_name).sum().reindex(names),
            "proxy": proxy.mean().reindex(names),
            "std": proxy.std(ddof=0).reindex(names),
        }
        key = part.iloc[0][["set", *KEY]].to_dict()
        parts.append(pd.DataFrame(key | {k: list(v) for k, v in columns.items()}))
    table = pd.concat(parts, ignore_index=True).astype({"condensation_seed": "Int64"})
    if whole is None:
        truth = dict(zip(names, sample["truth"], strict=True))
    else:
        reference = table[table["reference"] == whole]
        truth = dict(zip(reference["architecture"], reference["proxy"], strict=True))
        table = table.drop(reference.index)
        if lost := [name for name, value in truth.items() if value != value]:
            raise InputError(
                f"{lost[0]} did not train on the reference {whole!r}, so it has no true accuracy; "
                "lower nas.training.lr"
            )
    table["truth"] = table["architecture"].map(truth)
    return table


def summary(table: pd.DataFrame, frame: pd.DataFrame, resamples: int, seed: int) -> pd.DataFrame:
    """Return a row per set: correlations with intervals, the top architectures, counts.

    ``minus_random`` is Spearman's correlation minus that of the set of the
    algorithm `random` at the same IPC (for a reference, at the largest IPC),
    with its paired interval and p value; ``p_zero`` is the p value of the
    correlation itself.
    """
    facts = frame.drop_duplicates("set").set_index("set")
    parts = dict(iter(table.groupby("set", sort=False)))
    truth = next(iter(parts.values()))["truth"].to_numpy(float)
    draw = np.random.default_rng(randomness.derive_seed(seed, "resampled architectures"))
    drawn = ranking.resamples(len(truth), resamples, draw)
    measures = ranking.compare(
        {
            label: part["proxy"].fillna(_WORST).to_numpy(float)
            for label, part in parts.items()
            if part["proxy"].notna().any()
        },
        truth,
        drawn,
    )
    random_sets = [label for label in measures if facts.loc[label, "algorithm"] == _RANDOM]
    rows = []
    for label, part in parts.items():
        set_facts = facts.loc[label]
        row = {name: set_facts[name] for name in (*KEY, *_SHOWN)}
        row |= {
            "set": label,
            "architectures": len(part),
            "disconnected": int((~part["connected"]).sum()),
            "networks": int(part["networks"].sum()),
            "lost": int(part["lost"].sum()),
            "not_trained": int(part["proxy"].isna().sum()),
            "best_in_sample": float(truth.max()),
        }
        if label in measures:
            row |= measures[label]
            resampled = row.pop("resampled")
            row["p_zero"] = ranking.difference(resampled, np.zeros(len(resampled)))[2]
            base = _baseline(set_facts, facts.loc[random_sets])
            if base is not None and base != label:
                low, high, p = ranking.difference(resampled, measures[base]["resampled"])
                row["minus_random"] = row["spearman"] - measures[base]["spearman"]
                row |= {"minus_random_low": low, "minus_random_high": high, "p_random": p}
        rows.append(row)
    whole_numbers = ["condensation_seed", "tied", "tied_first", "images", "also_held_out"]
    return pd.DataFrame(rows).reindex(columns=COLUMNS).astype(dict.fromkeys(whole_numbers, "Int64"))


def _baseline(facts: pd.Series, random: pd.DataFrame) -> str | None:
    """Return the random set of the same IPC, and of the same seed if there is one."""
    if random.empty:
        return None
    random = random[random["ipc"] == (facts["ipc"] or max(random["ipc"], key=int))]
    seeds_match = (random["condensation_seed"] == facts["condensation_seed"]).fillna(False)
    return next(iter([*random[seeds_match].index, *random.index]), None)


def markdown(
    summary: pd.DataFrame, dataset: str, truth: str, note: str | None, missing: Iterable[str] = ()
) -> str:
    """Return the summary as Markdown; ``truth`` describes the true accuracies.

    ``missing`` names sets without records.
    """
    lines = [f"# Ranking architectures on {dataset}\n"]
    if note:
        lines.append(f"**{note}**\n")
    first = summary.iloc[0]
    lines.append(
        f"Proxy: accuracy on {first['validated_on']} held-out real training images, mean over the "
        f"networks of an architecture. Truth: {truth}. Brackets have 95 % intervals (percentile "
        "bootstrap over architectures; differences to Random are paired). `top-1`: true accuracy "
        "of the architecture that the proxy ranks first; `of top-5`: of the best of its first "
        "five; `regret`: best true accuracy of the sample minus top-1. Ties share their mean.\n"
    )
    rows = []
    for _, row in summary.iterrows():
        rows.append(
            {
                "trained on": row["reference"] or row["method"],
                "IPC": row["ipc"] or "",
                "set": "" if pd.isna(row["condensation_seed"]) else row["condensation_seed"],
                "epochs": row["epochs"],
                "Spearman": _ranged(row, "spearman"),
                "minus Random's": _ranged(row, "minus_random", "+"),
                "Kendall": _ranged(row, "kendall"),
                "top-1": _number(row["top1"]),
                "of top-5": _number(row["best_of_top5"]),
                "regret": _number(row["regret"]),
                "tied": "-" if pd.isna(row["tied"]) else row["tied"],
                "networks": row["networks"],
                "lost": row["lost"],
            }
        )
    lines.append(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True) + "\n")
    lines.append(
        f"{first['architectures']} architectures, {first['disconnected']} of them with no path "
        f"from input to output; the best has {first['best_in_sample']:.2f}. `tied`: architectures "
        "that share their proxy accuracy with another. `lost`: networks that diverged or ran out "
        "of memory; an architecture without a trained network ranks last.\n"
    )
    if missing := list(missing):
        names = ", ".join(missing)
        lines.append(f"Missing, because a job failed or has not run yet: {names}.\n")
    return "\n".join(lines)


def load(path: str | Path) -> pd.DataFrame:
    """Read a table of the ranking from its CSV file; InputError if it holds another table."""
    with frames.readable_table(path):
        columns = pd.read_csv(path, nrows=0).columns
        empty = {name: [""] for name in columns if name not in _NAMES}
        kinds = dict.fromkeys(_NAMES, str) | {"condensation_seed": "Int64"}
        return pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=empty)


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.2f}"


def _ranged(row: pd.Series, name: str, sign: str = "") -> str:
    if pd.isna(row[name]):
        return "-"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"
