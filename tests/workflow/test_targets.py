"""The targets of a config, and of a partial run, for configs worked out by hand."""

from types import SimpleNamespace

import pytest
from conftest import ROOT

from condensation.config.loading import load, parse
from condensation.workflow import jobs, layout
from condensation.workflow.grid import expand
from condensation.workflow.inputs import Inputs
from condensation.workflow.targets import Targets

METHODS = {
    "random": {"algorithm": "random"},
    "kcenter": {"algorithm": "kcenter"},
    "kcenter_pixels": {"algorithm": "kcenter", "features": "pixels"},
    "kip": {"algorithm": "kip", "iterations": 2, "preprocessing": "zca_kip"},
    "whole": {"algorithm": "whole"},
}
AXES = {"datasets": ["digits"], "methods": ["random"], "ipc": [1], "evaluation_seeds": 1}
PATHS = layout.Layout("r", "f")


def targets(*blocks, exists=lambda path: True, **more):
    experiments = {f"e{number}": {**AXES, **block} for number, block in enumerate(blocks)}
    datasets = {"digits": {"source": "digits"}}
    config = parse({"datasets": datasets, "methods": METHODS, "experiments": experiments, **more})
    return Targets(config, expand(config), PATHS, exists)


NAS = {
    **{"dataset": "digits", "sets": {"methods": ["random"], "ipc": [1]}, "truth": "whole"},
    **{"references": {"all": {}}, "architectures": 4, "architectures_per_job": 3},
}


@pytest.mark.parametrize(
    ("block", "numbers"),
    [
        ({}, [8]),
        ({"methods": ["whole"]}, []),
        ({"augmentations": ["none", "dsa"]}, [1, 4, 8]),
        ({"methods": ["whole"], "augmentations": ["none", "dsa"]}, []),
        ({"architectures": ["mlp", "convnet"]}, [2, 5, 8]),
        ({"ipc": [1, 10]}, [6, 8]),
        ({"optimizers": ["sgd", "adam"]}, [7, 8]),
        ({"methods": ["random", "kcenter"]}, [8]),
        ({"methods": ["kcenter", "kcenter_pixels"]}, [8, 9]),
    ],
)
def test_a_table_of_the_paper_is_a_target_where_the_config_has_its_cells(block, numbers):
    assert targets(block).paper_tables == numbers
    tables = targets(block).tables
    assert [f"r/tables/table{n}.tex" in tables for n in range(1, 10)] == [
        n in numbers for n in range(1, 10)
    ]


def test_two_experiments_with_different_ways_compare_nothing():
    ways = ({"augmentations": ["none"]}, {"augmentations": ["dsa"], "optimizers": ["adam"]})
    assert targets(*ways).paper_tables == [8]


def test_the_paper_config_has_all_tables():
    config = load(ROOT / "config/paper.yaml")
    assert Targets(config, expand(config), PATHS).paper_tables == list(range(1, 10))


def test_the_ranking_makes_table_3_and_its_own_tables_and_figure():
    ranked = targets({}, nas=NAS)
    assert ranked.paper_tables == [3, 8]
    assert ranked.rankings == [
        f"r/digits/{folder}/architectures{chunk}.json"
        for folder in ("random/ipc1/set0/nas", "nas/all")
        for chunk in ("0-2", "3-3")
    ]
    assert ranked.nas_figures == ["f/nas_digits.png", "f/nas_digits.pdf"]
    assert targets({}).rankings == targets({}).nas_tables == targets({}).nas_figures == []


def test_a_partial_run_takes_only_what_exists():
    lost = "r/digits/random/ipc10/set0/condensed.safetensors"
    partial = targets({"ipc": [1, 10]}, exists=lambda path: path != lost, partial=True)
    way = "evaluation/convnet/dsa/sgd/seeds0-0.json"
    assert partial.records == [f"r/digits/random/ipc1/set0/{way}"]
    assert len(targets({"ipc": [1, 10]}, exists=lambda path: path != lost).records) == 2


@pytest.mark.parametrize(
    ("lost", "unranked", "records"),
    [
        ("digits/random/ipc1/set0/nas/architectures3-3.json", ["digits/random/ipc1/set0/nas"], 2),
        ("digits/nas/all/architectures0-2.json", ["digits/nas/all"], 0),  # nothing to compare with
        ("digits/nas/architectures.json", [], 0),
    ],
)
def test_a_set_is_ranked_on_all_architectures_or_not_at_all(lost, unranked, records):
    partial = targets({}, nas=NAS, partial=True, exists=lambda path: path != f"r/{lost}")
    assert partial.unranked == unranked
    assert len(partial.rankings) == records


