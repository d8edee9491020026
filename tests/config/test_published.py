"""The papers' hyper-parameters by dataset and IPC, and what happens where they give none."""

import pytest

from condensation.config.loading import parse
from condensation.core.errors import InputError


def options(algorithm, source, ipc, zca=False, **values):
    config = parse(
        {
            "datasets": {"d": {"source": source}},
            "methods": {"m": {"algorithm": algorithm, **values}},
            "trajectories": {"experts": {"preprocessing": "zca" if zca else "standardize"}},
            "experiments": {"e": {"datasets": ["d"], "methods": ["m"], "ipc": [ipc]}},
        }
    )
    return config.options_of("d", "m", ipc)


@pytest.mark.parametrize(
    "ipc, outer, inner",
    [
        *[(1, 1, 1), (10, 10, 50), (20, 20, 25), (30, 30, 20), (40, 40, 15), (50, 50, 10)],
        *[(100, 10, 10), (1000, 10, 10)],
    ],
)
@pytest.mark.parametrize("algorithm", ["dc", "dsa"])
def test_loops_of_dc(algorithm, ipc, outer, inner):
    filled = options(algorithm, "cifar10", ipc)
    assert (filled["outer"], filled["inner"]) == (outer, inner)


KEYS = ("steps", "expert_epochs", "max_start", "batch_syn", "lr", "lr_step", "step_size")


@pytest.mark.parametrize(
    "source, ipc, zca, row",
    [
        ("cifar10", 1, True, (50, 2, 2, None, 100, 1e-7, 0.01)),
        ("cifar10", 10, True, (30, 2, 20, None, 100, 1e-5, 0.001)),
        ("cifar10", 50, False, (30, 2, 40, None, 1000, 1e-5, 0.001)),
        ("cifar100", 1, True, (20, 3, 20, None, 1000, 1e-5, 0.01)),
        ("cifar100", 10, False, (20, 2, 20, None, 1000, 1e-5, 0.01)),
        ("cifar100", 50, True, (80, 2, 40, 125, 1000, 1e-5, 0.01)),
        ("tinyimagenet", 1, False, (10, 2, 10, None, 10000, 1e-4, 0.01)),
        ("tinyimagenet", 10, False, (20, 2, 40, 200, 10000, 1e-4, 0.01)),
        ("tinyimagenet", 50, False, (20, 2, 40, 300, 10000, 1e-4, 0.01)),
        ("cifar10", 1, False, (50, 2, 5, None, 1000, 1e-7, 0.01)),
        ("cifar10", 10, False, (30, 2, 15, None, 1000, 1e-5, 0.01)),
        # the table has the row with ZCA only, or without only
        ("cifar10", 50, True, (30, 2, 40, None, 1000, 1e-5, 0.001)),
        ("cifar100", 50, False, (80, 2, 40, 125, 1000, 1e-5, 0.01)),
        ("cifar100", 1, False, (20, 3, 20, None, 1000, 1e-5, 0.01)),
        # a dataset that is not in the table
        ("digits", 10, False, (30, 2, 15, None, 1000, 1e-5, 0.01)),
    ],
)
def test_rows_of_tm(source, ipc, zca, row):
    filled = options("tm", source, ipc, zca)
    assert tuple(filled[key] for key in KEYS) == row


DATM = ("steps", "expert_epochs", "min_start", "first_max_start", "max_start", "growth")
DATM += ("batch_syn", "lr", "lr_labels", "lr_step", "threshold", "label_epoch")


