"""How many kernels the host launches in an iteration, and how often it copies.

They are counted on torch's device ``meta``, whose tensors have no values.
"""

import contextlib
import functools
from dataclasses import replace

import pytest
import torch
from conftest import small_dataset
from launches import Launches, as_on_a_gpu

from condensation.config.entries import DSA_OPERATORS
from condensation.core import capture
from condensation.methods import datm, dc, dm, experts, tm
from condensation.methods.contract import Problem
from condensation.methods.recorder import Recorder

META = torch.device("meta")
DSA = {"policy": "dsa", "operators": list(DSA_OPERATORS), "align_corners": False}
CONVNET = {"network": "convnet", "width": 8, "depth": 3}
SHARED = {"init": "random", "features": "embedding", "architecture": CONVNET}
MATCHING = SHARED | {
    **{"outer": 1, "inner": 1, "lr": 0.1, "momentum": 0.5, "batch_real": 16},
    **{"lr_network": 0.01, "batch_network": 256, "distance": "rows", "update": "joint"},
}
TM = SHARED | {
    **{"trajectories": "experts", "experts": 1, "steps": 3, "expert_epochs": 1, "max_start": 1},
    **{"batch_syn": None, "lr": 1.0, "lr_step": 0.0, "step_size": 0.01, "momentum": 0.5},
    **{"chunk": None, "augmentation": DSA},
}
DATM = {
    **{"min_start": 0, "first_max_start": 1, "growth": 0, "label_epoch": 1, "lr_labels": 1.0},
    **{"momentum_labels": 0.9, "threshold": 1.0, "init": "noise"},
}
RUNS = {
    "dm": lambda problem, iterations: dm.condense(
        problem,
        iterations=iterations,
        **SHARED | {"lr": 1.0, "momentum": 0.5, "batch_real": 16, "augmentation": DSA},
    ),
    "dc": lambda problem, iterations: dc.condense(
        problem, iterations=iterations, **MATCHING | {"augmentation": {"policy": "none"}}
    ),
    "dsa": lambda problem, iterations: dc.condense(
        problem, iterations=iterations, **MATCHING | {"augmentation": DSA}
    ),
    "tm exact": lambda problem, iterations: tm.condense(
        problem, iterations=iterations, **TM | {"gradient": "exact"}
    ),
    "tm datm": lambda problem, iterations: datm.condense(
        problem, iterations=iterations, **TM | DATM | {"gradient": "exact"}
    ),
    "tm unroll": lambda problem, iterations: tm.condense(
        problem, iterations=iterations, **TM | {"gradient": "unroll"}
    ),
}


EXPERT = {
    **{"architecture": CONVNET, "epochs": 1, "lr": 0.01, "momentum": 0.0, "batch_size": 20},
    "augmentation": DSA,
}


class Counting(Recorder):
    """Keeps the launches of each step."""

    def run(self, state, step, iterations, parts=1, check=None, labels=None):
        self.launches, self.transfers = [], []
        for number in range(iterations * parts):
            with Launches(META) as launches:
                step(number)
            self.launches.append(launches.total)
            self.transfers.append(launches.transfers)


def launches_of(method, iterations):
    """Launches and copies of the last iteration, on ten classes at IPC 1."""
    dataset = small_dataset(classes=10, shape=(3, 32, 32))
    dataset = replace(dataset, train_images=dataset.train_images.to(META))
    problem = Problem(dataset, ipc=1, seed=0, device=META, recorder=Counting())
    if method.startswith("tm"):
        start = torch.nn.utils.parameters_to_vector(
            experts.networks.build(CONVNET, (3, 32, 32), 10, 0).parameters()
        ).detach()
        snapshots = torch.stack([start, start + 0.01])
        problem = replace(problem, trajectories=experts.Trajectories([snapshots], CONVNET))
    with contextlib.suppress(RuntimeError):  # the result cannot be read
        RUNS[method](problem, iterations)
    return problem.recorder.launches[-1], problem.recorder.transfers[-1]


@functools.cache
def usual_launches(method):
    """Launches of an iteration as on a CPU; the draws change them by a few percent."""
    return launches_of(method, 1)[0]


@pytest.mark.parametrize(
    ("method", "share"),
    [
        ("dc", 1 / 5),
        ("dsa", 1 / 5),
        ("tm exact", 1 / 5),
        ("tm unroll", 1 / 5),
        ("tm datm", 1 / 5),
        ("dm", 1 / 3),
    ],
)
def test_an_iteration_launches_a_fraction_of_what_it_does_without_graphs(
    method, share, monkeypatch
):
    with as_on_a_gpu(monkeypatch, "meta"):
        recorded, transfers = launches_of(method, 3)  # the first warms up, the second records
    assert recorded <= share * usual_launches(method)
    assert transfers == 1


def launches_of_experts(count):
    """Launches and copies of the last of four steps of several experts."""
    dataset = small_dataset(classes=10, shape=(3, 32, 32))
    dataset = replace(dataset, train_images=dataset.train_images.to(META))
    problem = Problem(dataset, ipc=None, seed=0, device=META, recorder=Counting())
    assert len(dataset.train_labels) >= 4 * EXPERT["batch_size"]
    with contextlib.suppress(RuntimeError):  # the end of the epoch cannot be read
        experts.train(problem, range(count), **EXPERT)
    return problem.recorder.launches[3], problem.recorder.transfers[:4]


def test_experts_together_launch_what_one_does(monkeypatch):
    usual = launches_of_experts(1)[0]
    monkeypatch.setitem(capture.RECORDERS, "meta", NoGraphs())
    assert launches_of_experts(8)[0] <= 2 * usual
    with as_on_a_gpu(monkeypatch, "meta"):
        recorded, transfers = launches_of_experts(8)
    assert recorded <= usual / 5
    assert transfers == [1, 0, 0, 0], "one copy per epoch"


@pytest.mark.parametrize(("method", "share"), [("dc", 1 / 5), ("dsa", 1 / 5), ("dm", 1 / 2)])
def test_all_classes_are_one_computation_where_graphs_fail(method, share, monkeypatch):
    usual = usual_launches(method)
    monkeypatch.setitem(capture.RECORDERS, "meta", NoGraphs())
    together, transfers = launches_of(method, 1)
    assert together <= share * usual
    assert transfers == 1


class NoGraphs:
    def first(self, function, inputs):
        return function(*inputs)

    def record(self, function, inputs):
        raise RuntimeError("no graphs here")


def main():
    """Print a table: launches and copies of an iteration."""
    print("experts, one", launches_of_experts(1))
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setitem(capture.RECORDERS, "meta", NoGraphs())
        print("experts, eight together", launches_of_experts(8))
    with as_on_a_gpu(patch, "meta"):
        print("experts, eight recorded", launches_of_experts(8))
    for name in RUNS:
        print(name, "as usual", launches_of(name, 1))
        patch = pytest.MonkeyPatch()
        with patch.context() as patched:
            patched.setitem(capture.RECORDERS, "meta", NoGraphs())
            print(name, "together", launches_of(name, 2))
        with as_on_a_gpu(patch, "meta"):
            print(name, "recorded", launches_of(name, 3))


if __name__ == "__main__":
    main()
