"""The rows of the leaderboard: which methods there are in each cell, and who is first."""

import pandas as pd

from condensation.results.frames import FINAL, ipc_order
from condensation.workflow.grid import Grid

CELL = ["dataset", "ipc", "augmentation", "architecture", "optimizer"]  # ranked within one of these


def rows(table: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Return a row per method and cell, of finished sets, ranked within the cell.

    ``rank`` is 1 for the highest mean, equal means share the better rank, and
    ``ranked`` says among how many. A method whose ``state`` is not ``ok`` (``oom``,
    or ``diverged`` or ``missing`` with every network) has no rank. The order is
    that of the grid's cells, then rank.

    Parameters
    ----------
    table : of ``tables.accuracy``.
    """
    board = table[table["iteration"] == FINAL]
    # a cell of several experiments: the one with the most networks
    board = board.sort_values("networks", kind="stable")
    board = board.drop_duplicates([*CELL, "method"], keep="last").sort_index()
    state = board["mean"].isna().map({True: "diverged", False: "ok"})
    state = state.mask(board["missing"] == board["networks"], "missing")
    board = board.assign(state=state.mask(board["oom"] > 0, "oom"))
    scores = board["mean"].where(board["state"] == "ok")
    cells = scores.groupby([board[name] for name in CELL])
    board["rank"] = cells.rank(method="min", ascending=False)
    board["ranked"] = cells.transform("count").astype(int)
    places = pd.DataFrame({name: board[name].map(_places(name, grid)) for name in CELL})
    places["rank"] = board["rank"]
    order = places.sort_values([*CELL, "rank"], kind="stable", na_position="last").index
    return board.loc[order].reset_index(drop=True)


def _places(name: str, grid: Grid) -> dict[str, int]:
    """The names of one axis in the order of the config, IPC from small to large."""
    of_set = name in ("dataset", "ipc")
    values = dict.fromkeys(getattr(cell.set if of_set else cell, name) for cell in grid.cells)
    ordered = ipc_order(values) if name == "ipc" else values
    return {value: place for place, value in enumerate(ordered)}
