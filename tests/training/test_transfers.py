"""Inner loops read nothing back from the device.

They run on torch's `meta` device, whose tensors have no values: whatever asked
for one, a loss to print or a condition to test, would fail here, and on a GPU
it would make the host wait.
"""

from dataclasses import replace

import pytest
import torch
from conftest import small_dataset

from condensation import augmentation, networks
from condensation.config.entries import DSA_OPERATORS
from condensation.core import compute, randomness
from condensation.methods import dc, dm, frepo, kip, trajectory_gradients
from condensation.methods.contract import Problem
from condensation.methods.derivatives import Flat
from condensation.methods.recorder import Recorder
from condensation.training import fitting, stacking

META = torch.device("meta")
DSA = {"policy": "dsa", "operators": list(DSA_OPERATORS), "align_corners": False}
CONVNET = {"network": "convnet", "width": 4, "depth": 2}
SGD = {"algorithm": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "decay": True}


class Steps(Recorder):
    """Runs the steps and nothing else: what is checked and saved now and then may be read."""

    taken = 0

    def run(self, state, step, iterations, parts=1, check=None, labels=None):
        for number in range(iterations * parts):
            step(number)
            self.taken += 1


@pytest.fixture
def problem():
    dataset = small_dataset()
    on_device = replace(dataset, train_images=dataset.train_images.to(META))
    return Problem(on_device, ipc=2, seed=0, device=META, recorder=Steps())


def test_the_device_refuses_to_be_read():
    with pytest.raises((RuntimeError, NotImplementedError)):
        float(torch.zeros((), device=META))


@pytest.mark.parametrize("stacked", [False, True])
def test_training_waits_for_the_device_once(problem, monkeypatch, stacked):
    reads = []

    def read(tensor):
        reads.append(tensor)
        return [[0.0] * tensor.shape[1]] * len(tensor)

    monkeypatch.setattr(torch.Tensor, "tolist", read)
    members = [networks.build(CONVNET, problem.shape, 3, s).to(META) for s in range(2)]
    if stacked:
        forward = stacking.Stack(members, False, META)
        parameters, count = forward.parameters, 2
    else:
        forward, count = stacking.alone(members[0]), 1
        parameters = list(members[0].parameters())
    images = torch.zeros(6, *problem.shape, device=META)
    curves = fitting.fit(
        *(forward, parameters, lambda positions: images[positions], problem.labels.to(META)),
        epochs=30,
        batch_size=4,
        optimizer=SGD,
        decay_after=15,
        augment=augmentation.build(DSA, problem.dataset),
        generators=[randomness.generator(seed, "test") for seed in range(count)],
    )
    assert len(reads) == 1 and len(curves) == count


@pytest.mark.parametrize("policy", [DSA, {"policy": "none"}], ids=lambda p: p["policy"])
def test_matching_gradients_reads_nothing(problem, policy):
    dc.condense(
        problem,
        **{"init": "random", "features": "embedding", "iterations": 2, "outer": 2, "inner": 2},
        **{"lr": 0.1, "momentum": 0.5, "batch_real": 4, "lr_network": 0.01, "batch_network": 4},
        **{"distance": "rows", "update": "joint", "augmentation": policy, "architecture": CONVNET},
    )
    assert problem.recorder.taken == 4


def test_matching_distributions_reads_nothing(problem):
    dm.condense(
        problem,
        **{"init": "random", "features": "embedding", "iterations": 3, "lr": 1.0, "momentum": 0.5},
        **{"batch_real": 4, "augmentation": DSA, "architecture": CONVNET},
    )
    assert problem.recorder.taken == 3


@pytest.mark.parametrize("kernel", ["fc_ntk", "conv_features"])
def test_kernel_regression_reads_nothing(problem, kernel):
    kip.condense(
        problem,
        **{"init": "random", "features": "embedding", "iterations": 3, "lr": 1.0, "ridge": 1e-3},
        **{"kernel": kernel, "depth": 1, "networks": 1, "width": 4, "batch_real": 6},
        learn_labels=True,
    )
    assert problem.recorder.taken == 3


def test_regression_on_a_pool_reads_nothing(problem):
    frepo.condense(
        problem,
        **{"init": "random", "features": "embedding", "iterations": 3, "lr": 1.0, "ridge": 1e-3},
        **{"batch_real": 6, "learn_labels": True, "flip": True, "networks": 2, "max_updates": 3},
        **{"lr_network": 1e-3, "architecture": CONVNET},
    )
    assert problem.recorder.taken == 3


@pytest.mark.parametrize("name", ["exact", "tesla"])
def test_the_student_and_its_recursion_read_nothing(problem, name):
    augment = augmentation.build(DSA, problem.dataset)
    stream = problem.generator("test")
    flat = Flat(networks.build(CONVNET, problem.shape, 3, 0), problem.shape, META)
    vector = torch.zeros(sum(shape.numel() for shape in flat.shapes), device=META)
    images = torch.zeros(6, *problem.shape, device=META)
    plan = [
        trajectory_gradients.Step(torch.arange(6, device=META), augment.draw(stream, 6))
        for _ in range(4)
    ]
    gradients = trajectory_gradients.GRADIENTS[name](
        *(flat, vector, vector, images, problem.labels.to(META)),
        *(torch.zeros((), device=META), plan, augment.apply),
    )
    assert all(call.is_meta for call in gradients)
    assert compute.images_at_once(flat.network, problem.shape, META) is None
