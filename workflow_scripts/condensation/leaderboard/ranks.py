"""The rows of the leaderboard: the methods of each cell, ranked."""

import pandas as pd

from condensation.config.experiments import OWN
from condensation.results.frames import FINAL, ipc_order
from condensation.workflow.grid import Grid

# ranked within one of these
CELL = ["dataset", "ipc", "augmentation", "architecture", "optimizer", "labels"]


def rows(table: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Return a row per method and cell of finished sets, ranked within the cell.

    ``rank`` is 1 for the highest mean, equal means share the better rank, and
    ``ranked`` counts the ranked methods. A method has no rank if its ``state`` is
    not ``ok``: ``oom``, or ``diverged`` or ``missing`` for all networks. Rows have
    the order of the grid's cells, then of ranks. ``table`` is the frame of
    ``frames.accuracy``.
    """
    board = table[table["iteration"] == FINAL]
    # of a cell in several experiments, keep the row with most networks
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


def opening(board: pd.DataFrame) -> dict[str, str]:
    """Return the cell on which the page opens, by axis, among those of the first dataset.

    Of the cells that rank at least two thirds of the methods that any cell ranks: one with the
    sets' own labels, then with the augmentation ``dsa``, then the largest IPC, then most methods,
    then the first.
    """
    if board.empty:
        return {}
    first = board[board["dataset"] == board["dataset"].iloc[0]]
    cells = first.assign(
        dsa=first["augmentation"] == "dsa",
        own=first["labels"] == OWN,
        size=pd.to_numeric(first["ipc"], errors="coerce").fillna(0),  # the whole set comes last
    )
    cells = cells[3 * cells["ranked"] >= 2 * cells["ranked"].max()]
    best = cells.sort_values(["own", "dsa", "size", "ranked"], ascending=False, kind="stable").iloc[
        0
    ]
    return {name: best[name] for name in CELL}


def _places(name: str, grid: Grid) -> dict[str, int]:
    """Return the position of each name of an axis: the config's order, IPC from small to large."""
    of_set = name in ("dataset", "ipc")
    values = dict.fromkeys(getattr(cell.set if of_set else cell, name) for cell in grid.cells)
    ordered = ipc_order(values) if name == "ipc" else values
    return {value: place for place, value in enumerate(ordered)}
