"""The table of sets, from measures worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from condensation.results import set_table

NAMES = set_table.MEASURES


def content(values, seed=0, method="dm", ipc="10", images="learned", **facts):
    """Measures of a set whose classes all have one of ``values`` for each measure."""
    classes = [
        dict.fromkeys(NAMES, value) | {"class": str(label), "real_nearest": {"0.5": 4.0 + label}}
        for label, value in enumerate(values)
    ]
    metadata = {"status": "ok", "classes": ["0", "1"], "shape": [1, 8, 8], "labels": "hard"}
    return {
        **{"dataset": "d", "method": method, "ipc": ipc, "condensation_seed": seed},
        "set": metadata | facts,
        "measures": {"images": images, "classes": classes},
    }


def failed(seed):
    return content([], seed) | {"set": {"status": "oom", "classes": ["0"]}, "measures": None}


def test_a_row_is_the_mean_over_classes_and_sets_with_an_interval_over_sets():
    contents = [content([10.0, 30.0], 0), content([30.0, 50.0], 1), content([20.0, 40.0], 2)]
    (row,) = set_table.frame(contents).to_dict("records")
    half = stats.t.ppf(0.975, 2) * np.std([20, 40, 30], ddof=1) / np.sqrt(3)
    for name in NAMES[:3]:
        assert row[name] == pytest.approx(30)
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx((30 - half, 30 + half))
    assert (row["sets"], row["failed"], row["images"]) == (3, 0, "learned")
    assert (row["bytes_per_class"], row["beside_images"]) == (640, "")
    assert row["real_nearest"] == 4.5


def test_intervals_end_at_0_and_those_of_shares_at_1():
    (row,) = set_table.frame([content([0.1], 0), content([0.9], 1)]).to_dict("records")
    half = stats.t.ppf(0.975, 1) * np.std([0.1, 0.9], ddof=1) / np.sqrt(2)
    for name in NAMES:
        high = 1 if name in ("coverage", "close") else 0.5 + half
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx((0, high))


def test_failed_sets_are_counted_and_left_out():
    (row,) = set_table.frame([failed(0), content([2.0, None], 1)]).to_dict("records")
    assert (row["sets"], row["failed"], row["diversity"]) == (2, 1, 2.0)
    assert np.isnan(row["diversity_low"])
    (row,) = set_table.frame([failed(0)]).to_dict("records")
    assert (row["sets"], row["failed"]) == (1, 1) and np.isnan(row["bytes_per_class"])


def test_rows_differ_by_dataset_method_and_ipc_and_name_soft_labels():
    contents = [content([1.0, 1.0]), content([1.0, 1.0], method="kip", labels="soft")]
    contents.append(content([1.0, 1.0], ipc="1", images="real"))
    frame = set_table.frame(contents)
    assert list(zip(frame["method"], frame["ipc"], strict=True)) == [
        ("dm", "10"),
        ("kip", "10"),
        ("dm", "1"),
    ]
    assert list(frame["bytes_per_class"]) == [640, 640 + 10 * 2 * 4, 64]
    assert list(frame["beside_images"]) == ["", "soft labels (80 B)", ""]
    assert list(frame["images"]) == ["learned", "learned", "real"]


def test_without_sets_the_table_has_its_columns():
    assert list(set_table.frame([]).columns) == set_table.COLUMNS
