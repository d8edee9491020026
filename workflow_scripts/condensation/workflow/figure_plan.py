"""Which figures a config asks for, and what each panel shows.

Read while the workflow is parsed: free of torch, pandas and matplotlib. A
panel is a mapping with ``where`` (columns of the accuracy table and the one
value of each) and what varies in it; panels are told to the rules as params.
"""

from collections.abc import Iterable
from typing import Any

from condensation.config.experiments import Axes
from condensation.config.schema import Config
from condensation.workflow.grid import WHOLE, Cell, Grid, SetId, pictured_ipc

Panel = dict[str, Any]

_WAY = ("architecture", "augmentation", "optimizer")
_USUAL = {name: Axes.model_fields[f"{name}s"].default[0] for name in _WAY}


def methods(config: Config) -> dict[str, str]:
    """Return the algorithm of every method, by its name, in the config's order.

    The config's name is the one that figures and tables show.
    """
    return {name: entry.algorithm for name, entry in config.methods.items()}


def accuracy_figures(config: Config, grid: Grid) -> dict[str, dict[str, Any]]:
    """Return the figures that are drawn from the accuracy table: those with something to show.

    Each has ``draw`` (a function of ``figures.accuracy``), ``across`` (what its
    x axis shows) and ``panels``.
    """
    by_architecture = _across(grid, "architecture")
    main = [panel for panel in by_architecture if panel["main"]]
    others = [panel for panel in by_architecture if not panel["main"]]
    along = _along(config, grid)
    found = {
        "figure1": ("bars", "augmentation", _across(grid, "augmentation")),
        "figure2": ("lines", "ipc", _by_ipc(grid)),
        "figure3": ("bars", "architecture", main),
        "figure4": ("curves", "iteration", [one for one in along if one["algorithm"] == "dm"]),
        "figure5": ("bars", "architecture", others),
        "figure6": ("curves", "iteration", [one for one in along if one["algorithm"] != "dm"]),
    }
    return {
        name: {"draw": draw, "across": across, "panels": panels}
        for name, (draw, across, panels) in found.items()
        if panels
    }


def cost_panels(grid: Grid, made: Iterable[SetId] | None = None) -> list[Panel]:
    """Return a panel per dataset and IPC with the sets of two methods or more.

    With ``made`` of these alone.
    """
    made = set(grid.sets if made is None else made)
    panels = []
    for dataset in grid.datasets:
        final = [cell for cell in grid.cells if _is_final(cell, dataset)]
        if not final:
            continue
        rest = _usual(final, _WAY)
        sets = dict.fromkeys(cell.set for cell in final if _has(cell, rest))
        for ipc in _ipcs(sets):
            shown = [one for one in sets if one.ipc == ipc and one in made]
            if len({one.method for one in shown}) > 1:
                where = {"dataset": dataset, "ipc": ipc, **rest}
                sets_of = [(one.method, one.folder) for one in shown]
                panels.append({"where": where, "sets": sets_of})
    return panels


def embedded_sets(config: Config, grid: Grid, dataset: str) -> list[SetId]:
    """Return the sets of a dataset that figure 7 shows, in its order of methods."""
    wanted = config.figure7
    names = wanted.methods if wanted and dataset in wanted.datasets else []
    sets = {one.method: one for one in grid.sets if _is_first(one, dataset, str(wanted.ipc))}
    return [sets[name] for name in names if name in sets]


def maps(config: Config, grid: Grid, results: str) -> list[str]:
    """Return the files that figure 7 is drawn from, one per dataset; none if it is not wanted."""
    wanted = config.figure7
    return [
        f"{results}/{dataset}/features/{wanted.features}/map_ipc{wanted.ipc}.safetensors"
        for dataset in (wanted.datasets if wanted else [])
        if embedded_sets(config, grid, dataset)
    ]


def pictured_sets(grid: Grid, dataset: str) -> list[SetId]:
    """Return the sets whose images are drawn."""
    ipc = pictured_ipc(grid, dataset)
    return [one for one in grid.sets if _is_first(one, dataset, ipc)]


def _is_first(one: SetId, dataset: str, ipc: str | None) -> bool:
    return one.dataset == dataset and one.ipc == ipc and one.condensation_seed == 0


def _across(grid: Grid, name: str) -> list[Panel]:
    """A panel per dataset and IPC in which the cells differ in ``name``, and nothing else.

    Of several experiments that of most values is shown, and of several ways
    that of most cells.
    """
    panels = []
    for dataset in grid.datasets:
        fixed = [one for one in _WAY if one != name]
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
        own = []
        for ipc in _ipcs(cell.set for cell in shown):
            here = [cell for cell in shown if cell.set.ipc == ipc]
            values = list(dict.fromkeys(getattr(cell, name) for cell in here))
            if len(values) > 1:
                where = {"experiment": experiment, "dataset": dataset, "ipc": ipc, **rest}
                own.append({"where": where, "values": values})
        found = [int(panel["where"]["ipc"]) for panel in own]
        main = max([ipc for ipc in found if ipc <= 10] or [min(found)]) if found else None
        panels += [{**panel, "main": int(panel["where"]["ipc"]) == main} for panel in own]
    return panels


def _by_ipc(grid: Grid) -> list[Panel]:
    """A panel per dataset: the experiment of most IPC, in the way of most cells."""
    panels = []
    for dataset in grid.datasets:
        choices = []
        for experiment, cells in grid.experiments.items():
            final = [cell for cell in cells if _is_final(cell, dataset)]
            for rest in _combinations(final, _WAY):
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
        for key, own in groups.items():
            if len(own) > len(chosen.get(key, [])):
                chosen[key] = own
    panels = []
    order = [entry.algorithm for entry in config.methods.values()]
    for key in sorted(chosen, key=lambda key: (order.index(key[0]), key[1], int(key[2]))):
        algorithm, dataset, ipc = key
        rest = _usual(chosen[key], _WAY)
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
    one = cell.set
    return one.dataset == dataset and one.iteration is None and one.ipc != WHOLE


def _has(cell: Cell, rest: dict[str, str]) -> bool:
    return all(getattr(cell, key) == value for key, value in rest.items())


def _combinations(cells: Iterable[Cell], names: Iterable[str]) -> list[dict[str, str]]:
    names = list(names)
    found = dict.fromkeys(tuple(getattr(cell, name) for name in names) for cell in cells)
    return [dict(zip(names, values, strict=True)) for values in found]


def _usual(cells: list[Cell], names: Iterable[str]) -> dict[str, str]:
    """The combination of most cells; of equals, that of the most defaults of ``Axes``."""
    return max(
        _combinations(cells, names),
        key=lambda rest: (
            sum(_has(cell, rest) for cell in cells),
            sum(_USUAL[key] == value for key, value in rest.items()),
        ),
    )


def _ipcs(sets: Iterable[SetId]) -> list[str]:
    return sorted({one.ipc for one in sets if one.ipc != WHOLE}, key=int)
