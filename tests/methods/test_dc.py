"""DC and DSA against the loop of their papers, written with autograd's graph of a graph."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import small_dataset
from launches import as_on_a_gpu

from condensation import augmentation, networks
from condensation.config.entries import DSA_OPERATORS
from condensation.data import formation
from condensation.methods import dc
from condensation.methods.contract import Problem
from condensation.methods.derivatives import Flat
from condensation.methods.start import initial_images

DSA = {"policy": "dsa", "operators": list(DSA_OPERATORS), "align_corners": False}
CONVNET = {"network": "convnet", "width": 5, "depth": 1}
OPTIONS = {
    **{"init": "noise", "features": "embedding", "iterations": 2, "outer": 3, "inner": 2},
    **{"lr": 0.1, "momentum": 0.5, "batch_real": 8, "lr_network": 0.05, "batch_network": 4},
    **{"distance": "rows", "update": "joint", "augmentation": DSA, "architecture": CONVNET},
}


def distance(gradients, targets):
    """The row-cosine distance, a row at a time."""
    total = 0
    for ours, theirs in zip(gradients, targets, strict=True):
        if ours.dim() == 1:
            continue
        for a, b in zip(ours.flatten(1), theirs.flatten(1), strict=True):
            total = total + 1 - (a @ b) / (a.norm() * b.norm() + 1e-6)
    return total


def plain(problem, o):
    """DC in the order of its paper's code, with the draws of ours."""
    dataset = problem.dataset
    factor = o.get("factor", 1)
    images = initial_images(problem, o["init"], factor=factor).clone().requires_grad_()
    labels = problem.labels.repeat_interleave(factor**2)
    steps = torch.optim.SGD([images], lr=o["lr"], momentum=o["momentum"])
    augment = augmentation.build(o["augmentation"], dataset)
    by_class = dataset.indices_by_class()
    for iteration in range(o["iterations"]):
        network = networks.build(CONVNET, dataset.shape, 3, problem.seed, "dc network", iteration)
        weights = list(network.parameters())
        trainer = torch.optim.SGD(weights, lr=o["lr_network"])
        for turn in range(o["outer"]):
            steps.zero_grad()
            for label in range(3):
                stream = problem.generator("dc", iteration, turn, label)
                chosen = by_class[label][torch.randperm(20, generator=stream)[: o["batch_real"]]]
                drawn = augment.draw(stream, 1)
                real = augment.apply(problem.real(chosen), drawn)
                ours = formation.decode(images[problem.labels == label], factor)
                ours = augment.apply(ours, drawn)
                target = torch.full((max(len(real), len(ours)),), label)
                value = F.cross_entropy(network(real), target[: len(real)])
                real_gradients = torch.autograd.grad(value, weights)
                value = F.cross_entropy(network(ours), target[: len(ours)])
                synthetic_gradients = torch.autograd.grad(value, weights, create_graph=True)
                distance(synthetic_gradients, real_gradients).backward(inputs=[images])
                if o["update"] == "class_wise":
                    steps.step()
                    images.grad.zero_()
            if o["update"] == "joint":
                steps.step()
            if turn + 1 < o["outer"]:
                stream = problem.generator("dc training", iteration, turn)
                for _ in range(o["inner"]):
                    order = torch.randperm(len(labels), generator=stream)
                    for positions in order.split(o["batch_network"]):
                        drawn = augment.draw(stream, len(positions))
                        formed = formation.decode(images.detach(), factor)
                        shown = augment.apply(formed[positions], drawn)
                        trainer.zero_grad()
                        F.cross_entropy(network(shown), labels[positions]).backward()
                        trainer.step()
    return images.detach()


