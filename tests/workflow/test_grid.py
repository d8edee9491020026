"""The grid: unions, holes, shared cells, seeds and paths."""

import csv
import subprocess
import sys

import pytest
from conftest import ROOT, SHARED

from condensation.config.loading import load, parse
from condensation.workflow.grid import Cell, SetId, expand, pictured_ipc

BASE = {
    "datasets": {"digits": {"source": "digits"}, "other": {"source": "digits"}},
    "methods": {"random": {"algorithm": "random"}, "all": {"algorithm": "whole"}},
}


def grid(experiments, **more):
    return expand(parse({**BASE, "experiments": experiments, **more}))


def axes(**more):
    return {"datasets": ["digits"], "methods": ["random"], "ipc": [1], **more}


def test_an_experiment_is_the_union_of_its_blocks():
    blocks = [axes(ipc=[1, 10]), axes(datasets=["other"], ipc=[10])]
    pairs = {(cell.set.dataset, cell.set.ipc) for cell in grid({"e": blocks}).cells}
    assert pairs == {("digits", "1"), ("digits", "10"), ("other", "10")}


def test_a_shared_cell_is_there_once_with_the_most_seeds_of_any_experiment():
    expanded = grid({"a": axes(evaluation_seeds=2), "b": axes(evaluation_seeds=7)})
    (cell,) = expanded.cells
    assert expanded.cells[cell] == 7
    assert expanded.experiments["a"][cell] == 2 and expanded.experiments["b"][cell] == 7
    folder = "digits/random/ipc1/set0/evaluation/convnet/dsa/sgd"
    assert list(expanded.records()) == [f"{folder}/seeds0-4.json", f"{folder}/seeds5-6.json"]


def test_one_seed_per_job():
    expanded = grid({"a": axes(evaluation_seeds=3)}, evaluation={"seeds_per_job": 1})
    assert [path.rpartition("/")[2] for path in expanded.records()] == [
        *("seeds0-0.json", "seeds1-1.json", "seeds2-2.json")
    ]


