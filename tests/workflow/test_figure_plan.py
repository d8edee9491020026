"""Which figures there are, and what their panels hold, for configs worked out by hand."""

import csv
import subprocess
import sys

import pytest
from conftest import ROOT, SHARED

from condensation.config.loading import load, parse
from condensation.core.errors import InputError
from condensation.workflow import figure_plan
from condensation.workflow.grid import expand

BASE = {
    "datasets": {"digits": {"source": "digits"}, "more": {"source": "digits"}},
    "methods": {
        "random": {"algorithm": "random"},
        "kcenter": {"algorithm": "kcenter"},
        "dm": {"algorithm": "dm", "iterations": 30, "snapshots": [0, 10]},
        "dm_from_noise": {"algorithm": "dm", "iterations": 40, "init": "noise", "snapshots": [0]},
        "dm_again": {"algorithm": "dm", "iterations": 50, "init": "noise", "snapshots": [5]},
        "kip": {"algorithm": "kip", "iterations": 20, "snapshots": [0]},
        "all": {"algorithm": "whole"},
    },
}
AXES = {"datasets": ["digits"], "methods": ["random", "kcenter"], "ipc": [1]}
PAPER = ROOT / "config/paper.yaml"


def planned(*blocks, **more):
    experiments = {f"e{number}": {**AXES, **block} for number, block in enumerate(blocks)}
    config = parse({**BASE, "experiments": experiments, **more})
    return config, expand(config)


def figures(*blocks):
    return figure_plan.accuracy_figures(*planned(*blocks))


def test_the_figure_plan_loads_nothing_slow():
    code = "import sys; sys.path.insert(0, 'workflow_scripts'); "
    code += "from condensation.workflow import figure_plan;"
    code += "print([m for m in ('torch', 'pandas', 'matplotlib', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_figure_with_nothing_to_show_is_not_made():
    assert set(figures({})) == {"figure2"}
    assert figures({"methods": ["all"]}) == {}
    assert set(figures({"augmentations": ["none", "dsa"]})) == {"figure1", "figure2"}
    assert set(figures({"architectures": ["mlp", "convnet"]})) == {"figure2", "figure3"}
    both = figures({"architectures": ["mlp", "convnet"], "ipc": [1, 10, 50]})
    assert set(both) == {"figure2", "figure3", "figure5"}
    along = {"methods": ["dm"], "snapshots": True}
    assert set(figures(along)) == {"figure2", "figure4"}
    assert set(figures({**along, "methods": ["kip"]})) == {"figure2", "figure6"}
    assert set(figures({**along, "snapshots": False})) == {"figure2"}


def test_figure_3_has_ipc_10_and_figure_5_the_others():
    plan = figures({"architectures": ["mlp", "convnet"], "ipc": [1, 10, 50]})

    def ipcs(name):
        return [panel["where"]["ipc"] for panel in plan[name]["panels"]]

    assert ipcs("figure3") == ["10"] and ipcs("figure5") == ["1", "50"]
    large = figures({"architectures": ["mlp", "convnet"], "ipc": [50, 20]})
    assert large["figure3"]["panels"][0]["where"]["ipc"] == "20", (
        "the smallest, without a small one"
    )


def test_augmentations_are_compared_in_one_way_in_the_order_of_the_config():
    plan = figures(
        {"architectures": ["mlp", "convnet"], "ipc": [1, 10]},
        {"augmentations": ["randaug", "none", "dsa"], "optimizers": ["adam"], "ipc": [10]},
        {"augmentations": ["none", "dsa"], "ipc": [10], "methods": ["random"]},
    )
    (panel,) = plan["figure1"]["panels"]
    assert panel["values"] == ["randaug", "none", "dsa"]
    assert panel["where"] == {
        **{"experiment": "e1", "dataset": "digits", "ipc": "10"},
        **{"architecture": "convnet", "optimizer": "adam", "labels": "own"},
    }


def test_of_equal_ways_the_usual_one_is_shown():
    way = {"augmentations": ["none", "dsa"], "architectures": ["mlp", "convnet"]}
    plan = figures({**way, "optimizers": ["adam", "sgd"]})
    where = plan["figure2"]["panels"][0]["where"]
    assert [where[key] for key in ("architecture", "augmentation", "optimizer")] == [
        *("convnet", "dsa", "sgd")
    ]
    assert plan["figure1"]["panels"][0]["where"]["architecture"] == "convnet"


