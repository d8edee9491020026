"""The axis `labels`, and methods that read a teacher: paths, inputs, jobs, tables."""

from types import SimpleNamespace

import pandas as pd
import pytest
from builders import networks

from condensation.config.loading import parse
from condensation.core.errors import InputError
from condensation.paper import cells as paper_cells
from condensation.planning import trials, worklist
from condensation.planning.work import Estimator
from condensation.results import frames
from condensation.results.statistics import paired
from condensation.workflow import grid, inputs, jobs, layout, targets

RDED = {"rded": {"algorithm": "rded"}}
LABELS = ["own", "hard", "distilled", "distilled_views"]
METHODS = {"random": {"algorithm": "random"}, "kip": {"algorithm": "kip", "iterations": 1}}


def configured(methods=METHODS, labels=LABELS, **sections):
    axes = {"datasets": "digits", "methods": [*methods], "ipc": 1, "labels": labels}
    content = {"datasets": {"digits": {"source": "digits"}}, "methods": methods}
    return parse({**content, "experiments": {"e": {**axes, "evaluation_seeds": 1}}, **sections})


def inputs_of(config):
    paths = layout.Layout("r", "f")
    return inputs.Inputs(targets.Targets(config, grid.expand(config), paths))


def test_only_other_labels_than_the_sets_own_have_a_folder():
    records = list(grid.expand(configured({"random": METHODS["random"]})).records())
    head = "digits/random/ipc1/set0/evaluation/convnet/dsa/sgd"
    assert records == [
        f"{head}/seeds0-0.json",
        *(f"{head}/labels_{labels}/seeds0-0.json" for labels in LABELS[1:]),
    ]
    assert list(grid.expand(configured(labels="own")).records())[:1] == records[:1]


@pytest.mark.parametrize("labels", LABELS)
def test_evaluations_read_a_teacher_of_the_same_preprocessing_for_its_labels_alone(labels):
    read = inputs_of(configured())
    for cell in grid.expand(configured()).cells:
        if cell.labels != labels:
            continue
        files = read.evaluation(SimpleNamespace(**cell.wildcards))
        view = {"random": "standardize", "kip": "zca_kip"}[cell.set.method]
        teacher = f"r/digits/features/scoring/{view}_network.safetensors"
        assert files.get("teacher") == (teacher if labels.startswith("distilled") else None)


def test_the_teacher_belongs_to_the_jobs_that_it_labels_for():
    way = ("convnet", "dsa", "sgd")
    cold, warm = configured(), configured(teacher={"temperature": 4})
    for labels in LABELS:
        job = jobs.evaluate(cold, *way, labels)
        distilled = labels.startswith("distilled")
        assert (job != jobs.evaluate(warm, *way, labels)) == distilled
        assert ("condensation.networks.stored" in job["sources"]) == distilled
        assert job["options"].get("labels", "own") == labels
    # records that are older than this axis have the same options
    assert jobs.evaluate(cold, *way, "own") == jobs.evaluate(cold, *way)
    assert "labels" not in jobs.evaluate(cold, *way)["options"]


def test_a_teacher_is_planned_once_for_each_preprocessing():
    config = configured({**METHODS, "rded": {"algorithm": "rded"}})
    planned = [
        job.wildcards
        for job in worklist.all_jobs(config, grid.expand(config))
        if job.rule == "train_embedder"
    ]
    assert [wildcards["view"] for wildcards in planned] == ["standardize", "zca_kip"]
    of_own = configured(labels="own")
    rules = {job.rule for job in worklist.all_jobs(of_own, grid.expand(of_own))}
    assert "train_embedder" not in rules


