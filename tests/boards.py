"""A made-up leaderboard: the library writes records, sets and costs; nothing is trained."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from conftest import small_dataset

from condensation.config import loading
from condensation.core import storage
from condensation.data import datasets, sets
from condensation.figures import sources
from condensation.leaderboard import details, pictures, ranks
from condensation.leaderboard import page as leaderboard_page
from condensation.results import frames, gains
from condensation.results.records import read
from condensation.workflow import grid

HOSTILE = "</script><script>document.title='pwned'</script>"
CAUSE = 'no room for <b>"x"</b> & more' + HOSTILE
CLASSES = ("plain", HOSTILE, "a & <b>b</b>")
CONFIG = {
    "datasets": {"small": {"source": "digits"}, "other": {"source": "digits"}},
    "methods": {
        "random": {"algorithm": "random"},
        "dm": {"algorithm": "dm", "snapshots": [0]},
        "tm": {"algorithm": "dm"},
        "kip": {"algorithm": "dm"},
        "dc": {"algorithm": "dm"},
        "10": {"algorithm": "random"},
        "whole": {"algorithm": "whole"},
    },
    "experiments": {
        "few": {"datasets": ["small"], "methods": ["dm"], "ipc": [1], "evaluation_seeds": 1},
        "main": [
            {
                **{"datasets": ["small"], "methods": ["random", "dm", "tm", "kip", "dc", "10"]},
                **{"ipc": [10, 1], "augmentations": ["none", "dsa"], "condensation_seeds": 2},
                **{"architectures": ["convnet", "mlp"], "evaluation_seeds": 3},
                "snapshots": True,
            },
            {"datasets": ["small"], "methods": ["whole"], "ipc": [1], "evaluation_seeds": 1},
            {"datasets": ["other"], "methods": ["random"], "ipc": [1], "evaluation_seeds": 2},
        ],
    },
}
# tm runs out of memory at IPC 10, every network of dc diverges, one of each of kip's cells
LEVEL = {"random": 40.0, "10": 40.0, "dm": 60.0, "tm": 50.0, "kip": 55.0, "dc": 0.0, "whole": 90.0}


@dataclass(frozen=True)
class Leaderboard:
    """The leaderboard that `make` wrote: its records, and all that its page is made from."""

    cells: grid.Grid
    records: list[Path]
    sets: dict[grid.SetId, details.SetDetails]
    board: pd.DataFrame
    html: str


def value(cell: grid.Cell, seed: int) -> float | None:
    """The accuracy of one network; None where it gave none."""
    set_id = cell.set
    if set_id.method == "dc" or (set_id.method == "tm" and set_id.ipc == "10"):
        return None
    if set_id.method == "kip" and (set_id.condensation_seed, seed) == (0, 0):
        return None
    shift = 10 * (set_id.ipc == "10") + 5 * (cell.augmentation == "dsa") - 3 * (seed == 1)
    shift += set_id.condensation_seed if set_id.method == "dm" else 0
    if cell.architecture == "mlp":
        shift -= 25 if set_id.method == "dm" else 2
    return LEVEL[set_id.method] + shift


def record(path: Path, cell: grid.Cell, seeds: int) -> Path:
    """Write the record of one cell."""
    set_id, rows = cell.set, []
    failed = "oom" if (set_id.method, set_id.ipc) == ("tm", "10") else "diverged"
    for seed in range(seeds):
        accuracy = value(cell, seed)
        ok = accuracy is not None
        by_class = (
            {name: accuracy - 10 * place for place, name in enumerate(CLASSES)} if ok else None
        )
        rows.append(
            {
                **{"seed": seed, "status": "ok" if ok else failed, "accuracy": accuracy},
                **{"loss": 1.5 if ok else None, "per_class": by_class},
                "curve": [[1, 2.0], [10, 1.0 + seed], [20, 0.123456789]] if ok else [],
            }
        )
    metadata = {
        **{"dataset": set_id.dataset, "method": set_id.method, "ipc": set_id.ipc},
        **{"condensation_seed": set_id.condensation_seed, "iteration": set_id.iteration},
        **{"architecture": cell.architecture, "augmentation": cell.augmentation},
        "optimizer": cell.optimizer,
    }
    options = {"architecture": {"network": cell.architecture}, "protocol": {"epochs": 20}}
    content = {
        "cell": metadata,
        "status": "ok",
        "rows": rows,
        "options": options,
        "source": "ab" * 8,
    }
    storage.write_json(path, content | {"source": "ab" * 8, "compile": False, "stack": False})
    return path


def write_set(path: Path, set_id: grid.SetId, dataset: datasets.Dataset) -> details.SetDetails:
    """Write a set as the rule `condense` does, and read it as `make_leaderboard` does."""
    whole = set_id.ipc == grid.WHOLE
    ipc = None if whole else int(set_id.ipc)
    facts = {"method": set_id.method, "algorithm": "condensation.methods.dm", "ipc": ipc}
    facts |= {"options": {"lr": 1.0, "note": HOSTILE}, "seed": set_id.condensation_seed}
    facts |= {"source": "cd" * 8, "inputs": {"dataset": "ef" * 32}, "precision": "float32"}
    if value(grid.Cell(set_id, "convnet", "none", "sgd"), 1) is None:
        status = "oom" if set_id.method == "tm" else "diverged"
        sets.write_failure(dataset, path, status, CAUSE, 7, **facts)
    else:
        count = len(dataset.classes) * (ipc or 1)
        shape = (count, *dataset.shape)
        images = torch.randn(shape, generator=torch.Generator().manual_seed(count))
        labels = torch.arange(len(dataset.classes)).repeat_interleave(ipc or 1)
        condensed = sets.Condensed(images, labels)
        if whole:
            condensed = sets.Condensed(None, labels, indices=labels.clone())
        sets.write(condensed, dataset, path, iterations=20, **facts)
    cost = {
        "seconds": 100.0 * (1 + set_id.condensation_seed),
        "peak_rss_mb": 700.0 + len(set_id.method),
    }
    cost |= {"device": "cpu", "torch": "2", "seconds_per_iteration": None}
    condensed, metadata = sets.load(path, dataset)
    picture = ()
    if condensed is not None and condensed.images is not None:
        first = sources.first_images(dataset, condensed)
        picture = pictures.picture_of_set(first, len(dataset.classes), ipc)
    size = 0 if condensed is None else len(condensed.labels)
    return details.SetDetails(metadata, cost, *picture, size=size)


def with_costs_and_gains(board: pd.DataFrame, by_set) -> pd.DataFrame:
    """Join what rule make_leaderboard joins; methods are named after their algorithms."""
    board = board.join(details.costs(board, by_set))
    board = board.join(details.budgets_of(board, by_set, "scoring"))
    return board.join(gains.of_cells(board, {name: name for name in set(board["method"])}))


def make(folder: Path) -> Leaderboard:
    """Write everything below ``folder``; the page is ``folder/index.html``."""
    cells = grid.expand(loading.parse(CONFIG))
    records = []
    for cell, seeds in cells.cells.items():
        records.append(record(folder / cell.folder / f"seeds0-{seeds - 1}.json", cell, seeds))
    by_set = {}
    for set_id in cells.sets:
        dataset = replace(small_dataset(), name=set_id.dataset, classes=CLASSES)
        by_set[set_id] = write_set(
            folder / set_id.folder / "condensed.safetensors", set_id, dataset
        )
    contents = read(records)
    table = folder / "accuracy.csv"
    frames.accuracy(frames.runs(contents), cells).to_csv(table, index=False)
    board = ranks.rows(frames.load_accuracy(table), cells)
    board = with_costs_and_gains(board, by_set)
    html = leaderboard_page.render(board, details.row_details(board, contents.values(), by_set))
    storage.write_text(folder / "index.html", html)
    return Leaderboard(cells, records, by_set, board, html)