@pytest.mark.parametrize(
    "source, ipc, row",
    [
        ("cifar10", 1, (80, 2, 0, 4, 4, 0, None, 100, 5, 1e-7, 1.1, 5)),
        ("cifar10", 10, (80, 2, 0, 10, 20, 1000, None, 100, 2, 1e-5, 1, 21)),
        ("cifar10", 50, (80, 2, 0, 20, 40, 2000, None, 1000, 2, 1e-5, 1, 41)),
        ("cifar10", 1000, (100, 2, 40, 60, 60, 0, 1000, 50, 10, 1e-5, 1, 61)),
        ("cifar100", 10, (80, 2, 0, 30, 50, 2000, None, 1000, 10, 1e-5, 1, 51)),
        ("cifar100", 50, (80, 2, 20, 70, 70, 0, 1000, 1000, 10, 1e-5, 1, 71)),
        ("tinyimagenet", 1, (40, 2, 0, 15, 20, 2000, None, 10000, 10, 1e-4, 1, 21)),
        ("tinyimagenet", 10, (40, 2, 10, 50, 50, 0, 500, 100, 10, 1e-4, 1, 51)),
        ("digits", 10, (80, 2, 0, 10, 20, 1000, None, 100, 2, 1e-5, 1, 21)),
    ],
)
def test_rows_of_datm(source, ipc, row):
    filled = options("datm", source, ipc)
    assert tuple(filled[key] for key in DATM) == row


def test_a_window_of_datm_holds_an_epoch():
    for wrong, message in (
        ({"min_start": 4, "first_max_start": 4}, "methods.m: .*`min_start` is 4 and `first_max"),
        ({"first_max_start": 9, "max_start": 8}, "methods.m: .*first_max_start` is 9 and `max_st"),
        ({"min_start": 20}, "'m' for d at IPC 10, with the published .*`min_start` is 20 and"),
        ({"max_start": 5}, "'m' for d at IPC 10, .*`first_max_start` is 10 and `max_start` is 5"),
    ):
        with pytest.raises(InputError, match=message):
            options("datm", "cifar10", 10, **wrong)
    assert options("datm", "cifar10", 10, max_start=5, first_max_start=5)["label_epoch"] == 6
    assert options("datm", "cifar10", 10, label_epoch=30)["label_epoch"] == 30


def test_the_ridge_of_kip_goes_with_the_kernel():
    assert options("kip", "cifar10", 1)["ridge"] == 1e-6
    assert options("kip", "cifar10", 1, kernel="conv_features")["ridge"] == 5e-3


def test_a_value_of_the_config_stays():
    assert options("tm", "cifar10", 1, lr=5.0)["lr"] == 5.0
    assert options("dc", "cifar10", 10, inner=3)["inner"] == 3
    assert options("kip", "cifar10", 1, kernel="conv_features", ridge=0.0)["ridge"] == 0


def test_an_ipc_without_a_row_says_what_to_set_and_which_have_one():
    with pytest.raises(InputError, match=r"'m' .* IPC 5 \(.*1, 10, 20, .*\); set methods.m.outer"):
        options("dc", "cifar10", 5)
    assert options("dc", "cifar10", 5, outer=5, inner=1)["outer"] == 5
    with pytest.raises(InputError, match=r"IPC 20 \(they exist for IPC 1, 10, 50\); .*steps"):
        options("tm", "cifar100", 20)


def test_experts_with_too_few_epochs_are_refused_before_any_job():
    with pytest.raises(InputError, match=r"trajectories.experts.epochs: 5, .* up to epoch 6"):
        parse(
            {
                "datasets": {"d": {"source": "cifar10"}},
                "methods": {"m": {"algorithm": "tm"}},
                "trajectories": {"experts": {"epochs": 5}},
                "experiments": {"e": {"datasets": ["d"], "methods": ["m"], "ipc": [1]}},
            }
        )


def test_experts_that_give_no_labels_are_refused_before_any_job():
    with pytest.raises(
        InputError, match=r"epochs: 40, but 'm' .* up to epoch 100 \(label_epoch 100\)"
    ):
        parse(
            {
                "datasets": {"d": {"source": "cifar10"}},
                "methods": {"m": {"algorithm": "datm", "label_epoch": 100}},
                "trajectories": {"experts": {"epochs": 40}},
                "experiments": {"e": {"datasets": ["d"], "methods": ["m"], "ipc": [1]}},
            }
        )


def test_snapshots_lie_within_the_iterations():
    with pytest.raises(InputError, match="`snapshots` holds 11; .* 10"):
        options("dm", "cifar10", 1, iterations=10, snapshots=[0, 11])
