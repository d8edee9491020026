"""Experts against a plain training loop; TM's loop, its guards and its input checks."""

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from conftest import small_dataset

from condensation import augmentation, networks
from condensation.config.entries import DSA_OPERATORS
from condensation.core import compute, storage
from condensation.core.errors import InputError
from condensation.data import datasets, formation, whitening
from condensation.methods import experts, recorder, tm
from condensation.methods.contract import Problem
from condensation.methods.recorder import Recorder

DSA = {"policy": "dsa", "operators": list(DSA_OPERATORS), "align_corners": False}
CONVNET = {"network": "convnet", "width": 8, "depth": 1}
EXPERT = {
    **{"architecture": CONVNET, "epochs": 3, "lr": 0.05, "momentum": 0.0},
    **{"batch_size": 16, "augmentation": DSA},
}
OPTIONS = {
    **{"init": "random", "features": "embedding", "iterations": 1, "trajectories": "experts"},
    **{"experts": 1, "steps": 4, "expert_epochs": 1, "max_start": 2, "batch_syn": None},
    **{"lr": 5.0, "lr_step": 1e-3, "step_size": 0.05, "momentum": 0.5, "gradient": "exact"},
    **{"chunk": None, "augmentation": DSA, "architecture": CONVNET},
}


@pytest.fixture
def whole(dataset):
    return Problem(dataset, ipc=None, seed=0)


@pytest.fixture
def ready(problem, whole):
    snapshots = experts.train(whole, [0], **EXPERT)
    return replace(problem, trajectories=experts.Trajectories([*snapshots], CONVNET))


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("seeds", [[0], [2, 0, 5]])
def test_an_expert_is_a_plain_training_loop(whole, seeds, momentum):
    together = experts.train(whole, seeds, **EXPERT | {"momentum": momentum})
    assert len(together) == len(seeds)
    for seed, snapshots in zip(seeds, together, strict=True):
        expected = plain_expert(replace(whole, seed=seed), momentum)
        torch.testing.assert_close(snapshots, expected, rtol=1e-4, atol=1e-5)
        assert all(not torch.equal(a, b) for a, b in itertools.pairwise(snapshots))


def plain_expert(whole, momentum):
    """The snapshots of an expert, by torch's SGD."""
    dataset = whole.dataset
    network = networks.build(CONVNET, dataset.shape, 3, whole.seed, "expert network")
    steps = torch.optim.SGD(network.parameters(), lr=0.05, momentum=momentum)
    augment = augmentation.build(DSA, dataset)
    expected = [torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()]
    for epoch in range(3):
        order = torch.randperm(60, generator=whole.generator("expert order", epoch))
        for batch, positions in enumerate(order.split(16)):
            drawn = augment.draw(whole.generator("expert", epoch, batch), len(positions))
            images = augment.apply(dataset.standardize(dataset.train_images[positions]), drawn)
            steps.zero_grad()
            F.cross_entropy(network(images), dataset.train_labels[positions]).backward()
            steps.step()
        expected.append(torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone())
    return torch.stack(expected)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_an_expert_that_was_interrupted_ends_with_the_same_bytes(
    whole, seeds, tmp_path, monkeypatch
):
    monkeypatch.setattr(recorder, "CHECKPOINT_EVERY", 0.0)
    undisturbed = experts.train(whole, seeds, **EXPERT)

    class Stops(Recorder):
        def _save(self, state, number):
            super()._save(state, number)
            if number == 7:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        experts.train(replace(whole, recorder=Stops("", tmp_path / "c", "same")), seeds, **EXPERT)
    again = Recorder("", tmp_path / "c", "same")
    assert torch.equal(experts.train(replace(whole, recorder=again), seeds, **EXPERT), undisturbed)
    assert again.cost()["iterations"] == 3


def test_files_of_other_experts_are_refused(whole, tmp_path):
    snapshots = experts.train(whole, [0, 1], **EXPERT)
    path = tmp_path / "expert"
    experts.write(path, snapshots, whole, options=EXPERT)
    loaded = experts.load([path, path], whole, CONVNET)
    assert torch.equal(torch.stack(loaded.snapshots), torch.cat([snapshots, snapshots]))
    assert loaded.epochs == 3
    other = replace(whole, dataset=replace(small_dataset(classes=2), name="other"))
    with pytest.raises(InputError, match=r"trained on small with classes .*this run is on other"):
        experts.load([path], other, CONVNET)
    white = whitening.fit(whole.dataset.train_images, "zca", (0.4,) * 3, (0.3,) * 3)
    with pytest.raises(InputError, match="with preprocessing"):
        zca = replace(whole, dataset=replace(whole.dataset, whitening=white))
        experts.load([path], zca, CONVNET)
    with pytest.raises(InputError, match=r"the expert is a .*expected .*'width': 9"):
        experts.load([path], whole, CONVNET | {"width": 9})
    storage.write_tensors(path, {}, {"kind": "dataset"})
    with pytest.raises(InputError, match="holds a dataset, not a trajectory"):
        experts.load([path], whole, CONVNET)


