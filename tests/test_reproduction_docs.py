"""The numbers of docs/reproduction are those that its records give."""

import json
import lzma
import re

import pandas as pd
import pytest
from conftest import ROOT

from condensation import config, evidence, grid, jobs, paper_cells, printed, storage, tables

HERE = ROOT / "docs" / "reproduction"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The tables of evidence, computed from the committed records."""
    folder = tmp_path_factory.mktemp("records")
    with lzma.open(HERE / "records.jsonl.xz", "rt") as file:
        contents = [json.loads(line) for line in file]
    for content in contents:
        path = folder / content.pop("path")
        path.parent.mkdir(parents=True, exist_ok=True)
        storage.write_json(path, content)
    wanted = config.load(ROOT / "config/cifar10-cpu.yaml")
    asked = grid.expand(wanted)
    records = [folder / path for path in asked.records() if (folder / path).is_file()]
    runs = tables.with_missing(tables.runs(records), asked)
    sets = [one for one in jobs.made_sets(wanted, asked) if (folder / one.folder).is_dir()]
    costs = tables.costs(sets, [folder / one.folder / "cost.json" for one in sets], runs)
    spent = [storage.read_json(path.with_suffix(".cost.json")) for path in records]
    networks = evidence.network_costs([storage.read_json(path) for path in records], spent)
    as_printed = printed.load(sorted((ROOT / "config/paper").glob("*.csv")))
    numbers, slips = printed.reread(as_printed), printed.implied(as_printed)
    found = paper_cells.collect(wanted, runs, numbers, slips)
    return evidence.every(found, runs, costs, networks)


@pytest.mark.parametrize("name", ["cells", "augmentation", "start", "spread"])
def test_the_tables_follow_from_the_records(made, name):
    assert evidence.as_csv(made[name]) == (HERE / f"{name}.csv").read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/reproduction/README.md"])
def test_the_pages_hold_the_numbers_of_the_tables(page):
    """Rows `| method | IPC | network | augmentation | networks (sets) | ours | printed | ...`."""
    cells = pd.read_csv(HERE / "cells.csv", keep_default_na=False, dtype=str)
    cells = cells.set_index(["method", "ipc", "architecture", "augmentation"])
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (\w+) \| (\w+) \| (\d+) \((\d+)\) \| ([\d.]+)[^|]*\| ([\d.-]+)"
        r"[^|]*\| \**([-+\d.]+)",
        (ROOT / page).read_text(),
        flags=re.M,
    )
    assert len(rows) >= 5
    for *key, networks, sets, ours, theirs, gap in rows:
        cell = cells.loc[tuple(key)]
        lost = sum(int(cell[name]) for name in tables.LOST)
        assert (int(networks), sets) == (int(cell["networks"]) - lost, cell["sets"]), key
        assert ours == f"{float(cell['mean']):.2f}", key
        if theirs != "-":
            assert float(theirs) == float(cell["printed"]), key
            assert gap == f"{float(cell['difference']):+.2f}", key
