"""Records that do not fit the config: each is refused, or said, and never averaged."""

import json
import shutil

import pandas as pd
import pytest

from condensation.config.loading import parse
from condensation.core import storage
from condensation.core.errors import InputError
from condensation.paper import evidence_page
from condensation.results import frames, records
from condensation.workflow import jobs
from condensation.workflow.grid import SetId, expand

CONFIG = {
    "datasets": {"digits": {"source": "digits"}},
    "methods": {"dm": {"algorithm": "dm", "iterations": 5, "architecture": "small"}},
    "architectures": {"small": {"network": "convnet", "width": 8, "depth": 2}},
    "evaluation": {"epochs": 3},
    "experiments": {
        "main": {
            **{"datasets": ["digits"], "methods": ["dm"], "ipc": [1]},
            **{"architectures": ["small"], "evaluation_seeds": 2},
        }
    },
}


@pytest.fixture
def config():
    return parse(CONFIG)


def content(config, **changes):
    """What the rule `evaluate` writes."""
    job = jobs.evaluate(config, "small", "dsa", "sgd")
    set_facts = jobs.condense(config, SetId("digits", "dm", "1", 0))
    row = {"status": "ok", "accuracy": 50.0, "accuracy_of_halves": [40.0, 60.0], "loss": 1.0}
    row |= {"calibration_error": 3.0, "per_class": {"zero": 100.0, "one": 0.0}}
    record = {
        "cell": {
            **{"dataset": "digits", "method": "dm", "ipc": "1", "condensation_seed": 0},
            **{"iteration": None, "architecture": "small", "augmentation": "dsa"},
            "optimizer": "sgd",
        },
        "rows": [{"seed": 0, **row}, {"seed": 1, **row, "accuracy": 60.0}],
        "options": job["options"],
        "source": job["source"],
        "set": {
            **{"status": "ok", "algorithm": set_facts["function"], "options": set_facts["options"]},
            **{"labels": "soft", "source": set_facts["source"]},
        },
    }
    return json.loads(json.dumps(record)) | changes


@pytest.fixture
def write(tmp_path, config):
    def write(name="seeds0-1.json", **changes):
        storage.write_json(tmp_path / name, content(config, **changes))
        return tmp_path / name

    return write


def test_a_record_of_this_config_is_taken(write, config):
    runs = frames.runs(records.read([write()]), config)
    assert list(runs["accuracy"]) == [50, 60] and not runs["other_code"].any()
    assert list(runs["first_half"]) == [40, 40] and list(runs["calibration_error"]) == [3, 3]
    assert set(runs["set_status"]) == {"ok"} and set(runs["set_labels"]) == {"soft"}
    table = frames.accuracy(runs, expand(config))
    assert list(table["mean"]) == [55]


def test_a_record_of_a_set_with_other_labels_is_refused(write, config):
    set_facts = content(config)["set"]
    assert (
        len(frames.runs(records.read([write(set=set_facts | {"labels_option": "soft"})]), config))
        == 2
    )
    path = write(set=set_facts | {"labels_option": "hard"})
    with pytest.raises(InputError, match="made with `labels` 'hard', but the config .* 'soft'"):
        frames.runs(records.read([path]), config)


def test_the_frame_survives_its_csv(write, config, tmp_path):
    rows = content(config)["rows"]
    rows[0] |= {"accuracy": 100 / 3, "loss": 0.1 + 0.2}  # no short decimals
    rows[1] |= dict.fromkeys(("accuracy", "accuracy_of_halves", "loss"), None)
    runs = frames.runs(records.read([write(rows=[rows[0], rows[1] | {"status": "oom"}])]), config)
    runs.to_csv(tmp_path / "runs.csv", index=False)
    again = frames.load_runs(tmp_path / "runs.csv")
    pd.testing.assert_frame_equal(again, runs, check_exact=True)
    assert frames.accuracy(again, expand(config))["mean"].tolist() == [100 / 3]


def test_other_options_of_the_judging_are_refused(write, config):
    options = content(config)["options"]
    options["protocol"]["epochs"] = 100
    with pytest.raises(InputError, match=r"0-1\.json: was judged with `protocol\.epochs` 100, "):
        frames.runs(records.read([write(options=options)]), config)
    with pytest.raises(InputError, match=r"now says 3: an old result.*--forcerun evaluate`"):
        frames.runs(records.read([write(options=options)]), config)