def test_methods_that_name_a_teacher_read_it(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def mine(problem, *, teacher: str): pass\n")
    methods = {
        "rded": {"algorithm": "rded", "teacher": "embedding"},
        "mine": {"algorithm": f"{file}:mine", "teacher": "scoring"},
        "random": {"algorithm": "random"},
    }
    config = configured(methods, "own")
    read = inputs_of(config)
    teachers = {
        name: read.method(
            SimpleNamespace(dataset="digits", method=name, ipc="1", condensation_seed="0")
        ).get("teacher")
        for name in methods
    }
    path = "r/digits/features/{}/standardize_network.safetensors"
    assert teachers == {
        **{"rded": path.format("embedding"), "mine": path.format("scoring")},
        "random": None,
    }
    job = jobs.condense(config, grid.SetId("digits", "rded", "1", 0))
    assert {"condensation.networks.stored", "condensation.networks.convnet"} <= {*job["sources"]}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"teacher": {"features": "score"}}, "teacher.features: unknown features 'score'"),
        ({"teacher": {"temperature": 0}}, "teacher.temperature"),
        ({"teacher": {"temperature": float("inf")}}, "teacher.temperature"),
        (
            {"features": {"scoring": {"epochs": 1, "scores": True}}},
            "features.scoring.*set `epochs` to 2 or more",
        ),
        (
            {"methods": {"r": {"algorithm": "rded", "factor": 20}}},
            r"experiments.e.ipc: 1 images of 20 x 20 crops need crops of 400 images.*pool is 300",
        ),
        ({"labels": ["distiled"]}, r"experiments.e.labels"),
        (
            {"methods": {"r": {"algorithm": "rded", "teacher": "x"}}},
            "methods.r.teacher: unknown features 'x'",
        ),
    ],
)
def test_mistakes_are_named(sections, message):
    with pytest.raises(InputError, match=message):
        configured(**sections)


def test_a_teacher_from_a_library_is_tried_before_the_run(tmp_path):
    library = {"architectures": {"net": {"network": "timm:resnet18"}}}
    library |= {"features": {"scoring": {"architecture": "net", "epochs": 2, "scores": True}}}
    for methods, labels in (({"random": METHODS["random"]}, "distilled"), (RDED, "own")):
        config = configured(methods, labels, **library)
        cells = grid.expand(config)
        estimator = Estimator(config, cells, tmp_path)
        assert [
            trial["entry"]["network"] for trial in trials._trials(config, cells, estimator)
        ] == ["timm:resnet18"]


def test_rded_is_estimated_by_the_passes_of_its_teacher(tmp_path):
    config = configured(RDED, "own")
    work = Estimator(config, grid.expand(config), tmp_path).of(
        "condense", {"dataset": "digits", "method": "rded", "ipc": "1", "condensation_seed": "0"}
    )
    # five crops of every image: no class of digits has 300
    assert work.passes == pytest.approx(5 * 1437, rel=0.02)


def test_tables_of_the_paper_need_cells_with_own_labels():
    axes = {"labels": "distilled", "augmentations": ["none", "dsa"]}
    other = parse(
        {
            "datasets": {"digits": {"source": "digits"}},
            "methods": {"random": {"algorithm": "random"}},
            "experiments": {"e": {"datasets": "digits", "methods": "random", "ipc": 1, **axes}},
        }
    )
    paths = layout.Layout("r", "f")
    assert targets.Targets(other, grid.expand(other), paths).paper_tables == [8]


def test_each_kind_of_labels_is_a_cell_of_its_own():
    config = configured({"random": METHODS["random"]}, LABELS[:3])
    cells = grid.expand(config)
    records = {}
    for number, cell in enumerate(cells.cells):
        of_cell = {"dataset": "digits", "method": "random", "ipc": "1", "condensation_seed": 0}
        of_cell |= {"architecture": "convnet", "augmentation": "dsa", "optimizer": "sgd"}
        if cell.labels != "own":
            of_cell["labels"] = cell.labels
        row = {"seed": 0, "status": "ok", "accuracy": 10.0 * (number + 1), "loss": 1.0}
        records[f"{number}.json"] = {"cell": of_cell, "rows": [row]}
    runs = frames.runs(records)
    table = frames.accuracy(runs, cells)
    assert dict(zip(table["labels"], table["mean"], strict=True)) == {
        **{"own": 10.0, "hard": 20.0},
        "distilled": 30.0,
    }
    text = frames.markdown(table)
    assert "| labels" in text and "distilled" in text
    assert "| labels" not in frames.markdown(table[table["labels"] == "own"])
    collected = paper_cells.collect(config, runs, {})
    (cell,) = collected.cells.values()
    assert cell.networks["accuracy"].tolist() == [10.0]


def test_methods_are_ranked_among_those_with_the_same_labels():
    runs = networks({("a", "1"): [[10.0, 12.0, 11.0]], ("b", "1"): [[20.0, 21.0, 25.0]]})
    others = networks({("a", "1"): [[30.0, 31.0, 35.0]]}, labels="hard")
    pairs = paired(pd.concat([runs, others]), 0.05)
    assert pairs[["labels", "first", "second"]].values.tolist() == [["own", "a", "b"]]