@pytest.mark.parametrize(
    ("lost", "drawn"),
    [
        ("random/ipc1/set0/condensed", True),
        ("features/embedding/standardize_network", True),  # of the set that is lost
        ("kip/ipc1/set0/condensed", False),
        ("features/embedding/zca_kip_network", False),
    ],
)
def test_a_partial_figure_7_shows_sets_whose_networks_exist(lost, drawn):
    figure7 = {"features": "embedding", "datasets": "digits", "methods": ["kip", "random"]}
    missing = {f"r/digits/{name}.safetensors" for name in ("random/ipc1/set0/condensed", lost)}
    partial = targets(
        {"methods": ["kip", "random"]},
        **{"figure7": figure7 | {"ipc": 1}, "partial": True},
        exists=lambda path: path not in missing,
    )
    assert bool(partial.maps) == ("f/figure7.png" in partial.figures) == drawn


def test_the_records_of_an_experiment_are_among_those_of_the_config():
    both = targets({"ipc": [1]}, {"ipc": [1, 10]})
    assert len(both.records) == 2
    assert both.records_of("e0") == both.records[:1] and both.records_of("e1") == both.records


def test_a_method_reads_its_features_and_whitening():
    config = targets({"methods": ["kcenter", "kip"]})
    inputs = Inputs(config)

    def read(method):
        wildcards = {"dataset": "digits", "ipc": "1", "condensation_seed": "2"}
        return inputs.method(SimpleNamespace(method=method, **wildcards))

    name = jobs.features_of(config.config, "kcenter")
    assert read("kcenter") == {"features": f"r/digits/features/{name}/seed2.safetensors"}
    assert read("kip") == {"whitening": "r/digits/whitening/zca_kip.safetensors"}
    assert read("random") == {}


def test_wildcards_without_a_value_stay():
    assert PATHS(layout.EXPERT, dataset="a", expert=3) == (
        "r/a/trajectories/{trajectories}/expert3.safetensors"
    )
    assert PATHS.log("fit_whitening") == "r/logs/fit_whitening/{dataset}/{preprocessing}.log"
    assert PATHS.log("make_tables") == "r/logs/make_tables.log"


def test_measures_are_those_of_sets_of_images_and_no_part_of_other_targets():
    files = targets({"methods": ["random", "whole"], "ipc": [1, 5], "condensation_seeds": 2})
    folders = [f"digits/random/ipc{ipc}/set{seed}" for ipc in (1, 5) for seed in (0, 1)]
    assert files.measures == [f"r/{folder}/measures.json" for folder in folders]
    figures = [f"f/nearest_digits_ipc{ipc}.{form}" for ipc in (1, 5) for form in ("png", "pdf")]
    assert files.set_reports == ["r/tables/sets.csv", *figures]
    assert not set(files.set_reports) & {*files.tables, *files.figures, *files.readable}


def test_a_partial_run_measures_the_sets_that_exist():
    files = targets({"methods": ["random"]}, exists=lambda path: False, partial=True)
    assert files.measures == [] and files.set_reports == ["r/tables/sets.csv"]


def test_measures_read_the_neighbours_of_the_images_as_the_method_sees_them():
    inputs = Inputs(targets({"methods": ["random", "kip"], "condensation_seeds": 2}))
    of_set = SimpleNamespace(dataset="digits", method="kip", ipc="1", condensation_seed="1")
    whitening = "r/digits/whitening/zca_kip.safetensors"
    assert inputs.measures(of_set) == {
        "neighbours": "r/digits/neighbours/zca_kip.safetensors",
        "whitening": whitening,
    }
    of_set.method = "random"
    assert inputs.measures(of_set) == {"neighbours": "r/digits/neighbours/standardize.safetensors"}
    assert inputs.nearest(SimpleNamespace(dataset="digits", ipc="1")) == {
        "measures": [f"r/digits/{name}/ipc1/set0/measures.json" for name in ("random", "kip")],
        "condensed": [
            f"r/digits/{name}/ipc1/set0/condensed.safetensors" for name in ("random", "kip")
        ],
        "whitenings": [whitening],
    }