@pytest.mark.usefixtures("either_way")
def test_the_loss_falls(ready):
    """Images that have learned bring a student of fixed augmentation nearer to the expert."""
    none = {"augmentation": {"policy": "none"}, "max_start": 1, "lr_step": 0.0}

    def distance(images):
        _, target = ready.trajectories.snapshots[0][:2]
        flat = tm.Flat(networks.build(CONVNET, ready.shape, 3, 0), ready.shape, ready.device)
        theta = start = ready.trajectories.snapshots[0][0]
        for _ in range(4):
            theta = theta - 0.05 * flat.gradient(theta, images, ready.labels)
        return float((theta - target).square().sum() / (start - target).square().sum())

    before = tm.condense(ready, **OPTIONS | none | {"iterations": 0}).images
    after = tm.condense(ready, **OPTIONS | none | {"iterations": 30}).images
    assert distance(after) < 0.9 * distance(before)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("gradient", ["exact", "unroll", "tesla"])
def test_the_step_size_goes_down_its_slope(ready, gradient, monkeypatch):
    slopes = []
    plain = tm.GRADIENTS[gradient]

    def watched(*arguments):
        result = plain(*arguments)
        slopes.append(float(result[2]))
        return result

    monkeypatch.setitem(tm.GRADIENTS, gradient, watched)
    options = OPTIONS | {"gradient": gradient, "iterations": 2, "lr_step": 1e-4}
    first, second = tm.condense(ready, **options).step_size, slopes
    expected = 0.05 - 1e-4 * second[0] - 1e-4 * (0.5 * second[0] + second[1])
    assert first == pytest.approx(expected, rel=1e-4)


def test_students_start_anywhere_in_the_window_of_the_asked_experts(problem, whole, monkeypatch):
    """Three experts are there, as several are trained at once; two of them are asked for."""
    snapshots = experts.train(whole, [0, 1, 2], **EXPERT)
    ready = replace(problem, trajectories=experts.Trajectories([*snapshots], CONVNET))
    plain, pairs = tm.GRADIENTS["exact"], set()

    def watched(network, start, target, *rest):
        pairs.update(
            (number, first)
            for number, expert in enumerate(snapshots)
            for first in range(3)
            if torch.equal(start, expert[first]) and torch.equal(target, expert[first + 1])
        )
        return plain(network, start, target, *rest)

    monkeypatch.setitem(tm.GRADIENTS, "exact", watched)
    tm.condense(ready, **OPTIONS | {"experts": 2, "iterations": 40, "steps": 1, "lr": 0.0})
    assert pairs == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize("together", [1, 2, 8])
def test_experts_are_compiled_however_many_are_trained_at_once(whole, monkeypatch, together):
    calls = []

    def compiled(function, **_):
        return lambda *arguments: calls.append(1) or function(*arguments)

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(compute, "compiling_obstacle", lambda _: None)
    options = EXPERT | {"epochs": 1, "batch_size": 17}
    experts.train(replace(whole, compile=True), list(range(together)), **options)
    assert len(calls) == 3  # of 4 batches; the last, of 9 images, is not compiled


def test_the_memory_of_experts_is_that_of_their_job(dataset, tmp_path, monkeypatch):
    given = []

    def train(problem, seeds, **_):
        given.append(problem.memory_mb)
        return torch.zeros(len(seeds), 2, 1)

    monkeypatch.setattr(experts, "train", train)
    datasets.write(dataset, tmp_path / "dataset")
    experts.make(
        {"dataset": "small", "trajectories": "t", "expert": "0"},
        {"options": {}, "source": "-"},
        {"dataset": str(tmp_path / "dataset")},
        {"expert": str(tmp_path / "expert"), "cost": str(tmp_path / "cost")},
        **{"device": torch.device("cpu"), "compile": False, "precision": "float32"},
        memory_mb=123.0,
    )
    assert given == [123.0]


