"""Cells and their strings; the table of true accuracies; the draw."""

from itertools import combinations, pairwise

import pytest
from conftest import SHARED

from condensation.config.nas import BENCHMARK_COLUMNS, BENCHMARK_TABLE
from condensation.core.errors import InputError
from condensation.files.archives import verify
from condensation.files.official import OFFICIAL
from condensation.nas import benchmark
from condensation.nas.sample import sample
from condensation.networks.cells201 import (
    EDGES,
    OPERATIONS,
    connected,
    every_cell,
    parse,
    text,
    useful,
)

CIFAR10 = BENCHMARK_COLUMNS["cifar10"]
NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
BEST = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
)


@pytest.fixture
def official():
    path = SHARED / BENCHMARK_TABLE
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def write(path, *lines: str):
    path.write_text("\n".join(lines) + "\n")
    return str(path)


# --- strings --------------------------------------------------------------------------------------


def test_all_cells_round_trip_and_are_distinct():
    cells = every_cell()
    assert len(cells) == len(set(cells)) == 5**6
    written = [text(cell) for cell in cells]
    assert len(set(written)) == 5**6
    assert [parse(string) for string in written] == cells


def test_operations_stand_at_the_edges_that_the_string_says():
    cell = parse(BEST)
    assert dict(zip(EDGES, cell, strict=True)) == {
        **{(1, 0): "nor_conv_3x3", (2, 0): "nor_conv_3x3", (2, 1): "nor_conv_3x3"},
        **{(3, 0): "skip_connect", (3, 1): "nor_conv_3x3", (3, 2): "nor_conv_1x1"},
    }
    assert text(cell) == BEST


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("", ["character 1 found the end, expected '|'"]),
        (NONE[1:], ["character 1 found 'none~0|+|non', expected '|'"]),
        (
            NONE.replace("none~2", "conv_3x3~2"),
            ["character 41 found 'conv_3x3~2|'", "did you mean 'nor_conv_3x3'"],
        ),
        (NONE.replace("none~2", "None~2"), ["character 41", "did you mean 'none'"]),
        ("|none~0|+|none~1|", ["character 16 found '1|', expected '0'"]),
        (NONE[:-1], ["character 47 found the end, expected '|'"]),
        (NONE + "+", ["character 48 found '+', expected the end"]),
        (NONE.replace("+", " ", 1), ["character 9 found ' |none~0|non', expected '+'"]),
        ("|none~0|", ["character 9 found the end, expected '+'"]),
    ],
)
def test_a_malformed_string_is_refused_with_its_place(written, place):
    with pytest.raises(InputError) as caught:
        parse(written)
    assert all(part in str(caught.value) for part in place), str(caught.value)


def paths() -> list[set[int]]:
    """The edges of every way from node 0 to node 3, found by trying all subsets."""
    ways = []
    for size in range(1, 4):
        for chosen in combinations(range(6), size):
            hops = sorted((EDGES[e][1], EDGES[e][0]) for e in chosen)
            chained = all(a[1] == b[0] for a, b in pairwise(hops))
            if hops[0][0] == 0 and hops[-1][1] == 3 and chained:
                ways.append(set(chosen))
    return ways


def test_connected_and_useful_against_all_ways_through_the_cell():
    ways = paths()
    assert len(ways) == 4
    for cell in every_cell():
        present = {e for e in range(6) if cell[e] != "none"}
        assert connected(cell) == any(way <= present for way in ways)
        # an edge leads to the output if some way through its target needs present edges only,
        # from the edge on
        leads = {
            e
            for e in present
            for way in ways
            if e in way and {later for later in way if EDGES[later][1] >= EDGES[e][1]} <= present
        }
        assert useful(cell) == tuple(e in leads for e in range(6))


# --- the table ------------------------------------------------------------------------------------


