"""The tables of the ranking, from records written by hand."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from condensation.core import storage
from condensation.core.errors import InputError
from condensation.figures import architectures, style
from condensation.nas import tables as ranking_tables
from condensation.nas.sample import sample
from condensation.networks.cells201 import connected, parse

NAMES = sample(8, 0, False)["architectures"]
TRUTH = [90.0, 91, 92, 93, 94, 80, 70, 60]
RANDOM = [30.0, 20, 25, 22, 28, 21, 24, 27]
DM = [31.0, 32, 33, 33, 35, 26, 25, 24]
METHODS = {
    "picked": {"algorithm": "random", "title": "picked"},
    "dm": {"algorithm": "dm", "title": "DM"},
}
SAMPLE = {"architectures": NAMES, "truth": TRUTH}


def write(folder, values, algorithm="condensation.methods.random", status="ok", **fields):
    """Two records, of five and three architectures; two networks each, below and above a value."""
    key = {"dataset": "d", "method": None, "ipc": None, "condensation_seed": None}
    key |= {"reference": None} | fields
    paths = []
    for part in (slice(0, 5), slice(5, 8)):
        rows = [
            {"architecture": name, "seed": seed, "loss": None}
            | {"status": status, "accuracy": None if status != "ok" else value + 2 * seed - 1}
            for name, value in zip(NAMES[part], values[part], strict=True)
            for seed in (0, 1)
        ]
        label = "-".join(str(value) for value in fields.values())
        paths.append(folder / f"{label}-{part.start}.json")
        storage.write_json(
            paths[-1],
            {
                **{"trained_on": key, "rows": rows, "validated_on": 100},
                "options": {"epochs": 50},
                "set": {"algorithm": algorithm, "images": 10, "also_held_out": 1},
            },
        )
    return paths


def of_set(method, **more):
    return {"method": method, "ipc": "10", "condensation_seed": 0, **more}


@pytest.fixture
def records(tmp_path):
    paths = write(tmp_path, RANDOM, **of_set("picked"))
    paths += write(tmp_path, DM, "condensation.methods.dm", **of_set("dm"))
    return paths + write(tmp_path, TRUTH, None, reference="whole")


def tables(paths, whole=None):
    frame = ranking_tables.networks(map(storage.read_json, paths))
    table = ranking_tables.architectures(frame, SAMPLE, whole)
    return table, ranking_tables.summary(table, frame, 500, 0).set_index("set")


def test_the_correlations_agree_with_scipy(records):
    table, summary = tables(records)
    rows = table[table["set"] == "dm/10/0"]
    assert list(rows["architecture"]) == NAMES and list(rows["proxy"]) == DM
    assert set(rows["std"]) == {1.0} and set(rows["networks"]) == {2}
    assert list(rows["connected"]) == [connected(parse(name)) for name in NAMES]
    row = summary.loc["dm/10/0"]
    assert row["spearman"] == pytest.approx(stats.spearmanr(DM, TRUTH).statistic)
    assert row["kendall"] == pytest.approx(stats.kendalltau(DM, TRUTH).statistic)
    assert (row["top1"], row["regret"], row["best_of_top5"]) == (94, 0, 94)
    assert (row["tied"], row["tied_first"], row["networks"], row["lost"]) == (2, 1, 16, 0)
    assert row["minus_random"] == pytest.approx(
        row["spearman"] - stats.spearmanr(RANDOM, TRUTH).statistic
    )
    assert row["minus_random_low"] <= row["minus_random"] <= row["minus_random_high"]
    assert np.isnan(summary.loc["picked/10/0", "minus_random"])
    assert summary.loc["whole", "spearman"] == pytest.approx(1)
    assert summary.loc["whole", "minus_random"] > 0, "a reference is compared with Random too"


def test_random_is_the_algorithm_at_the_same_ipc_not_a_name(tmp_path, records):
    other = of_set("random", ipc="50")
    more = write(tmp_path, DM, "mine.py:random", **other)
    _, summary = tables([*records, *more])
    assert np.isnan(summary.loc["random/50/0", "minus_random"]), "no Random at IPC 50"
    more += write(tmp_path, RANDOM, **of_set("picked", ipc="50"))
    _, summary = tables([*records, *more])
    assert summary.loc["random/50/0", "minus_random"] > 0


def test_a_reference_can_be_the_truth(records):
    table, summary = tables(records, "whole")
    assert set(summary.index) == {"picked/10/0", "dm/10/0"}
    assert set(table["set"]) == {"picked/10/0", "dm/10/0"}
    assert list(table["truth"]) == TRUTH * 2


def test_architectures_that_did_not_train_rank_last_and_are_counted(tmp_path, records):
    lost = storage.read_json(records[2])
    for row in lost["rows"][8:]:  # the best architecture's networks
        row |= {"status": "diverged", "accuracy": None}
    lost["rows"][0] |= {"status": "diverged", "accuracy": None}  # one of two
    storage.write_json(records[2], lost)
    _, summary = tables(records)
    row = summary.loc["dm/10/0"]
    assert (row["lost"], row["not_trained"]) == (3, 1)
    expected = [32.0, 32, 33, 33, -1, 26, 25, 24]  # the first by its second network alone
    assert row["spearman"] == pytest.approx(stats.spearmanr(expected, TRUTH).statistic)
    assert row["top1"] == 92.5, "the two that tie, averaged"


def test_a_set_that_failed_has_a_row_without_numbers(tmp_path, records):
    failed = of_set("tm")
    paths = write(tmp_path, DM, "condensation.methods.tm", status="oom", **failed)
    _, summary = tables([*records, *paths])
    row = summary.loc["tm/10/0"]
    assert np.isnan(row["spearman"]) and (row["lost"], row["not_trained"]) == (16, 8)
    text = ranking_tables.markdown(summary.reset_index(), "d", "the truth", None)
    (line,) = [line for line in text.splitlines() if line.startswith("| tm")]
    assert line.split("|")[5].strip() == "-"


def test_a_missing_record_is_named(records):
    with pytest.raises(InputError, match=r"dm/10/0: no record of \|"):
        tables(records[:3])


def test_the_markdown_table_shows_the_summary(records):
    _, summary = tables(records)
    text = ranking_tables.markdown(
        summary.reset_index(), "d", "the truth", "Only an example.", ["d/dm/ipc1/set0/nas"]
    )
    assert "Missing, because a job failed or has not run yet: d/dm/ipc1/set0/nas." in text
    assert "**Only an example.**" in text and "the truth" in text and "100 held-out" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| dm")]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[:4] == ["dm", "10", "0", "50"] and cells[7:9] == ["94.00", "94.00"]
    assert cells[4].startswith(f"{summary.loc['dm/10/0', 'spearman']:.2f} [")
    dead = sum(not connected(parse(name)) for name in NAMES)
    assert f"8 architectures, {dead} of them with no path" in text


def test_the_resamples_repeat(records):
    pd.testing.assert_frame_equal(tables(records)[1], tables(records)[1])


def test_the_figure_has_a_panel_a_set_and_a_point_an_architecture(tmp_path, records):
    table, summary = tables(records)
    shown = summary.reset_index()
    figure = architectures.scatter(shown, table, style.method_styles(METHODS), "title", "the truth")
    used = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title().split("\n")[0] for ax in used] == [
        *("picked, IPC 10", "dm, IPC 10", "whole")
    ]
    points = np.concatenate([line.get_xydata() for line in used[1].lines])
    assert sorted(map(tuple, points)) == sorted(zip(TRUTH, DM, strict=True))
    style.save(figure, tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").size[0] > 500
