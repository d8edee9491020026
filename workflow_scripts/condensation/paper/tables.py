"""Tables 1 to 9 in the paper's form, for the cells of any config.

Records and the config's entries decide which cells go where, not the names of
experiments. Axes that a table fixes (such as the network in Table 4) have the
config's ConvNet, DSA augmentation and SGD, or what the config uses most.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from condensation.paper import names as paper_names
from condensation.paper.cells import (
    RAW,
    WAY,
    Cell,
    Cells,
    frame,
    mean_of_sets,
    no_numbers,
    not_printed,
    our_numbers,
)
from condensation.paper.printed import AUGMENTATIONS, TRANSFER, WITHOUT
from condensation.paper.rendering import Table
from condensation.results import frames
from condensation.workflow.grid import WHOLE

_SET = ["dataset", "method", "ipc"]


def table1(cells: Cells) -> Table:
    """Return Table 1: without augmentation, the mean over augmentations, and the best."""
    policies = cells.names("augmentation", **cells.others("augmentation"))
    plain = [p for p in policies if cells.config.augmentations[p].policy == "none"]
    others = [p for p in policies if p not in plain]
    differs = _differs_over(cells, "augmentation", others, AUGMENTATIONS)
    rows = []
    sets = cells.sets(**cells.others("augmentation"))
    whole = [key for key in sets if key[2] == WHOLE]
    for key in dict.fromkeys([*cells.varied_sets("augmentation"), *whole]):
        by_policy = cells.along("augmentation", key)
        where = dict(zip(_SET, key, strict=True))
        parts = {WITHOUT: plain[:1], "avg": others, "best": _best(by_policy, others)}
        if key in whole:
            present = [p for p in others if p in by_policy]
            parts = {cells.paper_name("augmentation", p) or p: [p] for p in present}
        for statistic, chosen in parts.items():
            members = [by_policy.get(policy) for policy in chosen] or [None]
            reasons = differs if statistic in ("avg", "best") else []
            place = where | {"statistic": statistic, "over": " ".join(chosen)}
            # the paper's text prints the number of the whole set with its spread
            number = 4 if key in whole else 1
            rows.append(cells.entry(number, members, statistic, reasons, **place))
        if key not in whole and len(others) > 1 and all(name in by_policy for name in others):
            columns = _chosen([by_policy[policy] for policy in others])
            rows.append(where | {"statistic": "chosen"} | columns)
    notes = (
        f"`{WITHOUT}` is training without augmentation, `avg` the mean over "
        f"{', '.join(others) or 'the others'}.",
        "`best` is the paper's statistic, the augmentation with the highest accuracy on the test "
        "images; this is optimistic, because the same images choose and judge. `chosen` chooses on "
        "one half of each class's test images and judges on the other, both ways, and takes the "
        "mean of the two.",
    )
    caption = (
        f"{_fixed(cells, 'architecture', 'optimizer')} {WITHOUT}: without augmentation. avg: mean "
        f"over {_listed('augmentation', others) or 'the others'}. best: the augmentation with the "
        "highest accuracy on the test images, as in the paper; this is optimistic. chosen: the "
        "augmentation chosen on one half of the test images and judged on the other, both ways."
    )
    layout = ("dataset", "ipc", "statistic"), ("method",)
    return Table(1, paper_names.TABLES[1], *layout, frame(rows), notes, caption)


def _fixed(cells: Cells, *axes: str) -> str:
    """Return a sentence for a caption: what all cells of a table have in common."""
    names = (paper_names.in_print(axis, cells.reference[axis]) for axis in axes)
    return f"All networks: {', '.join(names)}."


def _listed(axis: str, names: Sequence[str]) -> str:
    return ", ".join(paper_names.in_print(axis, name) for name in names)


def _differs_over(cells: Cells, axis: str, names: list[str], papers: Sequence[str]) -> list[str]:
    """Return how the names that a mean is over differ from the paper's."""
    if sorted(cells.paper_name(axis, name) or "" for name in names) == sorted(papers):
        return []
    return [f"over {', '.join(names)} (paper: {', '.join(papers)})"]


def _best(by_policy: dict[str, Cell], policies: list[str]) -> list[str]:
    """Return the augmentation with the highest mean; all of them if any is missing."""
    if not all(policy in by_policy for policy in policies):
        return policies
    accuracies = {policy: by_policy[policy].networks["accuracy"] for policy in policies}
    means = {policy: mean_of_sets(values) for policy, values in accuracies.items()}
    known = {policy: mean for policy, mean in means.items() if mean == mean}
    return [max(known, key=known.get)] if known else policies


