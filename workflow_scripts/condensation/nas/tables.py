"""From records of trained architectures to the tables of the ranking (Table 3)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condensation.core import randomness, storage
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
_WORST = -1.0  # below every accuracy: no search would choose what did not train


def networks(records: Iterable[str | Path]) -> pd.DataFrame:
    """Return one row per trained network, with what it was trained on; ``set`` names that.

    Raises InputError for a damaged record.
    """
    rows = []
    for path in records:
        record = storage.read_json(path)
        told = record["trained_on"]
        about = {name: told[name] or "" for name in ("reference", "method", "ipc")}
        about["condensation_seed"] = told["condensation_seed"]
        about["set"] = "/".join(str(told[name]) for name in KEY if told[name] is not None)
        about |= {"epochs": record["options"]["epochs"], "validated_on": record["validated_on"]}
        about |= {name: record["set"].get(name) for name in _FACTS}
        rows += [about | row for row in record["rows"]]
    return pd.DataFrame(rows).astype({"condensation_seed": "Int64", "accuracy": float})


def architectures(frame: pd.DataFrame, sample: dict[str, Any], whole: str | None) -> pd.DataFrame:
    """Return a row per set and sampled architecture: proxy accuracy and truth, in percent.

    ``proxy`` is the mean over the networks that trained, and empty where none
    did; ``truth`` is that of ``sample``, or with ``whole`` the proxy accuracy of
    the reference of this name, which then has no rows of its own.

    Raises InputError if a record is missing, or an architecture has no truth.
    """
    names = sample["architectures"]
    connected = [cells201.connected(cells201.parse(one)) for one in names]
    parts = []
    for label, part in frame.groupby("set", sort=False):
        ok = part["status"] == "ok"
        by = part["architecture"]
        counts = by.value_counts().reindex(names)
        if counts.isna().any():
            raise InputError(f"{label}: no record of {counts.index[counts.isna()][0]}")
        proxy = part["accuracy"].where(ok).groupby(by)
        columns = {
            "architecture": names,
            "connected": connected,
            "networks": counts.astype(int),
            "lost": (~ok).groupby(by).sum().reindex(names),
            "proxy": proxy.mean().reindex(names),
            "std": proxy.std(ddof=0).reindex(names),
        }
        about = part.iloc[0][["set", *KEY]].to_dict()
        parts.append(pd.DataFrame(about | {k: list(v) for k, v in columns.items()}))
    table = pd.concat(parts, ignore_index=True).astype({"condensation_seed": "Int64"})
    if whole is None:
        truth = dict(zip(names, sample["truth"], strict=True))
    else:
        own = table[table["reference"] == whole]
        truth = dict(zip(own["architecture"], own["proxy"], strict=True))
        table = table.drop(own.index)
        if lost := [name for name, value in truth.items() if value != value]:
            raise InputError(
                f"{lost[0]} did not train on the reference {whole!r}, so there is nothing to "
                "compare it with; lower nas.training.lr"
            )
    table["truth"] = table["architecture"].map(truth)
    return table


def summary(table: pd.DataFrame, frame: pd.DataFrame, resamples: int, seed: int) -> pd.DataFrame:
    """Return a row per set: correlations with intervals, the top, the counts.

    ``minus_random`` is the difference of Spearman's correlation to that of the
    set that the algorithm `random` chose at the same IPC (for a reference: at
    the largest), with its paired interval and p value; ``p_zero`` is the p value
    of the correlation itself.
    """
    facts = frame.drop_duplicates("set").set_index("set")
    parts = dict(iter(table.groupby("set", sort=False)))
    truth = next(iter(parts.values()))["truth"].to_numpy(float)
    draw = np.random.default_rng(randomness.derive_seed(seed, "resampled architectures"))
    drawn = ranking.resamples(len(truth), resamples, draw)
    found = ranking.compare(
        {
            label: part["proxy"].fillna(_WORST).to_numpy(float)
            for label, part in parts.items()
            if part["proxy"].notna().any()
        },
        truth,
        drawn,
    )
    chosen = [label for label in found if facts.loc[label, "algorithm"] == _RANDOM]
    rows = []
    for label, part in parts.items():
        about = facts.loc[label]
        row = {name: about[name] for name in (*KEY, *_SHOWN)}
        row |= {
            "set": label,
            "architectures": len(part),
            "disconnected": int((~part["connected"]).sum()),
            "networks": int(part["networks"].sum()),
            "lost": int(part["lost"].sum()),
            "not_trained": int(part["proxy"].isna().sum()),
            "best_in_sample": float(truth.max()),
        }
        if label in found:
            row |= {name: value for name, value in found[label].items() if name != "resampled"}
            again = found[label]["resampled"]
            row["p_zero"] = ranking.difference(again, np.zeros(len(again)))[2]
            base = _baseline(about, facts.loc[chosen])
            if base is not None and base != label:
                low, high, p = ranking.difference(again, found[base]["resampled"])
                row["minus_random"] = found[label]["spearman"] - found[base]["spearman"]
                row |= {"minus_random_low": low, "minus_random_high": high, "p_random": p}
        rows.append(row)
    whole_numbers = ["condensation_seed", "tied", "tied_first", "images", "also_held_out"]
    return pd.DataFrame(rows).reindex(columns=COLUMNS).astype(dict.fromkeys(whole_numbers, "Int64"))


def _baseline(about: pd.Series, random: pd.DataFrame) -> str | None:
    """The random set to compare with: of the same IPC, and of the same seed where there is one."""
    if random.empty:
        return None
    ipc = about["ipc"] or max(random["ipc"], key=int)
    same = random[random["ipc"] == ipc]
    close = same[(same["condensation_seed"] == about["condensation_seed"]).fillna(False)]
    return next(iter([*close.index, *same.index]), None)


def markdown(
    summary: pd.DataFrame, dataset: str, truth: str, note: str | None, missing: Iterable[str] = ()
) -> str:
    """Return the summary for reading; ``truth`` says what the proxies are compared with.

    ``missing`` names what was to be ranked with, and has no records.
    """
    lines = [f"# Ranking architectures on {dataset}\n"]
    if note:
        lines.append(f"**{note}**\n")
    one = summary.iloc[0]
    lines.append(
        f"Proxy: accuracy on {one['validated_on']} held-out real training images, mean over the "
        f"networks of an architecture. Truth: {truth}. In brackets 95 % intervals, percentile "
        "bootstrap over architectures; differences to Random are paired. `top-1`: true accuracy of "
        "the architecture that the proxy puts first; `of top-5`: of the best of its first five; "
        "`regret`: what top-1 misses of the best in the sample. Ties share their mean.\n"
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
        f"{one['architectures']} architectures, {one['disconnected']} of them with no path from "
        f"input to output; the best has {one['best_in_sample']:.2f}. `tied`: architectures that "
        "share their proxy accuracy with another. `lost`: networks that diverged or ran out of "
        "memory; an architecture without any network left ranks last.\n"
    )
    if missing := list(missing):
        names = ", ".join(missing)
        lines.append(f"Missing, because a job failed or has not run yet: {names}.\n")
    return "\n".join(lines)


def load(path: str | Path) -> pd.DataFrame:
    """Return a table of the ranking from its CSV file: names as text; InputError if it is none."""
    with frames.reading(path):
        columns = pd.read_csv(path, nrows=0).columns
        empty = {name: [""] for name in columns if name not in _NAMES}
        return pd.read_csv(
            path, dtype=dict.fromkeys(_NAMES, str), keep_default_na=False, na_values=empty
        )


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.2f}"


def _ranged(row: pd.Series, name: str, sign: str = "") -> str:
    if pd.isna(row[name]):
        return "-"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"
