"""How many kernels the host launches in an iteration, and how often it copies.

They are counted on torch's device ``meta``, whose tensors have no values. The first two iterations
do not count: they warm up and record.
"""

import contextlib
from dataclasses import replace

import pytest
import torch
from conftest import small_dataset
from launches import Launches, as_on_a_gpu

from condensation.config.entries import DSA_OPERATORS
from condensation.core import capture
from condensation.methods import dc, dm, experts, tm
from condensation.methods.contract import Problem
from condensation.methods.recorder import Recorder

META = torch.device("meta")
DSA = {"policy": "dsa", "operators": list(DSA_OPERATORS), "align_corners": False}
CONVNET = {"network": "convnet", "width": 8, "depth": 3}
SHARED = {"init": "random", "features": "embedding", "iterations": 4, "architecture": CONVNET}
MATCHING = SHARED | {
    **{"outer": 1, "inner": 1, "lr": 0.1, "momentum": 0.5, "batch_real": 16},
    **{"lr_network": 0.01, "batch_network": 256, "distance": "rows", "update": "joint"},
}
TM = SHARED | {
    **{"trajectories": "experts", "experts": 1, "steps": 10, "expert_epochs": 1, "max_start": 1},
    **{"batch_syn": None, "lr": 1.0, "lr_step": 0.0, "step_size": 0.01, "momentum": 0.5},
    **{"chunk": None, "augmentation": DSA},
}
RUNS = {
    "dm": lambda problem: dm.condense(
        problem,
        **SHARED | {"lr": 1.0, "momentum": 0.5, "batch_real": 16, "augmentation": DSA},
    ),
    "dc": lambda problem: dc.condense(problem, **MATCHING | {"augmentation": {"policy": "none"}}),
    "dsa": lambda problem: dc.condense(problem, **MATCHING | {"augmentation": DSA}),
    "tm exact": lambda problem: tm.condense(problem, **TM | {"gradient": "exact"}),
    "tm unroll": lambda problem: tm.condense(problem, **TM | {"gradient": "unroll"}),
}


class Counting(Recorder):
    """Keeps the launches of each step."""

    def run(self, state, step, iterations, parts=1, check=None):
        self.launches, self.transfers = [], []
        for number in range(iterations * parts):
            with Launches(META) as launches:
                step(number)
            self.launches.append(launches.total)
            self.transfers.append(launches.transfers)


def launches_of(method):
    """Most launches, and most copies, of an iteration on ten classes at IPC 1."""
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
        RUNS[method](problem)
    return max(problem.recorder.launches[2:]), max(problem.recorder.transfers[2:])


@pytest.mark.parametrize(
    ("method", "share"),
    [("dc", 1 / 5), ("dsa", 1 / 5), ("tm exact", 1 / 5), ("tm unroll", 1 / 5), ("dm", 1 / 3)],
)
def test_an_iteration_launches_a_fraction_of_what_it_does_without_graphs(
    method, share, monkeypatch
):
    usual, _ = launches_of(method)
    with as_on_a_gpu(monkeypatch, "meta"):
        recorded, transfers = launches_of(method)
    assert recorded <= share * usual
    assert transfers == 1


@pytest.mark.parametrize(("method", "share"), [("dc", 1 / 5), ("dsa", 1 / 5), ("dm", 1 / 2)])
def test_all_classes_are_one_computation_where_graphs_fail(method, share, monkeypatch):
    usual, _ = launches_of(method)
    monkeypatch.setitem(capture.RECORDERS, "meta", NoGraphs())
    together, transfers = launches_of(method)
    assert together <= share * usual
    assert transfers == 1


class NoGraphs:
    def first(self, function, inputs):
        return function(*inputs)

    def record(self, function, inputs):
        raise RuntimeError("no graphs here")


def main():
    """Print a table: launches and copies of an iteration."""
    for name in RUNS:
        print(name, "as usual", launches_of(name))
        patch = pytest.MonkeyPatch()
        with patch.context() as patched:
            patched.setitem(capture.RECORDERS, "meta", NoGraphs())
            print(name, "together", launches_of(name))
        with as_on_a_gpu(patch, "meta"):
            print(name, "recorded", launches_of(name))


if __name__ == "__main__":
    main()