def _chosen(cells: list[Cell]) -> dict[str, Any]:
    """Return the accuracy of the augmentation chosen on the other half of the test images."""
    index = cells[0].networks.index
    halves = []
    for choose, judge in (("first_half", "second_half"), ("second_half", "first_half")):
        means = [mean_of_sets(cell.networks[choose]) for cell in cells]
        known = [i for i, mean in enumerate(means) if mean == mean]
        if not known:
            return no_numbers("missing") | {"over": ""}
        best = cells[max(known, key=lambda i: means[i])]
        halves.append((best.networks[judge].astype(float), best.augmentation))
    accuracy = (halves[0][0] + halves[1][0]) / 2
    names = " ".join(dict.fromkeys(name for _, name in halves))
    columns = our_numbers(accuracy.reindex(index), dict.fromkeys(frames.LOST, 0))
    return columns | not_printed() | {"over": names}


def table2(cells: Cells) -> Table:
    """Return Table 2: accuracy of the reference network, and the mean of the others."""
    reference = cells.reference["architecture"]
    used = cells.names("architecture", **cells.others("architecture"))
    transfer = [name for name in used if name != reference]
    differs = _differs_over(cells, "architecture", transfer, TRANSFER)
    rows = []
    for dataset, method, ipc in cells.varied_sets("architecture"):
        by_network = cells.along("architecture", (dataset, method, ipc))
        where = {"ipc": ipc, "method": method, "dataset": dataset}
        shown = cells.paper_name("architecture", reference) or reference
        rows.append(cells.entry(2, [by_network.get(reference)], shown, **where, network=shown))
        members = [by_network.get(name) for name in transfer] or [None]
        rows.append(cells.entry(2, members, "Transfer", differs, **where, network="Transfer"))
    note = f"Transfer is the mean over {', '.join(transfer)}; the paper prints IPC 10."
    if not transfer:
        note = "The config evaluates its sets with a single network."
    caption = _fixed(cells, "augmentation", "optimizer")
    if transfer:
        caption += f" Transfer: mean over {_listed('architecture', transfer)}."
    layout = ("ipc", "method"), ("dataset", "network")
    return Table(2, paper_names.TABLES[2], *layout, frame(rows), (note,), caption)


def table4(cells: Cells) -> Table:
    """Return Table 4: accuracy by augmentation."""
    layout = ("dataset", "ipc", "method"), ("augmentation",)
    rows = _along(cells, 4, "augmentation")
    caption = _fixed(cells, "architecture", "optimizer")
    return Table(4, paper_names.TABLES[4], *layout, rows, (_kip_note(rows),), caption)


def _kip_note(rows: pd.DataFrame) -> str:
    return (
        "KIP's printed columns have their headings corrected, as docs/printed_slips.md explains."
        if (rows["printed"] != "").any()
        else ""
    )


def table5(cells: Cells) -> Table:
    """Return Table 5: accuracy by architecture."""
    layout = ("dataset", "ipc", "method"), ("architecture",)
    rows, caption = _along(cells, 5, "architecture"), _fixed(cells, "augmentation", "optimizer")
    return Table(5, paper_names.TABLES[5], *layout, rows, caption=caption)


def _along(cells: Cells, number: int, axis: str) -> pd.DataFrame:
    rows = []
    for key in cells.varied_sets(axis):
        where = dict(zip(_SET, key, strict=True))
        for name, cell in cells.along(axis, key).items():
            column = cells.paper_name(axis, name)
            rows.append(cells.entry(number, [cell], column, **where, **{axis: name}))
    return frame(rows)


def table6(cells: Cells) -> Table:
    """Return Table 6: accuracy by IPC."""
    sets = [key for key in cells.sets(**cells.reference) if key[2] != WHOLE]
    counts = Counter(key[:2] for key in sets)
    several = [key for key in sets if counts[key[:2]] > 1]
    rows = [
        cells.entry(6, [cells.reference_cell(key)], "", **dict(zip(_SET, key, strict=True)))
        for key in several or sets
    ]
    layout = ("dataset", "method"), ("ipc",)
    return Table(6, paper_names.TABLES[6], *layout, frame(rows), caption=_fixed(cells, *WAY))


def table7(cells: Cells) -> Table:
    """Return Table 7: accuracy by optimizer."""
    layout = ("dataset", "method"), ("ipc", "optimizer")
    rows, caption = _along(cells, 7, "optimizer"), _fixed(cells, "architecture", "augmentation")
    return Table(7, paper_names.TABLES[7], *layout, rows, caption=caption)


def table9(cells: Cells) -> Table:
    """Return Table 9: K-Center by the features that it clusters."""
    rows = []
    for key in cells.sets(**cells.reference):
        entry = cells.config.methods[key[1]]
        if entry.algorithm == "kcenter":
            column = "raw input" if entry.features == "pixels" else "embedding"
            where = dict(zip(_SET, key, strict=True)) | {"features": entry.features}
            rows.append(cells.entry(9, [cells.reference_cell(key)], column, **where))
    layout = ("dataset", "ipc"), ("method", "features")
    caption = _fixed(cells, *WAY)
    return Table(9, paper_names.TABLES[9], *layout, frame(rows), caption=caption)


