"""`evaluation: {corruptions: true}`: which jobs and targets it changes, and which it does not."""

from dataclasses import replace

import pytest

from condensation.config.loading import parse
from condensation.core.errors import InputError
from condensation.planning.work import Estimator
from condensation.results import frames, records
from condensation.workflow import digest, grid, jobs, layout, targets

WAY = ("convnet", "dsa", "sgd")


def configured(**evaluation):
    axes = {"datasets": "digits", "methods": "random", "ipc": 1, "evaluation_seeds": 1}
    return parse(
        {
            "datasets": {"digits": {"source": "digits"}},
            "methods": {"random": {"algorithm": "random"}},
            "experiments": {"e": axes},
            "evaluation": evaluation,
        }
    )


def test_without_it_jobs_have_the_options_and_code_of_before():
    job = jobs.evaluate(configured(), *WAY)
    assert set(job["options"]) == {"architecture", "augmentation", "optimizer", "protocol"}
    protocol = {"epochs": 1000, "epochs_without_augmentation": None}
    assert job["options"]["protocol"] == protocol | {"inclusive": True, "batch_size": 256}
    covered = digest.imported_modules(*job["sources"])
    assert not {"condensation/training/robustness.py", "condensation/data/corruptions.py"} & covered


def test_with_it_jobs_name_the_option_and_cover_its_code():
    plain, job = (jobs.evaluate(configured(corruptions=on), *WAY) for on in (False, True))
    assert job["options"] == plain["options"] | {"corruptions": True}
    covered = digest.imported_modules(*job["sources"])
    assert {"condensation/training/robustness.py", "condensation/data/corruptions.py"} <= covered
    assert job["source"] != plain["source"]


@pytest.mark.parametrize("on", [False, True])
def test_the_table_is_a_target_where_the_option_is_on(on):
    config = configured(corruptions=on)
    tables = targets.Targets(config, grid.expand(config), layout.Layout("r", "f")).tables
    assert ("r/tables/robustness.csv" in tables) == on


def test_records_without_corruptions_are_refused_once_they_are_asked_for():
    plain, robust = configured(), configured(corruptions=True)
    condense = jobs.condense(plain, grid.SetId("digits", "random", "1", 0))
    cell = {"dataset": "digits", "method": "random", "ipc": "1", "condensation_seed": 0}
    record = {
        "cell": {**cell, **dict(zip(grid.WAY, WAY, strict=False))},
        "rows": [{"seed": 0, "status": "ok", "accuracy": 50.0}],
        "options": jobs.evaluate(plain, *WAY)["options"],
        "set": {"algorithm": condense["function"], "options": condense["options"]},
    }
    assert len(frames.runs({"a.json": record}, plain)) == 1
    with pytest.raises(
        records.RecordError, match="`corruptions` None, but the config now says True"
    ):
        frames.runs({"a.json": record}, robust)


def test_the_plan_counts_more_passes_and_one_copy_of_the_test_images(tmp_path):
    works = []
    for on in (False, True):
        config = configured(corruptions=on)
        expanded = grid.expand(config)
        ((cell, first, last),) = expanded.evaluations()
        wildcards = cell.wildcards | {"first": str(first), "last": str(last)}
        estimator = Estimator(config, expanded, tmp_path)
        works.append(estimator.of("evaluate", wildcards))
        images = estimator.images("digits")
    passes, held = works[0].passes + 30 * images.test, works[0].host_bytes + 64 * images.test
    assert works[1] == replace(works[0], passes=passes, host_bytes=held)


def test_other_values_are_refused():
    with pytest.raises(InputError, match=r"evaluation.corruptions"):
        configured(corruptions="fog")