def test_the_official_table(official):
    (archive,) = OFFICIAL["nasbench201"]
    verify(official, archive.checksum)
    assert archive.name == BENCHMARK_TABLE
    truth = benchmark.read(official, CIFAR10)
    assert len(truth) == 15_625 and set(map(parse, truth)) == set(every_cell())
    # facts about the benchmark that others printed: its best on CIFAR-10, and where it stands
    assert list(truth)[6111] == BEST and truth[BEST] == max(truth.values())
    assert max(truth.values()) == pytest.approx(94.37, abs=0.005)
    assert len(benchmark.read(official, BENCHMARK_COLUMNS["cifar100"])) == 15_625


def test_cells_without_a_way_are_those_at_chance_level(official):
    """The benchmark trained them all: exactly 10 % on ten classes if nothing arrives."""
    truth = benchmark.read(official, CIFAR10)
    assert {string for string, value in truth.items() if value == 10.0} == {
        text(cell) for cell in every_cell() if not connected(cell)
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["ArchitectureString,accuracy", f"{NONE},10"], f"no column '{CIFAR10}' .it has: Arch"),
        (["architecturestring," + CIFAR10, f"{NONE},10"], "did you mean 'architecturestring'"),
        (
            ["ArchitectureString," + CIFAR10, f"{NONE},10", f"{BEST},9", f"{NONE},11"],
            "there twice, in lines 2 and 4",
        ),
        (["ArchitectureString," + CIFAR10, f"{NONE},10", "|nome~0|,3"], "line 3: .*character 2"),
        (["ArchitectureString," + CIFAR10, f"{NONE},"], "line 2: .* is ''"),
        (["ArchitectureString," + CIFAR10, f"{NONE},nan"], "line 2: .* is 'nan'"),
        (["ArchitectureString," + CIFAR10, f"{NONE},943"], "line 2: .* is '943'"),
        (["ArchitectureString," + CIFAR10, NONE], "line 2: .* is None"),
        (["ArchitectureString," + CIFAR10], "holds no architectures"),
        ([""], "no column 'ArchitectureString' .it has: none"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(tmp_path, lines, expected):
    path = write(tmp_path / "own.csv", *lines)
    with pytest.raises(InputError, match=expected):
        benchmark.read(path, CIFAR10)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match="own.csv: not a readable CSV file"):
        benchmark.read(tmp_path / "own.csv", CIFAR10)


# --- the draw -------------------------------------------------------------------------------------


def test_the_draw_is_seeded_distinct_and_begins_alike():
    drawn = sample(100, 0, False)["architectures"]
    assert len(set(drawn)) == 100 and drawn == sample(100, 0, False)["architectures"]
    assert sample(30, 0, False)["architectures"] == drawn[:30]
    assert set(sample(100, 1, False)["architectures"]) != set(drawn)


def test_the_draw_is_even():
    """Each operation at each edge in a fifth of a large sample, within five standard errors."""
    drawn = [parse(string) for string in sample(3000, 0, False)["architectures"]]
    for edge in range(6):
        for name in OPERATIONS:
            share = sum(cell[edge] == name for cell in drawn) / 3000
            assert abs(share - 0.2) < 5 * (0.2 * 0.8 / 3000) ** 0.5


def test_the_draw_may_be_limited_to_connected_cells_and_to_a_table(tmp_path):
    assert sample(15_284, 0, True)["space"] == 15_284  # 341 of 15,625 are not
    with pytest.raises(InputError, match="15285, but NAS-Bench-201 has 15284 connected"):
        sample(15_285, 0, True)
    table = write(tmp_path / "own.csv", "ArchitectureString,mine", f"{NONE},10", f"{BEST},94.5")
    drawn = sample(2, 0, False, table, "mine")
    assert dict(zip(drawn["architectures"], drawn["truth"], strict=True)) == {NONE: 10, BEST: 94.5}
    assert drawn["best"] == 94.5
    assert sample(1, 0, True, table, "mine")["architectures"] == [BEST]
    with pytest.raises(InputError, match=r"architectures: 3, but .*own.csv has 2 architectures"):
        sample(3, 0, False, table, "mine")