def table3(cells: Cells, ranking: pd.DataFrame) -> Table:
    """Return Table 3 from the table of the architecture ranking, ``nas.csv``.

    ``ranking`` has a row per ranked set: ``method`` and ``ipc``, or the name of
    a ``reference`` of real images; ``condensation_seed``; the measures, of which
    Table 3 shows those of ``_MEASURES``; ``<measure>_low`` and ``_high`` if there
    is an interval. The released search differs from the paper's text, so the
    protocol of a printed number never counts as ours.
    """
    search = getattr(cells.config, "nas", None)
    rows = []
    for row in ranking.to_dict("records"):
        method, ipc = row["method"], str(row["ipc"])
        where = {"method": method, "ipc": ipc, "set": str(row.get("condensation_seed", 0))}
        known = paper_names.method(cells.config, search.dataset, method, ipc) if method else None
        name = known.name if known else None
        if not method:
            where |= {"method": row["reference"], "ipc": WHOLE, "set": "0"}
            ipc = ""
            whole_set = search.references[row["reference"]].images is None
            name = "Original Dataset" if whole_set else None
        for measure, column in _MEASURES.items():
            if measure not in row:
                continue
            entry = where | {"statistic": measure} | no_numbers("ok") | {"mean": row[measure]}
            entry["low"], entry["high"] = row.get(f"{measure}_low"), row.get(f"{measure}_high")
            if row[measure] != row[measure]:
                entry["status"] = "missing"
            dataset = search and paper_names.dataset(cells.config, search.dataset)
            key = (3, dataset.name if dataset else "", name or "", ipc, column)
            if number := cells.numbers.get(key):
                entry |= {"printed": number.text, "verdict": "other protocol"}
                entry["difference"] = row[measure] - float(number.value)
                entry["differs"] = "nas: another search than the released one"
            rows.append(entry)
    entries = frame(rows)
    several = len(entries) and entries["set"].nunique() > 1
    layout = ("method", "ipc", *(["set"] if several else [])), ("statistic",)
    caption = (
        "How well training on a set ranks architectures. spearman, kendall: rank correlation with "
        "the true ranking. top1: true accuracy in percent of the architecture ranked first. "
        "regret: what it lacks to the best of the sample."
    )
    return Table(3, paper_names.TABLES[3], *layout, entries, caption=caption)


# measures of Table 3, with the paper's names
_MEASURES = {
    "spearman": "spearman_correlation",
    "kendall": "",
    "top1": "top1_percent",
    "regret": "",
}


def table8(cells: Cells, costs: pd.DataFrame) -> Table:
    """Return Table 8: the cost of condensation.

    ``costs`` is the frame of ``frames.costs``; the sets of a cell are averaged.
    """
    rows = []
    metrics = {"seconds_per_iteration": "s/iteration", "memory_mb": "MB", "seconds": "s"}
    columns = {"seconds_per_iteration": "seconds_per_iteration", "memory_mb": "gpu_memory_mb"}
    for key, part in costs.groupby(_SET, sort=False):
        if key[2] == WHOLE:
            continue
        where = dict(zip(_SET, key, strict=True))
        devices = ", ".join(sorted(set(part["device"])))
        for metric, shown in metrics.items():
            entry = no_numbers("ok") | where | {"statistic": shown, "sets": len(part)}
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
            dataset = paper_names.dataset(cells.config, where["dataset"])
            method = paper_names.method(cells.config, *key)
            if dataset and method and not method.name.endswith(RAW):
                place = (8, dataset.name, method.name, where["ipc"], columns.get(metric, ""))
                if number := cells.numbers.get(place):
                    entry |= {"printed": number.text, "verdict": "other protocol"}
                    entry["printed_std"] = None if number.std is None else float(number.std)
                    entry["differs"] = f"on {devices} (paper: A100, 40 GB)"
                    if number.value is not None and entry["status"] == "ok":
                        entry["difference"] = entry["mean"] - float(number.value)
            rows.append(entry)
    notes = (
        "Seconds per iteration are medians over a run; the CSV has their quartiles as `low` and "
        "`high`. MB is the peak of the device on CUDA, else of the process; s is the time of a "
        "whole set.",
    )
    caption = (
        "s/iteration: median over a run. MB: peak of the device on CUDA, else of the process. "
        "s: time of a whole set."
    )
    layout = ("dataset", "statistic", "method"), ("ipc",)
    return Table(8, paper_names.TABLES[8], *layout, frame(rows), notes, caption)


def all_tables(cells: Cells, costs: pd.DataFrame, ranking: pd.DataFrame | None) -> list[Table]:
    """Return Tables 1 to 9; Table 3 is empty without ``ranking``."""
    if ranking is None:
        ranking = pd.DataFrame(columns=["method", "ipc"])
    by_axis = table1(cells), table2(cells), table3(cells, ranking), table4(cells), table5(cells)
    return [*by_axis, table6(cells), table7(cells), table8(cells, costs), table9(cells)]
