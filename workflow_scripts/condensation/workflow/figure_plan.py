"""Which figures a config has data for, and what each panel shows.

Read while the workflow is parsed: free of torch, pandas and matplotlib. A
panel is a mapping with ``where`` (the value of each fixed column of the accuracy
table) and what varies in it; the rules pass panels on as params.
"""

from collections.abc import Iterable
from typing import Any

from condensation.config.experiments import Axes
from condensation.config.schema import Config
from condensation.workflow import layout
from condensation.workflow.grid import WAY, WHOLE, Cell, Grid, SetId, pictured_ipc

Panel = dict[str, Any]

_USUAL = {name: Axes.model_fields[axis].default[0] for name, axis in WAY.items()}

_TITLES = {
    "figure1": "Accuracy by augmentation",
    "figure2": "Accuracy by IPC",
    "figure3": "Accuracy by architecture",
    "figure4": "Accuracy during condensation by DM",
    "figure5": "Accuracy by architecture, other settings",
    "figure6": "Accuracy during condensation by other methods",
    "figure7": "Features of a class, real and condensed",
    "figure8": "Condensed images of all datasets",
    "cost_accuracy": "Accuracy against the cost of condensation",
    "critical_difference": "Average ranks of the methods",
}


def title(figure: str) -> str:
    """Return what a figure shows, by the name of its file.

    >>> title("condensed_digits"), title("nas_digits")
    ('Condensed images of digits', 'Ranking of architectures on digits')
    """
    kind, _, dataset = figure.partition("_")
    by_dataset = {"condensed": "Condensed images of", "nas": "Ranking of architectures on"}
    return _TITLES.get(figure) or f"{by_dataset[kind]} {dataset}"


def methods(config: Config) -> dict[str, str]:
    """Return the algorithm of every method, by its name, in the config's order.

    The config's name is the one that figures and tables show.
    """
    return {name: entry.algorithm for name, entry in config.methods.items()}


def accuracy_figures(config: Config, grid: Grid) -> dict[str, dict[str, Any]]:
    """Return the figures of the accuracy table that have data.

    Each has ``draw`` (a function of ``figures.accuracy``), ``across`` (what its
    x axis shows) and ``panels``.
    """
    by_architecture = _across(grid, "architecture")
    main = [panel for panel in by_architecture if panel["main"]]
    others = [panel for panel in by_architecture if not panel["main"]]
    along = _along(config, grid)
    figures = {
        "figure1": ("bars", "augmentation", _across(grid, "augmentation")),
        "figure2": ("lines", "ipc", _by_ipc(grid)),
        "figure3": ("bars", "architecture", main),
        "figure4": (
            "curves",
            "iteration",
            [panel for panel in along if panel["algorithm"] == "dm"],
        ),
        "figure5": ("bars", "architecture", others),
        "figure6": (
            "curves",
            "iteration",
            [panel for panel in along if panel["algorithm"] != "dm"],
        ),
    }
    return {
        name: {"draw": draw, "across": across, "panels": panels}
        for name, (draw, across, panels) in figures.items()
        if panels
    }


def cost_panels(grid: Grid, sets: Iterable[SetId] | None = None) -> list[Panel]:
    """Return a panel per dataset and IPC with the sets of two methods or more.

    ``sets`` are those that exist; None: all of the grid.
    """
    existing = set(grid.sets if sets is None else sets)
    panels = []
    for dataset in grid.datasets:
        final = [cell for cell in grid.cells if _is_final(cell, dataset)]
        if not final:
            continue
        rest = _usual(final, WAY)
        judged = dict.fromkeys(cell.set for cell in final if _has(cell, rest))
        for ipc in _ipcs(judged):
            shown = [set_id for set_id in judged if set_id.ipc == ipc and set_id in existing]
            if len({set_id.method for set_id in shown}) > 1:
                where = {"dataset": dataset, "ipc": ipc, **rest}
                sets_of = [(set_id.method, set_id.folder) for set_id in shown]
                panels.append({"where": where, "sets": sets_of})
    return panels


def embedded_sets(config: Config, grid: Grid, dataset: str) -> list[SetId]:
    """Return the sets of a dataset that figure 7 shows, in its order of methods."""
    figure7 = config.figure7
    if figure7 is None or dataset not in figure7.datasets:
        return []
    ipc = str(figure7.ipc)
    sets = {set_id.method: set_id for set_id in grid.sets if _is_first(set_id, dataset, ipc)}
    return [sets[name] for name in figure7.methods if name in sets]


def maps(config: Config, grid: Grid) -> dict[str, str]:
    """Return the file that figure 7 is drawn from, by dataset, relative to the results."""
    figure7 = config.figure7
    return {
        dataset: layout.fill(
            layout.MAP, dataset=dataset, features=figure7.features, ipc=figure7.ipc
        )
        for dataset in (figure7.datasets if figure7 else [])
        if embedded_sets(config, grid, dataset)
    }


def pictured_sets(grid: Grid, dataset: str) -> list[SetId]:
    """Return the sets whose images are drawn."""
    ipc = pictured_ipc(grid, dataset)
    return [set_id for set_id in grid.sets if _is_first(set_id, dataset, ipc)]