@pytest.mark.parametrize(
    ("seeds", "existing", "expected"),
    [
        (3, [(0, 1)], [(0, 1), (2, 2)]),
        (10, [(0, 4)], [(0, 4), (5, 9)]),
        (10, [(0, 1)], [(0, 1), (2, 4), (5, 9)]),
        (12, [(0, 1), (2, 7)], [(0, 1), (2, 7), (8, 9), (10, 11)]),
        (5, [(0, 0), (0, 2)], [(0, 2), (3, 4)]),  # of two records the longer one
        (10, [(5, 9)], [(0, 4), (5, 9)]),  # the first was lost
        (7, [(3, 4)], [(0, 2), (3, 4), (5, 6)]),
        (2, [(0, 4)], [(0, 1)]),  # a record of more seeds than asked for does not count
    ],
)
def test_more_seeds_leave_the_records_that_are_there(seeds, existing, expected, tmp_path):
    config = parse({**BASE, "experiments": {"e": axes(evaluation_seeds=seeds)}})
    (cell,) = expand(config).cells
    folder = tmp_path / cell.folder
    folder.mkdir(parents=True)
    for first, last in existing:
        (folder / f"seeds{first}-{last}.json").touch()
        (folder / f"seeds{first}-{last}.cost.json").touch()
    assert [ends for _, *ends in expand(config, tmp_path).evaluations()] == list(
        map(list, expected)
    )
    assert len(list(expand(config).evaluations())) == -(-seeds // 5)


def test_the_whole_dataset_has_one_ipc_and_one_set():
    expanded = grid({"a": axes(methods=["all", "random"], ipc=[1, 10], condensation_seeds=3)})
    assert [set_id for set_id in expanded.sets if set_id.method == "all"] == [
        SetId("digits", "all", "all", 0)
    ]
    assert len(expanded.sets) == 1 + 2 * 3


@pytest.mark.parametrize(
    ("ipcs", "expected"), [([1, 10, 50], "10"), ([50, 20], "20"), ([1], "1"), ([7, 3], "7")]
)
def test_the_pictured_ipc(ipcs, expected):
    assert pictured_ipc(grid({"a": axes(ipc=ipcs)}), "digits") == expected


def test_the_pictured_ipc_is_that_of_most_methods():
    more = {"methods": {**BASE["methods"], "kcenter": {"algorithm": "kcenter"}}}
    blocks = [axes(methods=["random", "kcenter"], ipc=[1]), axes(ipc=[10])]
    assert pictured_ipc(grid({"a": blocks}, **more), "digits") == "1"


def test_a_larger_ipc_that_most_methods_have_is_pictured():
    more = {"methods": {f"m{n}": {"algorithm": "random"} for n in range(4)}}
    blocks = [
        axes(methods=list(more["methods"]), ipc=[1]),
        axes(methods=["m0", "m1", "m2"], ipc=[5]),
    ]
    assert pictured_ipc(grid({"a": blocks}, **more), "digits") == "5"


def test_only_the_whole_dataset_has_no_picture():
    assert pictured_ipc(grid({"a": axes(methods=["all"])}), "digits") is None


def test_paths_tell_all_cells_apart():
    expanded = grid(
        {
            "a": axes(
                **{"methods": ["random"], "ipc": [1, 11], "condensation_seeds": 2},
                **{"augmentations": ["none", "dsa"], "architectures": ["mlp", "convnet"]},
            )
        }
    )
    assert len(expanded.cells) == 16
    assert len({cell.folder for cell in expanded.cells}) == 16
    assert isinstance(next(iter(expanded.cells)), Cell)


def test_architectures_are_ranked_with_every_set_and_reference():
    nas = {
        "dataset": "other",
        "sets": [
            {"methods": ["random"], "ipc": [1, 10], "condensation_seeds": 2},
            {"methods": ["random"], "ipc": [10]},
        ],
        **{"truth": "whole", "references": {"all": {}, "some": {"images": 100}}},
        **{"architectures": 7, "architectures_per_job": 3},
    }
    expanded = grid({"a": axes()}, nas=nas)
    sets = [SetId("other", "random", ipc, seed) for ipc in ("1", "10") for seed in (0, 1)]
    assert list(expanded.ranked.values()) == [*sets, "all", "some"]
    assert expanded.sets == [SetId("digits", "random", "1", 0), *sets], "they are condensed too"
    paths = list(expanded.rankings())
    assert len(paths) == len(set(paths)) == 6 * 3
    assert paths[:3] == [
        f"other/random/ipc1/set0/nas/architectures{chunk}.json" for chunk in ("0-2", "3-5", "6-6")
    ]
    assert paths[-1] == "other/nas/some/architectures6-6.json"
    without = grid({"a": axes()})
    assert without.ranked == {} and list(without.rankings()) == []


def test_the_paper_config_holds_the_papers_cells():
    """Every evaluation cell of the paper, and no other but the points along figures 4 and 6."""
    listed = SHARED.parent / "paper" / "cells_evaluation.csv"
    if not listed.is_file():
        pytest.skip(f"{listed} is not here")
    names = {
        ("Random", "-"): "random",
        ("K-Center", "embedding"): "kcenter",
        ("K-Center", "raw"): "kcenter_pixels",
        ("DM", "real"): "dm",
        ("DM", "kcenter"): "dm_from_kcenter",
        ("DM", "noise"): "dm_from_noise",
        ("DC", "noise"): "dc",
        ("DC", "real"): "dc_from_random",
        ("DC", "kcenter"): "dc_from_kcenter",
        ("DSA", "real"): "dsa",
        ("DSA", "kcenter"): "dsa_from_kcenter",
        ("DSA", "noise"): "dsa_from_noise",
        ("TM", "real"): "tm",
        ("KIP", "real"): "kip",
        ("Whole", "-"): "whole",
    }
    with listed.open() as file:
        rows = list(csv.DictReader(file))
    expected = {
        (
            row["dataset"].lower().replace("-", ""),
            names[row["method"], row["init_or_variant"]],
            row["ipc"] if row["method"] != "Whole" else "all",
            row["architecture"].lower().removesuffix("d3").removesuffix("d4"),
            {"n/a": "none"}.get(row["augmentation"], row["augmentation"].lower()),
            row["optimizer"].lower(),
        )
        for row in rows
    }
    cells = expand(load(ROOT / "config/paper.yaml")).cells
    ours = {
        (
            *(cell.set.dataset, cell.set.method, cell.set.ipc),
            *(cell.architecture, cell.augmentation, cell.optimizer),
        )
        for cell in cells
        if cell.set.iteration is None
    }
    assert ours == expected and len(ours) == len(rows) == 634
    along = [cell for cell in cells if cell.set.iteration is not None]
    # figures 4 and 6: three methods from three starts at three IPC
    assert len(along) == 3 * 3 * (10 + 2 + 2)
    assert set(cells.values()) == {5}


def test_what_snakemake_reads_is_free_of_heavy_imports():
    """It is read again by every job."""
    heavy = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "scipy", "sklearn")
    program = (
        "import sys; sys.path.insert(0, 'workflow_scripts')\n"
        "from condensation.config import loading\n"
        "from condensation.workflow import digest, grid, jobs\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