def test_other_options_of_the_set_are_refused(write, config):
    set_facts = content(config)["set"]
    set_facts["options"]["iterations"] = 4
    with pytest.raises(
        InputError, match=r"made with `iterations` 4, .* now says 5.*--forcerun cond"
    ):
        frames.runs(records.read([write(set=set_facts)]), config)


def test_another_algorithm_of_the_same_name_is_refused(write, config):
    set_facts = content(config)["set"] | {"algorithm": "mine.py:condense"}
    with pytest.raises(InputError, match=r"the algorithm 'mine\.py:condense', .*methods\.dm'"):
        frames.runs(records.read([write(set=set_facts)]), config)


def test_a_name_that_the_config_lost_is_refused(write, config):
    cell = content(config)["cell"] | {"method": "tm"}
    with pytest.raises(InputError, match=r"a record of method 'tm', which the config does not"):
        frames.runs(records.read([write(cell=cell)]), config)


def test_records_of_other_code_are_said(write, config):
    path = write(source="0" * 16)
    runs = frames.runs(records.read([path]), config)
    assert runs["other_code"].all()
    text = frames.markdown(frames.accuracy(runs, expand(config)), runs)
    assert "Other code than the present made 1 records or their sets" in text and str(path) in text
    set_facts = content(config)["set"] | {"source": "0" * 16}
    assert frames.runs(records.read([write(set=set_facts)]), config)["other_code"].all()
    fresh = frames.runs(records.read([write()]), config)
    assert "Other code" not in frames.markdown(frames.accuracy(fresh, expand(config)), fresh)


def test_several_precisions_of_the_same_are_said(write, config):
    def record(method, of_set, precision):
        cell = content(config)["cell"] | {"method": method}
        return {"cell": cell, "precision": precision, "set": {"precision": of_set}}

    alike = [record("dm", "bf16", "float32"), record("random", "float32", "float32")]
    other = record("dm", "float32", "tf32")
    old = record("dm", None, None)  # from before records named it
    assert records.mixed_precisions([*alike, old, {"seconds": 1.0}]) == []
    mixed = records.mixed_precisions([*alike, other])
    assert mixed == ["networks in float32 and tf32", "sets of digits/dm/1 in bf16 and float32"]
    table = frames.accuracy(frames.runs(records.read([write()]), config), expand(config))
    assert f"different precisions: {mixed[0]}; {mixed[1]}." in frames.markdown(table, None, mixed)
    page = evidence_page.head_of_records(dict(enumerate([*alike, other])), 1)
    assert f"different precisions: {mixed[0]}; {mixed[1]}." in page


def test_a_status_that_is_none_is_refused(write):
    rows = [{"seed": 7, "status": "failed", "accuracy": None}]
    with pytest.raises(InputError, match=r"evaluation seed 7: status 'failed'; expected one of ok"):
        list(records.check(records.read([write(rows=rows)])))


@pytest.mark.parametrize("accuracy", [None, 101.0, -1.0])
def test_a_result_that_is_none_is_refused(write, accuracy):
    rows = [{"seed": 0, "status": "ok", "accuracy": accuracy}]
    with pytest.raises(InputError, match=rf"seed 0: status ok, but accuracy {accuracy}"):
        list(records.check(records.read([write(rows=rows)])))


def test_failures_are_counted_not_averaged(write, config):
    rows = content(config)["rows"]
    nothing = dict.fromkeys(("accuracy", "accuracy_of_halves", "loss", "per_class"))
    for status in ("oom", "diverged"):
        runs = frames.runs(
            records.read([write(rows=[rows[0], rows[1] | nothing | {"status": status}])]), config
        )
        (row,) = frames.accuracy(runs, expand(config)).to_dict("records")
        assert (row["mean"], row["networks"], row[status]) == (50, 2, 1)


def test_an_experiment_without_a_result_says_so(write, config):
    nothing = {"status": "diverged", **dict.fromkeys(("accuracy", "loss"))}
    runs = frames.runs(records.read([write(rows=[{"seed": s, **nothing} for s in (0, 1)])]), config)
    text = frames.markdown(frames.accuracy(runs, expand(config)))
    assert "No network of this experiment gave a result." in text and "diverged" in text


def test_an_empty_experiment_is_refused_by_the_config():
    with pytest.raises(InputError, match=r"experiments\.main"):
        parse(CONFIG | {"experiments": {"main": []}})
    with pytest.raises(InputError, match=r"experiments\.main.*methods"):
        parse(CONFIG | {"experiments": {"main": CONFIG["experiments"]["main"] | {"methods": []}}})