def _is_first(set_id: SetId, dataset: str, ipc: str | None) -> bool:
    return set_id.dataset == dataset and set_id.ipc == ipc and set_id.condensation_seed == 0


def _across(grid: Grid, name: str) -> list[Panel]:
    """A panel per dataset and IPC in which the cells differ in ``name``, and nothing else.

    Of several experiments it shows the one with most values; of several
    architectures, augmentations, optimizers and labels, those with most cells.
    """
    panels = []
    for dataset in grid.datasets:
        fixed = [axis for axis in WAY if axis != name]
        choices = []
        for experiment, cells in grid.experiments.items():
            final = [cell for cell in cells if _is_final(cell, dataset)]
            for rest in _combinations(final, fixed):
                shown = [cell for cell in final if _has(cell, rest)]
                values = {getattr(cell, name) for cell in shown}
                usual = sum(_USUAL[key] == value for key, value in rest.items())
                choices.append((len(values), len(shown), usual, experiment, rest, shown))
        choices = [choice for choice in choices if choice[0] > 1]
        if not choices:
            continue
        *_, experiment, rest, shown = max(choices, key=lambda choice: choice[:3])
        per_ipc = []
        for ipc in _ipcs(cell.set for cell in shown):
            here = [cell for cell in shown if cell.set.ipc == ipc]
            values = list(dict.fromkeys(getattr(cell, name) for cell in here))
            if len(values) > 1:
                where = {"experiment": experiment, "dataset": dataset, "ipc": ipc, **rest}
                per_ipc.append({"where": where, "values": values})
        ipcs = [int(panel["where"]["ipc"]) for panel in per_ipc]
        main = max([ipc for ipc in ipcs if ipc <= 10] or [min(ipcs)]) if ipcs else None
        panels += [{**panel, "main": int(panel["where"]["ipc"]) == main} for panel in per_ipc]
    return panels


def _by_ipc(grid: Grid) -> list[Panel]:
    """A panel per dataset: the experiment with most IPC, evaluated as most of its cells are."""
    panels = []
    for dataset in grid.datasets:
        choices = []
        for experiment, cells in grid.experiments.items():
            final = [cell for cell in cells if _is_final(cell, dataset)]
            for rest in _combinations(final, WAY):
                ipcs = _ipcs(cell.set for cell in final if _has(cell, rest))
                size = sum(_has(cell, rest) for cell in final)
                usual = sum(_USUAL[key] == value for key, value in rest.items())
                choices.append((len(ipcs), size, usual, experiment, rest, ipcs))
        if choices:
            *_, experiment, rest, ipcs = max(choices, key=lambda choice: choice[:3])
            where = {"experiment": experiment, "dataset": dataset, **rest}
            panels.append({"where": where, "values": ipcs})
    return panels


def _along(config: Config, grid: Grid) -> list[Panel]:
    """A panel per algorithm, dataset and IPC of judged snapshots."""
    chosen: dict[tuple, list[Cell]] = {}
    for cells in grid.experiments.values():
        groups: dict[tuple, list[Cell]] = {}
        for cell in cells:
            if cell.set.iteration is not None:
                algorithm = config.methods[cell.set.method].algorithm
                key = (algorithm, cell.set.dataset, cell.set.ipc)
                groups.setdefault(key, []).append(cell)
        for key, group in groups.items():
            if len(group) > len(chosen.get(key, [])):
                chosen[key] = group
    panels = []
    order = [entry.algorithm for entry in config.methods.values()]
    for key in sorted(chosen, key=lambda key: (order.index(key[0]), key[1], int(key[2]))):
        algorithm, dataset, ipc = key
        rest = _usual(chosen[key], WAY)
        names = list(dict.fromkeys(c.set.method for c in chosen[key] if _has(c, rest)))
        ends = {n: config.options_of(dataset, n, int(ipc))["iterations"] for n in names}
        panels.append(
            {
                "where": {"dataset": dataset, "ipc": ipc, **rest},
                "algorithm": algorithm,
                "ends": ends,
                "methods": names,
            }
        )
    return panels


def _is_final(cell: Cell, dataset: str) -> bool:
    set_id = cell.set
    return set_id.dataset == dataset and set_id.iteration is None and set_id.ipc != WHOLE


def _has(cell: Cell, rest: dict[str, str]) -> bool:
    return all(getattr(cell, key) == value for key, value in rest.items())


def _combinations(cells: Iterable[Cell], names: Iterable[str]) -> list[dict[str, str]]:
    names = list(names)
    distinct = dict.fromkeys(tuple(getattr(cell, name) for name in names) for cell in cells)
    return [dict(zip(names, values, strict=True)) for values in distinct]


def _usual(cells: list[Cell], names: Iterable[str]) -> dict[str, str]:
    """Return the combination with most cells; among equals, with most defaults of ``Axes``."""
    return max(
        _combinations(cells, names),
        key=lambda rest: (
            sum(_has(cell, rest) for cell in cells),
            sum(_USUAL[key] == value for key, value in rest.items()),
        ),
    )


def _ipcs(sets: Iterable[SetId]) -> list[str]:
    return sorted({set_id.ipc for set_id in sets if set_id.ipc != WHOLE}, key=int)
