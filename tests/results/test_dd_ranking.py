"""DD-Ranking's scores from made-up accuracies, computed by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from condensation.results import dd_ranking

ALGORITHMS = {"random": "random", "dm": "dm", "whole": "whole"}


def table(*rows):
    """Rows of method, IPC, augmentation, labels and mean, with intervals of a point each way."""
    usual = {"dataset": "d", "architecture": "convnet", "optimizer": "sgd"}
    names = ("method", "ipc", "augmentation", "labels", "mean")
    return pd.DataFrame(
        [
            usual | dict(zip(names, row, strict=True)) | {"low": row[-1] - 1, "high": row[-1] + 1}
            for row in rows
        ]
    )


def score(alpha):
    return (math.exp(alpha) - math.exp(-1)) / (math.exp(1) - math.exp(-1))


FULL = (
    ("random", "10", "dsa", "own", 30.0),
    ("random", "10", "dsa", "distilled", 45.0),
    ("random", "10", "none", "distilled", 40.0),
    ("dm", "10", "dsa", "own", 48.0),
    ("dm", "10", "dsa", "distilled", 55.0),
    ("dm", "10", "none", "distilled", 46.0),
    ("whole", "all", "dsa", "own", 85.0),
)


def row_of(rows, **where):
    scored = dd_ranking.scores(table(*rows), ALGORITHMS)
    for name, value in where.items():
        scored = scored[scored[name] == value]
    (row,) = scored.to_dict("records")
    return row


def test_both_scores_by_hand():
    row = row_of(FULL, labels="distilled", augmentation="dsa")
    assert (row["hlr"], row["ior"]) == pytest.approx((0.85 - 0.48, 0.55 - 0.45))
    assert row["label_robust"] == pytest.approx(score(0.5 * 0.10 - 0.5 * 0.37))
    assert row["augmentation_robust"] == pytest.approx(score(0.5 * 0.10 + 0.5 * 0.06))
    half = 0.01  # four independent halves of a point
    assert row["label_low"] == pytest.approx(score(-0.135 - half))
    assert row["augmentation_high"] == pytest.approx(score(0.08 + half))


def test_hard_labels_count_twice():
    """Own labels are the hard ones: the same networks stand in both differences."""
    row = row_of(FULL, labels="own", augmentation="dsa")
    assert row["label_robust"] == pytest.approx(score(0.5 * 0.18 - 0.5 * 0.37))
    half = math.sqrt(0.01**2 + 0.005**2 + 0.005**2)
    assert row["label_high"] == pytest.approx(score(0.5 * 0.18 - 0.5 * 0.37 + half))
    assert np.isnan(row["augmentation_robust"])  # there is no such cell without augmentation


def test_a_cell_with_hard_labels_replaces_the_sets_own():
    rows = (*FULL, ("dm", "10", "dsa", "hard", 40.0))
    assert row_of(rows, labels="distilled", augmentation="dsa")["hlr"] == pytest.approx(0.45)


def test_soft_labels_of_a_set_do_not_stand_for_hard_ones():
    """The own labels of `dm` are soft: without a cell with hard ones there is no HLR."""
    rows = (*FULL, ("random", "10", "dsa", "hard", 30.0))
    soft = {("d", "10", "dm")}
    scored = dd_ranking.scores(table(*rows), ALGORITHMS, soft=soft)
    assert scored["label_robust"].isna().all() and scored["augmentation_robust"].notna().any()
    rows = (*rows, ("dm", "10", "dsa", "hard", 40.0))
    scored = dd_ranking.scores(table(*rows), ALGORITHMS, soft=soft)
    assert scored["hlr"].tolist() == pytest.approx([0.85 - 0.40] * len(scored))
    own = scored.set_index("labels").loc["own"]
    assert own["label_robust"] == pytest.approx(score(0.5 * 0.18 - 0.5 * 0.45))


def test_the_ends_of_the_scale():
    assert dd_ranking.normalized(1) == 1 and dd_ranking.normalized(-1) == 0
    worst = table(("random", "1", "dsa", "own", 100.0), ("dm", "1", "dsa", "own", 0.0))
    worst = pd.concat([worst, table(("whole", "all", "dsa", "own", 100.0))])
    (row,) = dd_ranking.scores(worst, ALGORITHMS).to_dict("records")
    assert row["label_robust"] == pytest.approx(0)


@pytest.mark.parametrize("missing", ["random", "whole"])
def test_without_a_comparison_there_is_no_score(missing):
    rows = [row for row in FULL if row[0] != missing and row[3] == "own"]
    assert dd_ranking.scores(table(*rows), ALGORITHMS).empty


def test_methods_of_a_cell_come_best_first():
    rows = (*FULL, ("kip", "10", "dsa", "own", 60.0))
    scored = dd_ranking.scores(table(*rows), {**ALGORITHMS, "kip": "kip"})
    hard = scored[scored["labels"] == "own"]
    assert hard["method"].tolist() == ["kip", "dm"]


# HLR and IOR in percent on CIFAR-10 at IPC 10, from the data of the authors' leaderboard (February
# 2025); it shows scores with both weights 0.5, and the best first
PUBLISHED = {
    **{"DATM": (26.84, 35.05), "MTT": (23.73, 30.90), "DSA": (35.14, 19.62), "DC": (36.70, 18.54)},
    **{"DM": (39.37, 16.12), "D4M": (39.88, 9.12), "RDED": (50.65, 1.11), "SRe2L": (67.82, -5.77)},
}


def test_the_published_numbers_give_their_score_and_their_order():
    whole, random = 85.0, 30.0
    rows = [("random", "10", "dsa", "distilled", random), ("whole", "all", "dsa", "own", whole)]
    for name, (recovery, gain) in reversed(PUBLISHED.items()):
        rows.append((name, "10", "dsa", "hard", whole - recovery))
        rows.append((name, "10", "dsa", "distilled", random + gain))
    algorithms = ALGORITHMS | {name: name.lower() for name in PUBLISHED}
    scored = dd_ranking.scores(table(*rows), algorithms)
    scored = scored[scored["labels"] == "distilled"].set_index("method")
    assert list(scored.index) == list(PUBLISHED)
    for name, (recovery, gain) in PUBLISHED.items():
        row = scored.loc[name]
        assert (100 * row["hlr"], 100 * row["ior"]) == pytest.approx((recovery, gain))
        assert row["label_robust"] == pytest.approx(score((gain - recovery) / 200))