def test_a_figure_of_curves_shows_the_methods_of_one_algorithm():
    methods = ["dm", "dm_from_noise", "kip"]
    plan = figures({"methods": methods, "snapshots": True, "datasets": ["digits", "more"]})
    four, six = plan["figure4"]["panels"], plan["figure6"]["panels"]
    assert [panel["where"]["dataset"] for panel in four] == ["digits", "more"]
    assert four[0]["methods"] == ["dm", "dm_from_noise"]
    assert four[0]["ends"] == {"dm": 30, "dm_from_noise": 40}
    assert six[0]["ends"] == {"kip": 20}
    same = figures({"methods": ["dm", "dm_from_noise", "dm_again"], "snapshots": True})
    assert same["figure4"]["panels"][0]["methods"] == ["dm", "dm_from_noise", "dm_again"]


def test_costs_are_compared_where_there_are_two_methods():
    _, grid = planned({"ipc": [1, 10], "condensation_seeds": 2}, {"methods": ["dm"], "ipc": [50]})
    panels = figure_plan.cost_panels(grid)
    assert [panel["where"]["ipc"] for panel in panels] == ["1", "10"]
    assert panels[1]["sets"] == [
        (method, f"digits/{method}/ipc10/set{seed}")
        for method in ("random", "kcenter")
        for seed in (0, 1)
    ]
    assert figure_plan.cost_panels(planned({"methods": ["dm"]})[1]) == []


def test_methods_have_the_names_of_the_config():
    config, _ = planned({})
    assert list(figure_plan.methods(config)) == list(BASE["methods"])
    assert (
        figure_plan.methods(config)["dm_again"] == "dm"
        and figure_plan.methods(config)["all"] == "whole"
    )


FIGURE7 = {"features": "embedding", "datasets": ["digits"], "methods": ["kcenter", "random"]}


def test_figure_7_shows_the_existing_sets_in_its_order():
    config, grid = planned({"ipc": [1, 10]}, figure7={**FIGURE7, "ipc": 10})
    sets = figure_plan.embedded_sets(config, grid, "digits")
    assert [set_id.folder for set_id in sets] == [
        *("digits/kcenter/ipc10/set0", "digits/random/ipc10/set0")
    ]
    assert figure_plan.maps(config, grid) == {
        "digits": "digits/features/embedding/map_ipc10.safetensors"
    }
    assert figure_plan.maps(*planned({})) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ipc": 50}, "figure7: no experiment makes one of its sets of digits at IPC 50"),
        ({"ipc": 1, "features": "embeding"}, r"figure7.features: .*did you mean 'embedding'"),
        ({"ipc": 1, "methods": ["kcentre"]}, r"figure7.methods: .*did you mean 'kcenter'"),
        ({"ipc": 1, "methods": ["all"]}, "figure7.methods: 'all' is the real images themselves"),
        ({"ipc": 1, "datasets": []}, "figure7.datasets: .*at least 1 item"),
    ],
)
def test_an_impossible_figure_7_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        planned({}, figure7={**FIGURE7, **change})


def test_the_papers_figures_hold_the_papers_cells():
    listed = SHARED.parent / "paper" / "cells_evaluation.csv"
    if not listed.is_file():
        pytest.skip(f"{listed} is not here")
    config = load(PAPER)
    plan = figure_plan.accuracy_figures(config, expand(config))
    assert list(plan) == [f"figure{number}" for number in range(1, 7)]
    assert len(plan["figure1"]["panels"]) == 9
    assert all(len(panel["values"]) == 5 for panel in plan["figure1"]["panels"])
    with listed.open() as file:
        rows = list(csv.DictReader(file))
    table6 = {
        int(row["ipc"])
        for row in rows
        if row["dataset"] == "CIFAR-10"
        and row["ipc"] != "-"
        and row["ipc"].isdigit()
        and row["method"] == "DSA"
    }
    cifar10 = plan["figure2"]["panels"][0]
    assert cifar10["where"]["experiment"] == "table6"
    assert list(map(int, cifar10["values"])) == sorted(table6)
    ipcs = {
        name: [p["where"]["ipc"] for p in plan[name]["panels"]] for name in plan if name[-1] in "35"
    }
    assert ipcs == {"figure3": ["10"] * 3, "figure5": ["1", "50"] * 3}
    assert [len(panel["methods"]) for panel in plan["figure4"]["panels"]] == [3] * 3
    assert [p["algorithm"] for p in plan["figure6"]["panels"]] == ["dc"] * 3 + ["dsa"] * 3
    assert set(plan["figure4"]["panels"][0]["ends"].values()) == {20000}
