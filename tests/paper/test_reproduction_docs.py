"""The numbers of docs/reproduction are those that its records give."""

import re

import pandas as pd
import pytest
from conftest import ROOT

from condensation.config import loading
from condensation.paper import evidence, evidence_page, printed
from condensation.results import frames, record_file

HERE = ROOT / "docs" / "reproduction"


@pytest.fixture(scope="module")
def tables():
    """The tables of evidence, computed from the committed records."""
    config = loading.load(ROOT / "config/cifar10-cpu.yaml")
    as_printed = printed.load(sorted((ROOT / "config/paper").glob("*.csv")))
    contents = record_file.unpack(HERE / "records.jsonl.xz")
    return evidence.tables_from_records(config, contents, as_printed)[0]


TABLES = ["cells", "statements", "augmentation", "curves", "ends", "start", "spread", "gains"]


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_follow_from_the_records(tables, name):
    assert evidence.as_csv(tables[name]) == (HERE / f"{name}.csv").read_text()


@pytest.mark.parametrize("source", ["records", "print"])
def test_the_page_holds_the_statements_that_the_records_and_print_give(tables, source):
    block = re.search(
        f"<!-- statements: {source} -->\n\n(.*?)\n\n<!-- end of statements -->",
        (HERE / "README.md").read_text(),
        flags=re.S,
    )
    assert block[1] == evidence_page.statements_table(tables["statements"], source)


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
        lost = sum(int(cell[name]) for name in frames.LOST)
        assert (int(networks), sets) == (int(cell["networks"]) - lost, cell["sets"]), key
        assert ours == f"{float(cell['mean']):.2f}", key
        if theirs != "-":
            assert float(theirs) == float(cell["printed"]), key
            assert gap == f"{float(cell['difference']):+.2f}", key
