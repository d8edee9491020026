"""The leaderboard's rows, pictures and page, against plain loops."""

import base64
import io
import json
import statistics
from collections import defaultdict

import boards
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import small_dataset
from PIL import Image
from scipy import stats

from condensation.core import storage
from condensation.data.sets import Condensed
from condensation.figures import sources
from condensation.leaderboard import details, pictures, ranks
from condensation.leaderboard import page as leaderboard_page
from condensation.results import frames
from condensation.results.records import read
from condensation.workflow.grid import SetId

HOSTILE_TEACHER = "<b>"
KEY = ["dataset", "ipc", "augmentation", "architecture", "optimizer", "labels", "method"]


@pytest.fixture(scope="module")
def leaderboard(tmp_path_factory):
    return boards.make(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def by_hand(leaderboard):
    """Per row: every accuracy, None where there is none, by condensed set."""
    by_key = defaultdict(dict)
    for cell, seeds in leaderboard.cells.cells.items():
        if cell.set.iteration is None:
            key = (cell.set.dataset, cell.set.ipc, cell.augmentation, cell.architecture)
            values = [boards.value(cell, seed) for seed in range(seeds)]
            by_key[(*key, cell.optimizer, cell.labels, cell.set.method)][
                cell.set.condensation_seed
            ] = values
    return by_key


def test_each_method_has_a_row_per_cell_with_mean_and_interval(leaderboard, by_hand):
    assert {tuple(key) for key in leaderboard.board[KEY].values} == set(by_hand)
    assert len(leaderboard.board) == len(by_hand) == 6 * 2 * 2 * 2 + 1 + 1
    for _, row in leaderboard.board.iterrows():
        of_sets = by_hand[tuple(row[KEY])].values()
        good = [value for values in of_sets for value in values if value is not None]
        count = sum(map(len, of_sets))
        assert (row["sets"], row["networks"]) == (len(of_sets), count)
        if not good:
            assert row["state"] == ("oom" if row["method"] == "tm" else "diverged")
            assert np.isnan(row["mean"]) and np.isnan(row["rank"])
            continue
        assert row["state"] == "ok" and row["diverged"] == count - len(good)
        spread = good
        if len(of_sets) > 1:
            spread = [statistics.fmean(v for v in values if v is not None) for values in of_sets]
        assert row["mean"] == pytest.approx(statistics.fmean(spread))
        if len(spread) == 1:
            assert np.isnan(row["low"]) and np.isnan(row["high"])
            continue
        half = statistics.stdev(spread) / len(spread) ** 0.5
        half *= stats.t.isf(0.025, len(spread) - 1)
        centre = statistics.fmean(spread)
        assert (row["low"], row["high"]) == pytest.approx((centre - half, centre + half))


def test_ranks_are_per_cell_shared_by_ties_and_absent_for_failures(leaderboard, by_hand):
    for _, row in leaderboard.board.iterrows():
        key = tuple(row[KEY])
        rivals = {}
        for other, of_sets in by_hand.items():
            good = [v for values in of_sets.values() for v in values if v is not None]
            if other[:-1] == key[:-1] and good:
                rivals[other[-1]] = statistics.fmean(good)
        assert row["ranked"] == len(rivals)
        if key[-1] in rivals:
            better = sum(mean > rivals[key[-1]] + 1e-9 for mean in rivals.values())
            assert row["rank"] == 1 + better
    cell = leaderboard.board[
        (leaderboard.board["architecture"] == "convnet") & (leaderboard.board["ipc"] == "1")
    ]
    cell = cell[(cell["augmentation"] == "dsa") & (cell["dataset"] == "small")]
    assert list(cell["method"]) == ["dm", "kip", "tm", "random", "10", "dc"]
    assert list(cell["rank"])[:5] == [1, 2, 3, 4, 4]


def test_rows_are_in_the_order_of_the_grid_ipc_ascending(leaderboard):
    assert list(dict.fromkeys(leaderboard.board["ipc"])) == ["1", "10", "all"]
    assert list(dict.fromkeys(leaderboard.board["dataset"])) == ["small", "other"]


def test_costs_are_the_mean_time_and_the_peak_over_sets(leaderboard):
    row = leaderboard.board[leaderboard.board["method"] == "random"].iloc[0]
    assert row["seconds"] == 150.0  # of 100 and 200
    assert row["memory_mb"] == 706.0
    on_gpu = details.SetDetails(
        {}, {"device": "cuda", "seconds": 1.0, "peak_rss_mb": 900.0, "peak_cuda_mb": 300.0}
    )
    board = pd.DataFrame([{"dataset": "d", "method": "m", "ipc": "1"}])
    sets = {SetId("d", "m", "1", 0): on_gpu}
    assert details.costs(board, sets)["memory_mb"][0] == 300.0
    on_cpu = details.SetDetails({}, {"device": "cpu", "seconds": 99.0, "peak_rss_mb": 900.0})
    mixed = details.costs(board, sets | {SetId("d", "m", "1", 1): on_cpu})
    assert mixed.isna().all(axis=None), "no mean of a CPU and a GPU"


def test_the_size_is_that_of_the_set_and_the_page_says_what_else_it_needs(leaderboard):
    """Images of 3 x 8 x 8 bytes in three classes."""
    board = leaderboard.board
    expected = {"1": 192, "10": 1_920, "all": 192}  # the whole set of the board has three images
    failed = (board["method"] == "tm") & (board["ipc"] == "10") | (board["method"] == "dc")
    for _, row in board[~failed].iterrows():
        assert (row["bytes_per_class"], row["beside_images"]) == (expected[row["ipc"]], "")
    assert failed.any() and board[failed]["bytes_per_class"].isna().all()
    # the same sets under a teacher's labels: four bytes for each of three scores
    other = board.drop(columns=["bytes_per_class", "beside_images"]).assign(labels="distilled")
    other = other.join(details.budgets_of(other, leaderboard.sets, HOSTILE_TEACHER))
    assert set(other[~failed]["bytes_per_class"] - board[~failed]["bytes_per_class"]) == {12, 120}
    of_rows = details.row_details(other, read(leaderboard.records).values(), leaderboard.sets)
    text = leaderboard_page.render(other, of_rows)
    ten = '<td class="wide number" data-order="2040.0">2.04 kB'
    note = '<span class="quiet beside">soft labels (120 B), teacher &lt;b&gt;</span></td>'
    assert f"{ten} {note}" in text
    rows = pd.read_csv(io.StringIO(leaderboard_page.csv(other)), keep_default_na=False)
    assert set(rows["beside_images"]) >= {"soft labels (120 B), teacher <b>", ""}


def test_the_details_of_a_row_match_its_records(leaderboard):
    of_rows = details.row_details(
        leaderboard.board, read(leaderboard.records).values(), leaderboard.sets
    )
    json.dumps(of_rows, allow_nan=False)
    assert len(of_rows["rows"]) == len(leaderboard.board)
    assert len(of_rows["evaluations"]) == 2, "one per network: what rows share is held once"
    for row, (_, board_row) in zip(of_rows["rows"], leaderboard.board.iterrows(), strict=True):
        assert [row[name] for name in KEY] == list(board_row[KEY])
        assert len(row["networks"]) == board_row["networks"]
        network = of_rows["evaluations"][row["evaluation"]]["options"]["architecture"]["network"]
        assert network == board_row["architecture"]
        good = [record for record in row["networks"] if record["status"] == "ok"]
        if good:
            assert row["epochs"] == [1, 10, 20]
            assert good[0]["curve"] == [2.0, 1.0 + good[0]["seed"], 0.1235]
            mean = statistics.fmean(record["accuracy"] for record in good)
            names, shares = zip(*row["per_class"], strict=True)
            assert names == boards.CLASSES, "in the order of the dataset"
            assert shares == pytest.approx((mean, mean - 10, mean - 20), abs=0.01)
        else:
            assert row["per_class"] == [] and row["epochs"] == []
        made_of = of_rows["sets"][row["set"]]
        assert len(made_of) == board_row["sets"]
        assert all(condensed["facts"]["source"] == "cd" * 8 for condensed in made_of)
    failed = of_rows["sets"]["small/tm/10"][0]
    assert failed["picture"] is None and failed["facts"]["cause"] == boards.CAUSE
    assert of_rows["sets"]["small/whole/all"][0]["picture"] is None


def test_old_records_without_curves_or_classes_still_have_a_row(leaderboard, tmp_path):
    paths = []
    for number, path in enumerate(leaderboard.records):
        record = storage.read_json(path)
        for row in record["rows"]:
            del row["curve"], row["per_class"]
        paths.append(tmp_path / f"{number}.json")
        storage.write_json(paths[-1], record)
    of_rows = details.row_details(leaderboard.board, read(paths).values(), leaderboard.sets)
    assert all(row["epochs"] == [] and row["per_class"] == [] for row in of_rows["rows"])


# --- pictures -------------------------------------------------------------------------------------


def decoded(uri: str) -> Image.Image:
    kind, _, content = uri.partition(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert kind == f"data:image/{image.format.lower()}"
    return image


def test_a_picture_has_a_column_per_class_and_exact_pixels():
    dataset = small_dataset(classes=3, shape=(3, 8, 8))
    pixels = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    condensed = Condensed(dataset.standardize(pixels), torch.tensor([0, 0, 1, 1, 2, 2]))
    uri, shown = pictures.picture_of_set(sources.first_images(dataset, condensed), 3, 2)
    assert shown == "3 classes, 2 per class"
    picture = np.asarray(decoded(uri))
    for label in range(3):
        for number in range(2):
            top, left = 1 + 33 * number, 1 + 33 * label
            got = picture[top : top + 32 : 4, left : left + 32 : 4]  # a pixel is 4 x 4
            np.testing.assert_array_equal(got, pixels[2 * label + number].permute(1, 2, 0))


def test_a_grey_picture_is_grey_and_a_large_set_is_cut_and_small():
    grey = small_dataset(classes=2, shape=(1, 8, 8))
    condensed = Condensed(torch.zeros(2, 1, 8, 8), torch.arange(2))
    uri, _ = pictures.picture_of_set(sources.first_images(grey, condensed), 2, 1)
    assert decoded(uri).mode == "L"
    many = small_dataset(classes=12, shape=(3, 64, 64))
    noise = torch.randn(12 * 15, 3, 64, 64)
    labels = torch.arange(12).repeat_interleave(15)
    first = sources.first_images(many, Condensed(noise, labels))
    uri, shown = pictures.picture_of_set(first, 12, 15)
    assert shown == "10 of 12 classes, 10 of 15 images each"
    assert decoded(uri).size == (331, 331)
    assert len(uri) < 150_000


# --- the page -------------------------------------------------------------------------------------


def test_the_same_input_gives_the_same_page_without_addresses(leaderboard, tmp_path):
    assert boards.make(tmp_path).html == leaderboard.html
    body = leaderboard.html[leaderboard.html.index("<body>") :].replace(
        "http://www.w3.org/2000/svg", ""
    )
    assert "http:" not in body and "https:" not in body


def test_names_and_causes_are_text_in_the_page(leaderboard):
    assert boards.HOSTILE not in leaderboard.html
    board = leaderboard.board.copy()
    board.loc[0, "method"] = board.loc[1, "dataset"] = "<script>alert(1)</script>"
    text = leaderboard_page.render(
        board,
        details.row_details(
            leaderboard.board, read(leaderboard.records).values(), leaderboard.sets
        ),
    )
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    content = text.partition('<script id="details" type="application/json">')[2]
    of_rows = json.loads(content.partition("</script>")[0])
    assert of_rows["sets"]["small/tm/10"][0]["facts"]["cause"] == boards.CAUSE


def test_failures_are_rows_of_the_page(leaderboard):
    assert leaderboard.html.count('<span class="failed">OOM</span>') == 4
    assert leaderboard.html.count('<span class="failed">diverged</span>') == 8
    assert leaderboard.html.count('<span class="failed">1 diverged</span>') == 8


def test_a_row_shows_its_distance_from_random_in_the_same_cell(leaderboard, by_hand):
    def mean(key):
        sets = [[v for v in values if v is not None] for values in by_hand[key].values()]
        return statistics.fmean(map(statistics.fmean, sets)) if sets and all(sets) else None

    body = leaderboard.html.partition("<tbody>")[2].split("<tr ")[1:]
    assert len(body) == len(leaderboard.board)
    shown = 0
    for text, (_, row) in zip(body, leaderboard.board.iterrows(), strict=True):
        key = tuple(row[KEY])
        ours, random = mean(key), mean((*key[:-1], "random"))
        cell = text.split("</td>")[3]
        if row["method"] in ("random", "whole") or None in (ours, random):
            assert not any(letter.isdigit() for letter in cell.partition(">")[2])
            continue
        shown += 1
        assert f"{ours - random:+.2f}" in cell
        whole = mean((key[0], "all", *key[2:-1], "whole"))
        assert ("%</span>" in cell) == (whole is not None)
        if whole is not None:
            assert f"{100 * (ours - random) / (whole - random):.0f} %" in cell
    assert shown > 10


def test_missing_results_are_rows_without_rank_set_or_evaluation(leaderboard):
    """As with a partial config: no set and no record of a method, one record of another lost."""
    records = [path for path in leaderboard.records if "/kip/" not in str(path)]
    lost = next(path for path in records if "/dm/ipc10/set0/evaluation/mlp" in str(path))
    records.remove(lost)
    made_sets = {
        set_id: made_set for set_id, made_set in leaderboard.sets.items() if set_id.method != "kip"
    }
    runs = frames.with_missing(frames.runs(read(records)), leaderboard.cells)
    table = frames.accuracy(runs, leaderboard.cells)
    board = ranks.rows(table, leaderboard.cells)
    gone = board[board["method"] == "kip"]
    assert set(gone["state"]) == {"missing"} and gone["rank"].isna().all()
    (part,) = board[(board["missing"] > 0) & (board["method"] != "kip")].to_dict("records")
    assert (part["method"], part["missing"], part["networks"], part["state"]) == ("dm", 3, 6, "ok")
    board = boards.with_costs_and_gains(board, made_sets)
    of_rows = details.row_details(board, read(records).values(), made_sets)
    text = leaderboard_page.render(board, of_rows)
    assert text.count('<span class="failed">missing</span>') == len(gone) == 8
    assert text.count('<span class="failed">3 missing</span>') == 1
    rows = [row for row in of_rows["rows"] if row["method"] == "kip"]
    assert all(row["evaluation"] is None and row["networks"] == [] for row in rows)
    assert not any(row["set"] in of_rows["sets"] for row in rows)


def test_the_page_is_small(leaderboard):
    bundle = 107_022 + 618_633 * 4 / 3  # DataTables
    assert len(leaderboard.html.encode()) < bundle + 4_000 * len(leaderboard.board) + 100_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "0.01 s"),
        (1.0, "1.0 s"),
        (89.0, "89.0 s"),
        (90.0, "1.5 min"),
        (7200.0, "2.0 h"),
        (259200.0, "3.0 d"),
    ],
)
def test_durations(seconds, text):
    assert leaderboard_page._seconds(seconds) == text


def test_an_empty_board_is_a_page(leaderboard):
    empty = leaderboard.board.iloc[:0]
    text = leaderboard_page.render(empty, details.row_details(empty, [], {}))
    assert "<table" in text


def test_the_page_opens_on_an_ipc_that_most_methods_have():
    """At IPC 1 there are two more methods, at IPC 100 only two of them."""
    methods = {"1": "abcdefghi", "10": "abcdefg", "100": "ab"}
    rows = [
        {"dataset": "d", "ipc": ipc, "augmentation": augmentation, "ranked": len(names)}
        for ipc, names in methods.items()
        for augmentation in ("dsa", "none")
        for _ in names
    ]
    board = pd.DataFrame(rows).assign(architecture="convnet", optimizer="sgd", labels="own")
    cell = ranks.opening(board)
    assert (cell["ipc"], cell["augmentation"]) == ("10", "dsa")
    assert ranks.opening(board[:0]) == {}
