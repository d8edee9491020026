"""Tables 1 to 9 in the paper's form, for whatever a config holds.

Which cells go where is read off the records and the config's entries, not off
the names of experiments. Where a table fixes an axis (Table 4 the network, say)
it takes the config's ConvNet, DSA augmentation and SGD, or what the config has
most of.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from condensation.paper import names as paper_names
from condensation.paper.cells import RAW, Cell, Cells, frame, measured, nothing, unprinted
from condensation.paper.printed import AUGMENTATIONS, TRANSFER, WITHOUT
from condensation.paper.rendering import Table
from condensation.results import frames
from condensation.workflow.grid import WHOLE


def table1(cells: Cells) -> Table:
    """Return Table 1: without augmentation, the mean over augmentations, and the best."""
    policies = cells.used("augmentation", **cells.others("augmentation"))
    without = [p for p in policies if cells.config.augmentations[p].policy == "none"]
    others = [p for p in policies if p not in without]
    names = [cells.name("augmentation", p) for p in others]
    theirs = sorted(name or "" for name in names) == sorted(AUGMENTATIONS)
    differs = [] if theirs else [f"over {', '.join(others)} (paper: {', '.join(AUGMENTATIONS)})"]
    rows = []
    every = cells.varied("augmentation")
    whole = [one for one in cells.sets(**cells.others("augmentation")) if one[2] == WHOLE]
    for one in dict.fromkeys([*every, *whole]):
        ways = cells.along("augmentation", one)
        about = dict(zip(("dataset", "method", "ipc"), one, strict=True))
        parts = {WITHOUT: without[:1], "avg": others, "best": _best(ways, others)}
        if one in whole:
            parts = {cells.name("augmentation", p) or p: [p] for p in others if p in ways}
        for statistic, chosen in parts.items():
            members = [ways.get(policy) for policy in chosen] or [None]
            reasons = differs if statistic in ("avg", "best") else []
            where = about | {"statistic": statistic, "over": " ".join(chosen)}
            # the paper's number of the whole set is printed with its spread in the text
            rows.append(cells.entry(4 if one in whole else 1, members, statistic, reasons, **where))
        if one not in whole and len(others) > 1 and all(name in ways for name in others):
            found = _chosen([ways[policy] for policy in others])
            rows.append(about | {"statistic": "chosen"} | found)
    notes = (
        f"`{WITHOUT}` is training without augmentation, `avg` the mean over "
        f"{_list(others) or 'the others'}.",
        "`best` is the paper's statistic: the augmentation that did best on the test images, "
        "judged on the same images, which is optimistic. `chosen` chooses on one half of every "
        "class's test images and judges on the other, both ways, and is the mean of the two.",
    )
    layout = ("dataset", "ipc", "statistic"), ("method",)
    return Table(1, "Accuracy by method", *layout, frame(rows), notes)


def _best(ways: dict[str, Cell], policies: list[str]) -> list[str]:
    """Return the augmentation of the highest mean; all, where one of them is missing."""
    if not all(policy in ways for policy in policies):
        return policies
    means = {policy: ways[policy].networks["accuracy"].astype(float).mean() for policy in policies}
    known = {policy: mean for policy, mean in means.items() if mean == mean}
    return [max(known, key=known.get)] if known else policies


def _chosen(cells: list[Cell]) -> dict[str, Any]:
    """Return the accuracy of the augmentation chosen on the other half of the test images."""
    index = cells[0].networks.index
    halves = []
    for choose, judge in (("first_half", "second_half"), ("second_half", "first_half")):
        means = [cell.networks[choose].astype(float).mean() for cell in cells]
        known = [i for i, mean in enumerate(means) if mean == mean]
        if not known:
            return nothing("missing") | {"over": ""}
        best = cells[max(known, key=lambda i: means[i])]
        halves.append((best.networks[judge].astype(float), best.augmentation))
    accuracy = (halves[0][0] + halves[1][0]) / 2
    chosen = " ".join(dict.fromkeys(name for _, name in halves))
    about = measured(accuracy.reindex(index), dict.fromkeys(frames.LOST, 0))
    return about | unprinted() | {"over": chosen}


def table2(cells: Cells) -> Table:
    """Return Table 2: accuracy of the reference network, and the mean of the others."""
    fixed = cells.others("architecture")
    transfer = [
        name
        for name in cells.used("architecture", **fixed)
        if name != cells.reference["architecture"]
    ]
    names = [cells.name("architecture", name) for name in transfer]
    theirs = sorted(name or "" for name in names) == sorted(TRANSFER)
    differs = [] if theirs else [f"over {', '.join(transfer)} (paper: {', '.join(TRANSFER)})"]
    rows = []
    for dataset, method, ipc in cells.varied("architecture"):
        one = (dataset, method, ipc)
        ways = cells.along("architecture", one)
        about = {"ipc": ipc, "method": method, "dataset": dataset}
        own = cells.reference["architecture"]
        shown = cells.name("architecture", own) or own
        rows.append(cells.entry(2, [ways.get(own)], shown, **about, network=shown))
        members = [ways.get(name) for name in transfer] or [None]
        rows.append(cells.entry(2, members, "Transfer", differs, **about, network="Transfer"))
    note = f"Transfer is the mean over {_list(transfer)}; the paper prints IPC 10."
    if not transfer:
        note = "The sets of this config were judged by one network."
    layout = ("ipc", "method"), ("dataset", "network")
    return Table(2, "Transfer to other networks", *layout, frame(rows), (note,))


def table4(cells: Cells) -> Table:
    """Return Table 4: accuracy by augmentation."""
    layout = ("dataset", "ipc", "method"), ("augmentation",)
    rows = _along(cells, 4, "augmentation")
    return Table(4, "Accuracy by augmentation", *layout, rows, (_kip_note(rows),))


def _kip_note(rows: pd.DataFrame) -> str:
    return (
        "KIP's printed columns are read one place on, as docs/printed_slips.md says."
        if (rows["printed"] != "").any()
        else ""
    )


def table5(cells: Cells) -> Table:
    """Return Table 5: accuracy by architecture."""
    layout = ("dataset", "ipc", "method"), ("architecture",)
    return Table(5, "Accuracy by architecture", *layout, _along(cells, 5, "architecture"))


def _along(cells: Cells, number: int, axis: str) -> pd.DataFrame:
    rows = []
    for one in cells.varied(axis):
        about = dict(zip(("dataset", "method", "ipc"), one, strict=True))
        for name, cell in cells.along(axis, one).items():
            column = cells.name(axis, name)
            rows.append(cells.entry(number, [cell], column, **about, **{axis: name}))
    return frame(rows)


def table6(cells: Cells) -> Table:
    """Return Table 6: accuracy by IPC."""
    every = [one for one in cells.sets(**cells.reference) if one[2] != WHOLE]
    several = [one for one in every if sum(o[:2] == one[:2] for o in every) > 1]
    rows = []
    for one in several or every:
        about = dict(zip(("dataset", "method", "ipc"), one, strict=True))
        rows.append(cells.entry(6, [cells.at(one)], "", **about))
    return Table(6, "Accuracy by IPC", ("dataset", "method"), ("ipc",), frame(rows))


def table7(cells: Cells) -> Table:
    """Return Table 7: accuracy by optimizer."""
    layout = ("dataset", "method"), ("ipc", "optimizer")
    return Table(7, "Accuracy by optimizer", *layout, _along(cells, 7, "optimizer"))


def table9(cells: Cells) -> Table:
    """Return Table 9: K-Center by the features that it clusters."""
    rows = []
    for one in cells.sets(**cells.reference):
        entry = cells.config.methods[one[1]]
        if entry.algorithm == "kcenter":
            column = "raw input" if entry.features == "pixels" else "embedding"
            about = {"dataset": one[0], "method": one[1], "ipc": one[2]}
            about["features"] = entry.features
            rows.append(cells.entry(9, [cells.at(one)], column, **about))
    layout = ("dataset", "ipc"), ("method", "features")
    return Table(9, "K-Center by its features", *layout, frame(rows))


def table3(cells: Cells, nas: pd.DataFrame) -> Table:
    """Return Table 3 from the table of the architecture ranking, ``nas.csv``.

    ``nas`` has a row per ranked set: ``method`` and ``ipc``, or the name of a
    ``reference`` of real images; ``condensation_seed``; the measures, of which
    those of ``_RANKING`` are shown; ``<measure>_low`` and ``_high`` where there
    is an interval. The released search differs from the paper's text, so no
    printed number is held to be of the same protocol.
    """
    search = getattr(cells.config, "nas", None)
    rows = []
    for row in nas.to_dict("records"):
        method, ipc = row["method"], str(row["ipc"])
        about = {"method": method, "ipc": ipc, "set": str(row.get("condensation_seed", 0))}
        known = paper_names.method(cells.config, search.dataset, method, ipc) if method else None
        name = known.name if known else None
        if not method:
            about |= {"method": row["reference"], "ipc": WHOLE, "set": "0"}
            ipc = ""
            every_image = search.references[row["reference"]].images is None
            name = "Original Dataset" if every_image else None
        for measure, theirs in _RANKING.items():
            if measure not in row:
                continue
            entry = about | {"statistic": measure} | nothing("ok") | {"mean": row[measure]}
            entry["low"], entry["high"] = row.get(f"{measure}_low"), row.get(f"{measure}_high")
            if row[measure] != row[measure]:
                entry["status"] = "missing"
            dataset = search and paper_names.dataset(cells.config, search.dataset)
            found = cells.numbers.get((3, dataset.name if dataset else "", name or "", ipc, theirs))
            if found is not None:
                entry |= {"printed": found.text, "verdict": "other protocol"}
                entry["difference"] = row[measure] - float(found.value)
                entry["differs"] = "nas: another search than the released one"
            rows.append(entry)
    made = frame(rows)
    several = len(made) and made["set"].nunique() > 1
    layout = ("method", "ipc", *(["set"] if several else [])), ("statistic",)
    return Table(3, "Ranking of architectures", *layout, made)


# shown, and the paper's name of it
_RANKING = {"spearman": "spearman_correlation", "kendall": "", "top1": "top1_percent", "regret": ""}


def table8(cells: Cells, costs: pd.DataFrame) -> Table:
    """Return Table 8: what condensation costs.

    ``costs`` is the frame of ``tables.costs``; several sets of a cell are averaged.
    """
    rows = []
    metrics = {"seconds_per_iteration": "s/iteration", "memory_mb": "MB", "seconds": "s"}
    theirs = {"seconds_per_iteration": "seconds_per_iteration", "memory_mb": "gpu_memory_mb"}
    for key, part in costs.groupby(["dataset", "method", "ipc"], sort=False):
        if key[2] == WHOLE:
            continue
        about = dict(zip(("dataset", "method", "ipc"), key, strict=True))
        devices = ", ".join(sorted(set(part["device"])))
        for metric, shown in metrics.items():
            entry = nothing("ok") | about | {"statistic": shown, "sets": len(part)}
            entry["device"] = devices
            if part["failed"].any():
                entry["status"] = str(part["failed"][part["failed"] != ""].iloc[0])
            else:
                entry["mean"] = float(part[metric].mean())
                if entry["mean"] != entry["mean"]:
                    entry["status"] = "missing"
                if metric == "seconds_per_iteration":
                    entry["low"] = part["first_quartile"].mean()
                    entry["high"] = part["third_quartile"].mean()
            dataset = paper_names.dataset(cells.config, about["dataset"])
            method = paper_names.method(cells.config, *key)
            if dataset and method and not method.name.endswith(RAW):
                at = (8, dataset.name, method.name, about["ipc"], theirs.get(metric, ""))
                if found := cells.numbers.get(at):
                    entry |= {"printed": found.text, "verdict": "other protocol"}
                    entry["printed_std"] = None if found.std is None else float(found.std)
                    entry["differs"] = f"on {devices} (paper: A100, 40 GB)"
                    if found.value is not None and entry["status"] == "ok":
                        entry["difference"] = entry["mean"] - float(found.value)
            rows.append(entry)
    notes = (
        "Seconds are the median over the iterations of a run, with quartiles as `low` and `high` "
        "in the CSV; MB is the peak of the device on CUDA, else of the process; s is the time for "
        "the whole set.",
    )
    layout = ("dataset", "statistic", "method"), ("ipc",)
    return Table(8, "Cost of condensation", *layout, frame(rows), notes)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def every(cells: Cells, costs: pd.DataFrame, nas: pd.DataFrame | None) -> list[Table]:
    """Return Tables 1 to 9; ``nas`` None leaves Table 3 empty."""
    if nas is None:
        nas = pd.DataFrame(columns=["method", "ipc"])
    made = [table1(cells), table2(cells), table3(cells, nas), table4(cells), table5(cells)]
    return [*made, table6(cells), table7(cells), table8(cells, costs), table9(cells)]
