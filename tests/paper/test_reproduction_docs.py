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


# --- after the paper ------------------------------------------------------------------------------

AFTER = ROOT / "docs" / "after-the-paper"


@pytest.fixture(scope="module")
def after():
    """Config and records of the page."""
    config = loading.load(ROOT / "config/modern-cpu.yaml")
    return config, record_file.unpack(AFTER / "records.jsonl.xz")


def test_the_tables_after_the_paper_follow_from_the_records(after):
    as_printed = printed.load(sorted((ROOT / "config/paper").glob("*.csv")))
    tables, accuracies = evidence.tables_from_records(*after, as_printed)
    for name in ("cells", "gains"):
        assert evidence.as_csv(tables[name]) == (AFTER / f"{name}.csv").read_text()
    assert evidence.as_csv(accuracies) == (AFTER / "accuracy.csv").read_text()


def test_the_page_after_the_paper_holds_the_numbers_of_its_records(after):
    """Rows `| method | accuracy (gain) | ...`, a column per IPC and labels."""
    config, contents = after
    runs = frames.runs({path: held for path, held in contents.items() if "cell" in held}, config)
    means = runs.groupby(["method", "ipc", "labels", "condensation_seed"])["accuracy"].mean()
    means = means.groupby(["method", "ipc", "labels"]).mean()
    text = (AFTER / "README.md").read_text()
    block = re.search("<!-- gains -->\n\n(.*?)\n\n<!-- end of gains -->", text, flags=re.S)[1]
    shown = {}
    for line in block.splitlines()[2:]:
        method, *values = [value.strip("` ") for value in line.strip("|").split("|")]
        keys = [(method, ipc, labels) for ipc in ("1", "10") for labels in ("own", "distilled")]
        shown |= {key: value for key, value in zip(keys, values, strict=True) if value != "-"}
    expected = {}
    for (method, ipc, labels), mean in means.items():
        gain = mean - means["random", ipc, labels]
        expected[method, ipc, labels] = (
            f"{mean:.2f}" if method == "random" else f"{mean:.2f} ({gain:+.2f})"
        )
    assert shown == expected