def test_no_cells_at_all_are_no_crash():
    table = frames.accuracy(frames.runs({}), expand(parse(CONFIG)).__class__({}, {}, 1))
    assert table.empty and "No experiment holds a cell." in frames.markdown(table)


def test_a_missing_and_a_surplus_record_are_named(write, config):
    rows = content(config)["rows"]
    with pytest.raises(InputError, match=r"no record of this network: .*evaluation_seed 1; `snake"):
        frames.accuracy(frames.runs(records.read([write(rows=rows[:1])]), config), expand(config))
    surplus = [*rows, rows[0] | {"seed": 2}]
    with pytest.raises(InputError, match=r"seeds0-1\.json: holds a network that no experiment"):
        frames.accuracy(frames.runs(records.read([write(rows=surplus)]), config), expand(config))


def test_what_is_missing_is_counted_and_what_is_wrong_is_left_out_where_that_is_asked(
    write, config, tmp_path
):
    rows = content(config)["rows"]
    runs = frames.with_missing(
        frames.runs(records.read([write(rows=rows[:1])]), config), expand(config)
    )
    assert list(runs["status"]) == ["ok", "missing"] and list(runs["evaluation_seed"]) == [0, 1]
    (row,) = frames.accuracy(runs, expand(config)).to_dict("records")
    assert (row["mean"], row["networks"], row["missing"]) == (50, 2, 1)
    text = frames.markdown(frames.accuracy(runs, expand(config)), runs)
    assert "50.00 (1 missing)" in text and "1 of 2 networks are missing" in text
    runs.to_csv(tmp_path / "runs.csv", index=False)
    pd.testing.assert_frame_equal(frames.load_runs(tmp_path / "runs.csv"), runs)
    whole = frames.runs(records.read([write()]), config)
    pd.testing.assert_frame_equal(frames.with_missing(whole, expand(config)), whole)
    left_out = []
    old = write(options={})
    runs = frames.with_missing(frames.runs(records.read([old]), config, left_out), expand(config))
    assert len(left_out) == 1 and "an old result" in left_out[0]
    assert list(runs["status"]) == ["missing", "missing"]
    text = frames.markdown(frames.accuracy(runs, expand(config)), runs)
    assert "| missing" in text and "No network of this experiment gave a result." in text


def test_two_records_of_one_seed_are_refused(write, config):
    with pytest.raises(InputError, match=r"two records of the same network: .*a\.json and .*b\.js"):
        frames.runs(records.read([write("a.json"), write("b.json")]), config)


def test_a_file_that_is_no_record_is_named(tmp_path):
    storage.write_json(tmp_path / "cost.json", {"seconds": 1.0})
    with pytest.raises(InputError, match=r"cost\.json: not a record of an evaluation"):
        frames.runs(records.read([tmp_path / "cost.json"]))


def test_per_class_is_a_row_per_class(write):
    rows_found = frames.per_class(records.read([write()]).values())
    assert len(rows_found) == 4 and set(rows_found["class"]) == {"zero", "one"}
    assert rows_found.groupby("class")["accuracy"].mean().to_dict() == {"zero": 100, "one": 0}


@pytest.mark.parametrize(
    "first, second",
    [
        ({}, {"device": "cuda"}),
        ({"device": "cuda"}, {"device": "cpu"}),
        ({"device": "cpu"}, {"device": "cpu", "set": {"device": "cuda"}}),
    ],
)
def test_records_of_cpu_and_gpu_are_mixed_only_where_the_config_says_so(
    config, write, tmp_path, first, second
):
    def parts(changes):
        made_on = changes.get("set", {"device": changes.get("device")})
        return changes | {"set": content(config)["set"] | made_on}

    paths = [write("a.json", **parts(first)), write("b.json", **parts(second))]
    with pytest.raises(InputError, match=r"(cpu|cuda).*mix_devices: true"):
        list(records.check(records.read(paths), config))
    mixed = parse(CONFIG | {"compute": {"mix_devices": True}})
    assert len(list(records.check(records.read(paths), mixed))) == 2
    assert (
        len(
            list(
                records.check(
                    records.read([paths[0], shutil.copy(paths[0], tmp_path / "c.json")]), config
                )
            )
        )
        == 2
    )