@pytest.mark.parametrize("policy", [{"policy": "none"}, DSA], ids=["dc", "dsa"])
@pytest.mark.parametrize(("update", "factor"), [("joint", 1), ("class_wise", 1), ("joint", 2)])
def test_dc_and_dsa_are_the_loop_of_their_papers(problem, policy, update, factor, either_way):
    options = OPTIONS | {"augmentation": policy, "update": update}
    options |= {"factor": factor, "init": "noise" if factor == 1 else "random"}
    actual, expected = dc.condense(problem, **options).images, plain(problem, options)
    if either_way and factor == 1:
        matches = 2 * 3 * (3 if update == "class_wise" else 1)
        trainings = 2 * 2 * 2 * 2  # with batches of 4 and of 2 images
        assert either_way.replayed == (matches - 1) + (trainings - 2)
    start = initial_images(problem, options["init"], factor=factor)
    assert (expected - start).norm() > 0.05, "nothing moved"
    # float noise, grown through networks that were trained on the set
    assert (actual - expected).norm() < 5e-3 * (expected - start).norm()


@pytest.mark.parametrize(("batch_real", "held"), [(8, 8), (1, 4)])  # the rates hold 2 images twice
def test_half_of_a_gpus_memory_holds_the_classes_of_a_pass(problem, monkeypatch, batch_real, held):
    outputs = 3 * 5 * 8 * 8 + 5 * 4 * 4 + 3  # of the convolution, norm and ReLU; pooling; logits
    together = []
    rates = Flat.rates_of_each

    def watched(network, vector, directions, *shown):
        together.append(len(directions))
        return rates(network, vector, directions, *shown)

    monkeypatch.setattr(Flat, "rates_of_each", watched)
    two_classes = 2 * 2 * held * 8 * outputs / 1e6
    with as_on_a_gpu(monkeypatch):
        problem = replace(problem, memory_mb=1.4 * two_classes)
        dc.condense(problem, **OPTIONS | {"batch_real": batch_real, "iterations": 1, "outer": 1})
    assert together == [2, 1]


def test_the_two_updates_differ_by_the_momentum(problem):
    joint, class_wise = (
        dc.condense(problem, **OPTIONS | {"update": update}).images
        for update in ("joint", "class_wise")
    )
    assert not torch.allclose(joint, class_wise, atol=1e-4)


def test_distances_follow_their_definitions():
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 2, 3, 3), (4,), (3, 5), (3,)]
    gradients, targets = ([torch.randn(s, generator=generator) for s in shapes] for _ in range(2))
    assert float(dc._rows(gradients, targets)) == pytest.approx(float(distance(gradients, targets)))
    moved = [x if x.dim() > 1 else x + 1 for x in gradients]
    assert float(dc._rows(moved, targets)) == float(dc._rows(gradients, targets)), "biases count"
    assert float(dc._rows(gradients, gradients)) == pytest.approx(0, abs=1e-4)
    a, b = (np.concatenate([x.numpy().ravel() for x in parts]) for parts in (gradients, targets))
    assert float(dc._mse(gradients, targets)) == pytest.approx(((a - b) ** 2).sum(), rel=1e-5)
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert float(dc._cosine(gradients, targets)) == pytest.approx(1 - cosine, rel=1e-5)


@pytest.mark.parametrize("name", ["mse", "cosine"])
def test_other_distances_run(problem, name):
    images = dc.condense(problem, **OPTIONS | {"distance": name}).images
    assert torch.isfinite(images).all()


def test_at_one_step_the_network_is_never_trained(problem, monkeypatch):
    seen = []
    monkeypatch.setattr(dc.Flat, "_chunks", lambda *_: seen.append(1) or [(slice(None), 1.0)])
    dc.condense(problem, **OPTIONS | {"iterations": 1, "outer": 1})
    assert len(seen) == 3 * 3  # per class: real, synthetic, and the rate of the images


def test_a_class_smaller_than_the_batch_gives_all_it_has():
    problem = Problem(small_dataset(per_class=5), ipc=2, seed=0)
    images = dc.condense(problem, **OPTIONS | {"batch_real": 256}).images
    assert torch.isfinite(images).all()
