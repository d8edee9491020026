"""The numbers of docs/reproduction are those that its records give."""

import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from scipy import stats

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


TABLES = ["cells", "statements", "augmentation", "curves", "ends", "start", "spread"]
TABLES += ["gains", "scores"]


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


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("docs/reproduction/README.md", "{} of {} cells of the paper"),
        ("README.md", "{} of the {} cells of the paper"),
    ],
)
def test_the_pages_count_the_cells_that_are_near_print(page, words):
    """Of the table with the paper's methods; our variants of K-Center and of starts are apart."""
    rows = rows_of(HERE / "README.md", "cells")
    gaps = [float(row[7].strip("*").split()[0].strip("*")) for row in rows if row[7] != "-"]
    near = sum(abs(gap) <= 2 for gap in gaps)
    assert words.format(near, len(gaps)) in " ".join((ROOT / page).read_text().split())


def rows_of(page, name):
    """The rows of the table ``name`` of a page, as stripped texts."""
    block = re.search(
        f"<!-- {name} -->\n\n(.*?)\n\n<!-- end of {name} -->", page.read_text(), flags=re.S
    )
    return [
        [value.strip("` ") for value in line.strip("|").split("|")]
        for line in block[1].splitlines()[2:]
    ]


def test_the_page_holds_the_scores_of_the_records():
    """Rows `| method | score at IPC 1 | at IPC 10 |`, best first at IPC 1."""
    scores = pd.read_csv(HERE / "scores.csv")
    scores = scores[scores["augmentation"] == "dsa"]
    expected = {}
    for row in scores.to_dict("records"):
        value, low, high = (row[f"augmentation_{end}"] * 100 for end in ("robust", "low", "high"))
        interval = f" ({low:.1f} to {high:.1f})" if low == low else ""
        expected.setdefault(row["method"], {})[row["ipc"]] = f"{value:.1f}{interval}"
    assert rows_of(HERE / "README.md", "scores") == [
        [method, *(of_ipc.get(ipc, "-") for ipc in (1, 10))] for method, of_ipc in expected.items()
    ]


def test_the_page_holds_the_sets_of_kcenter_at_one_image_per_class():
    """Twenty means in a block, and a sentence with their mean, spread, and range of the next."""
    accuracies = {}
    for path, record in record_file.unpack(HERE / "records.jsonl.xz").items():
        seed_in_path = re.match(
            r"cifar10/kcenter_classifier/ipc1/set(\d+)/evaluation/convnet/dsa/sgd/seeds[-\d]+.json",
            path,
        )
        if seed_in_path:
            of_set = accuracies.setdefault(int(seed_in_path[1]), [])
            of_set.extend(row["accuracy"] for row in record["rows"])
    values = np.array([np.mean(accuracies[number]) for number in range(20)])
    text = (HERE / "README.md").read_text()
    (block,) = re.findall(r"\n\n((?:    [\d. ]+\n)+)\n", text)
    assert block.split() == [f"{value:.2f}" for value in values]
    mean, std = values.mean(), values.std(ddof=1)
    half = stats.t.ppf(0.975, 19) * std * np.sqrt(1 + 1 / 20)
    expected = [mean, *stats.ttest_1samp(values, 0).confidence_interval(), std]
    expected += [values.min(), values.max(), mean - half, mean + half]
    sentences = re.search(r"Their mean is .*? \(95 %\)", text, flags=re.S)[0]
    shown = re.findall(r"\d+\.\d\d", sentences)
    assert shown == [f"{value:.2f}" for value in expected]


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


LABELS = {
    "own": "own",
    "teacher": "distilled",
    "teacher, each view": "distilled_views",
    "hard": "hard",
}


@pytest.fixture(scope="module")
def means(after):
    """Mean accuracy of the first set by (method, IPC, labels): only Random has several."""
    config, contents = after
    runs = frames.runs({path: held for path, held in contents.items() if "cell" in held}, config)
    assert set(runs[runs["condensation_seed"] > 0]["method"]) == {"random"}
    first = runs[runs["condensation_seed"] == 0]
    return first.groupby(["method", "ipc", "labels"])["accuracy"].mean()


def test_the_page_after_the_paper_holds_the_numbers_of_its_records(means):
    """Rows `| method | labels | accuracy (gain) at IPC 1 | at IPC 10 |`."""
    shown = {
        (method, ipc, LABELS[labels]): value
        for method, labels, *values in rows_of(AFTER / "README.md", "gains")
        for ipc, value in zip(("1", "10"), values, strict=True)
        if value != "-"
    }
    expected = {}
    for (method, ipc, labels), mean in means.items():
        # hard labels are what Random has of its own
        gain = mean - means["random", ipc, "own" if labels == "hard" else labels]
        expected[method, ipc, labels] = (
            f"{mean:.2f}" if method == "random" else f"{mean:.2f} ({gain:+.2f})"
        )
    assert shown == expected


def test_the_page_after_the_paper_holds_the_shares_of_the_way(means):
    whole = pd.read_csv(ROOT / "config/paper/whole_dataset.csv").set_index("dataset")["mean"]
    random = means["random", "10", "own"]
    text = (AFTER / "README.md").read_text()
    (sentence,) = re.findall(r"From Random to the 85\.95 that .*? own labels\.", text, flags=re.S)
    shown = re.findall(r"`(\w+)`(?: goes)?\s+(\d+) %", sentence)
    assert [method for method, _ in shown] == ["dm_factor2", "dm", "kcenter", "rded"]
    for method, share in shown:
        gain = means[method, "10", "own"] - random
        assert share == f"{100 * gain / (whole['CIFAR-10'] - random):.0f}", method


def test_the_page_after_the_paper_compares_with_published_numbers(means):
    """Rows `| method | IPC | labels | ours | published | difference | what differs | source |`."""
    published = pd.read_csv(AFTER / "published.csv", dtype=str)
    expected = []
    for row in published.to_dict("records"):
        theirs = f"{row['published']} ± {row['std']}"
        expected.append((row["method"], row["ipc"], row["labels"], theirs, float(row["published"])))
    of_page = rows_of(AFTER / "README.md", "published")
    assert len(of_page) == len(expected)
    for (method, ipc, labels, theirs, number), row in zip(expected, of_page, strict=True):
        ours = means[method, ipc, labels]
        assert (row[0], row[1], LABELS[row[2]]) == (method, ipc, labels)
        assert row[3:6] == [f"{ours:.2f}", theirs, f"{ours - number:+.2f}"]