def test_the_set_depends_on_the_seed_and_not_on_the_global_state(ready):
    before = torch.random.get_rng_state()
    first, second = (tm.condense(ready, **OPTIONS | {"iterations": 2}) for _ in range(2))
    other = tm.condense(replace(ready, seed=1), **OPTIONS | {"iterations": 2})
    assert torch.equal(first.images, second.images) and not torch.equal(first.images, other.images)
    assert torch.equal(torch.random.get_rng_state(), before)
    larger = tm.condense(ready, **OPTIONS | {"iterations": 2, "batch_syn": 100})
    assert torch.equal(first.images, larger.images), "a batch above the set is the set"


@pytest.mark.usefixtures("either_way")
def test_a_step_size_that_falls_to_zero_ends_the_run(ready):
    with pytest.raises(FloatingPointError, match=r"step size fell to -.*smaller lr_step"):
        tm.condense(ready, **OPTIONS | {"iterations": 20, "lr_step": 1e3})


def test_a_step_size_that_recovers_unseen_ends_the_run_too(ready, monkeypatch):
    class AtTheEnd(Recorder):  # as on CUDA, which is not read in each iteration
        def run(self, state, step, iterations, check, **_):
            for number in range(iterations):
                step(number)
            assert float(state["step_size"]) > 0
            check()

    def gradients(network, start, target, images, labels, a, plan, augment):
        slopes = [torch.zeros_like(images), 1.0 - 3.0 * (a < 0)]  # down, and far up again
        return a, *slopes

    monkeypatch.setitem(tm.GRADIENTS, "exact", gradients)
    ready = replace(ready, recorder=AtTheEnd())
    with pytest.raises(FloatingPointError, match=r"step size fell to -0.95"):
        tm.condense(ready, **OPTIONS | {"iterations": 2, "lr_step": 1.0})


def test_more_expert_epochs_than_exist_are_refused(ready):
    with pytest.raises(InputError, match=r"needs epoch 4, .* trained for 3"):
        tm.condense(ready, **OPTIONS | {"max_start": 3, "expert_epochs": 2})
    with pytest.raises(InputError, match="2 experts of 'experts' are needed, 1 are available"):
        tm.condense(ready, **OPTIONS | {"experts": 2})


@pytest.mark.parametrize("memory_mb, expected", [(8000.0, "unroll"), (0.1, "exact")])
def test_auto_is_one_of_the_two_gradients(problem, memory_mb, expected):
    snapshots = experts.train(Problem(problem.dataset, None, 0), [0], **EXPERT)
    ready = Problem(
        *(problem.dataset, 2, 0),
        trajectories=experts.Trajectories([*snapshots], CONVNET),
        memory_mb=memory_mb,
    )
    auto = tm.condense(ready, **OPTIONS | {"gradient": "auto"})
    assert ready.recorder.facts["gradient"] == expected
    for gradient in ("exact", "unroll"):
        images = tm.condense(ready, **OPTIONS | {"gradient": gradient}).images
        torch.testing.assert_close(auto.images, images, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gradient, expected", [("exact", "bf16"), ("unroll", "float32")])
def test_the_record_names_the_precision_that_was_used(ready, gradient, expected):
    sets = {}
    for precision in ("float32", "bf16"):
        problem = replace(ready, precision=precision)
        sets[precision] = tm.condense(problem, **OPTIONS | {"gradient": gradient}).images
    assert problem.recorder.facts["precision"] == expected
    assert torch.equal(*sets.values()) == (expected == "float32")


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("gradient", ["exact", "unroll"])
def test_the_gradient_reaches_the_images_of_a_multi_formation(ready, gradient):
    """A step of condense, against back-propagation through the decoded images."""
    none = {"augmentation": {"policy": "none"}, "max_start": 1, "lr_step": 0.0, "momentum": 0.0}
    options = OPTIONS | none | {"gradient": gradient, "factor": 2}
    start = tm.condense(ready, **options | {"iterations": 0})
    assert start.factor == 2 and start.images.shape == (6, 3, 8, 8)
    leaf = start.images.clone().requires_grad_()
    theta, target = ready.trajectories.snapshots[0][:2]
    flat = tm.Flat(networks.build(CONVNET, ready.shape, 3, 0), ready.shape, ready.device)
    student, labels = theta.clone().requires_grad_(), ready.labels.repeat_interleave(4)
    for _ in range(4):
        loss = F.cross_entropy(flat.forward(student, formation.decode(leaf, 2)), labels)
        student = student - 0.05 * torch.autograd.grad(loss, student, create_graph=True)[0]
    distance = (student - target).square().sum() / (theta - target).square().sum()
    (slope,) = torch.autograd.grad(distance, leaf)
    moved = tm.condense(ready, **options | {"iterations": 1}).images - start.images
    torch.testing.assert_close(moved, -options["lr"] * slope, rtol=1e-3, atol=1e-6)
