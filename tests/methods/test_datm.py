"""DATM against a loop with torch's optimizers; its window, its start, its labels, its guards."""

import logging
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from condensation import augmentation, networks
from condensation.config.entries import DSA_OPERATORS
from condensation.core.errors import InputError
from condensation.methods import contract, datm, experts, recorder
from condensation.methods.contract import Problem
from condensation.methods.recorder import Recorder

DSA = {"policy": "dsa", "operators": list(DSA_OPERATORS), "align_corners": False}
NONE = {"policy": "none"}
CONVNET = {"network": "convnet", "width": 8, "depth": 1}
EXPERT = {
    **{"architecture": CONVNET, "epochs": 4, "lr": 0.05, "momentum": 0.0},
    **{"batch_size": 16, "augmentation": DSA},
}
OPTIONS = {
    **{"init": "correct", "features": "embedding", "iterations": 6, "trajectories": "experts"},
    **{"experts": 2, "steps": 4, "expert_epochs": 1, "min_start": 0, "first_max_start": 1},
    **{"max_start": 3, "growth": 4, "label_epoch": 4, "batch_syn": 4, "lr": 5.0, "lr_step": 1e-3},
    **{"lr_labels": 2.0, "momentum_labels": 0.9, "step_size": 0.05, "momentum": 0.5},
    **{"threshold": 1.0, "gradient": "exact", "chunk": None, "augmentation": NONE},
    **{"architecture": CONVNET},
}


@pytest.fixture
def ready(problem):
    snapshots = experts.train(Problem(problem.dataset, ipc=None, seed=0), [0, 1], **EXPERT)
    return replace(problem, trajectories=experts.Trajectories([*snapshots], CONVNET))


def logits_of(problem, vector, images):
    network = networks.build(CONVNET, problem.shape, problem.classes, 0)
    torch.nn.utils.vector_to_parameters(vector, network.parameters())
    with torch.no_grad():
        return network(images)


def plain(problem, o):
    """Return images, labels, step size and skipped iterations, as in the authors' loop."""
    start = datm.condense(problem, **o | {"iterations": 0})
    images = start.images.clone().requires_grad_()
    network = networks.build(CONVNET, problem.shape, problem.classes, 0)
    names = [name for name, _ in network.named_parameters()]
    snapshots = [expert.clone() for expert in problem.trajectories.snapshots]
    rows = [logits_of(problem, expert[o["label_epoch"]], start.images) for expert in snapshots]
    logits = []
    for image, label in enumerate(problem.labels):
        right = [row[image] for row in rows if int(row[image].argmax()) == label]
        logits.append(torch.stack(right or [row[image] for row in rows]).mean(0))
    logits = torch.stack(logits).requires_grad_()
    a = torch.tensor(o["step_size"], requires_grad=True)
    optimizers = [
        torch.optim.SGD([images], lr=o["lr"], momentum=o["momentum"]),
        torch.optim.SGD([logits], lr=o["lr_labels"], momentum=o["momentum_labels"]),
        torch.optim.SGD([a], lr=o["lr_step"], momentum=o["momentum"]),
    ]
    augment = augmentation.build(o["augmentation"], problem.dataset)
    skipped = 0
    for iteration in range(o["iterations"]):
        stream = problem.generator("tm", iteration)
        expert = snapshots[int(torch.randint(o["experts"], (1,), generator=stream))]
        end = o["max_start"]
        if o["growth"]:
            grown = int((end - o["first_max_start"]) * iteration / o["growth"])
            end = min(o["first_max_start"] + grown, end)
        first = int(torch.randint(o["min_start"], end, (1,), generator=stream))
        theta = expert[first].clone().requires_grad_()
        target, waiting = expert[first + o["expert_epochs"]], []
        for _ in range(o["steps"]):
            if not waiting:
                order = torch.randperm(len(images), generator=stream)
                waiting = list(order.split(o["batch_syn"] or len(images)))
            chosen = waiting.pop(0)
            shown = augment.apply(images[chosen], augment.draw(stream, len(chosen)))
            views, at = {}, 0
            for name, parameter in zip(names, network.parameters(), strict=True):
                views[name] = theta[at : at + parameter.numel()].view(parameter.shape)
                at += parameter.numel()
            outputs = torch.func.functional_call(network, views, (shown,))
            shares = F.softmax(logits[chosen], dim=1)
            loss = -(shares * F.log_softmax(outputs, dim=1)).sum() / len(chosen)
            theta = theta - a * torch.autograd.grad(loss, theta, create_graph=True)[0]
        distance = (theta - target).square().sum() / (expert[first] - target).square().sum()
        for optimizer in optimizers:
            optimizer.zero_grad()
        distance.backward()
        if distance > o["threshold"]:
            skipped += 1
            continue
        for optimizer in optimizers:
            optimizer.step()
    return images.detach(), F.softmax(logits, dim=1).detach(), float(a.detach()), skipped


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient": "unroll"},
        {"augmentation": DSA, "batch_syn": None, "init": "random"},
        {"threshold": 0.6, "iterations": 12, "lr": 0.5},
        {"min_start": 1, "first_max_start": 2, "growth": 0, "iterations": 8},
    ],
)
def test_it_is_the_loop_of_the_authors(ready, changes):
    options = OPTIONS | changes
    images, labels, a, skipped = plain(ready, options)
    start = datm.condense(ready, **options | {"iterations": 0})
    actual = datm.condense(ready, **options)
    assert (skipped > 0) == ("threshold" in changes) and skipped < options["iterations"]
    moved = (images - start.images).norm(), (labels - start.labels).norm()
    assert moved[0] > 1e-2 and moved[1] > 1e-3, "nothing moved"
    assert (actual.images - images).norm() < 1e-3 * moved[0]
    assert (actual.labels - labels).norm() < 1e-3 * moved[1]
    assert actual.step_size == pytest.approx(a, rel=1e-4)
    torch.testing.assert_close(actual.labels.sum(1), torch.ones(len(labels)))


def test_the_window_grows_as_in_the_authors_code():
    for first, last, growth in ((10, 20, 1000), (20, 40, 2000), (3, 4, 7)):
        for iteration in (*range(12), 500, 999, 1000, 1999, 2000, 9999):
            expected = min(first + int((last - first) * iteration / growth), last)
            assert datm._end(iteration, first, last, growth) == expected
    assert datm._end(0, 2, 4, 0) == 4


def test_images_start_where_an_expert_is_right(ready):
    start = datm.condense(ready, **OPTIONS | {"iterations": 0, "experts": 1})
    logits = logits_of(ready, ready.trajectories.snapshots[0][4], start.images)
    assert logits.argmax(1).tolist() == ready.labels.tolist()
    torch.testing.assert_close(start.labels, logits.softmax(1), rtol=1e-4, atol=1e-6)
    other = datm.condense(replace(ready, seed=1), **OPTIONS | {"iterations": 0, "experts": 1})
    assert not torch.equal(start.images, other.images)


def test_classes_that_no_expert_knows_start_from_any_of_their_images(ready, caplog):
    caplog.set_level(logging.WARNING, logger="condensation")
    first = ready.trajectories.snapshots[0].clone()
    first[:, -3:] = torch.tensor([1e3, -1e3, -1e3])  # the biases: always the first class
    blind = replace(ready, trajectories=experts.Trajectories([first], CONVNET))
    start = datm.condense(blind, **OPTIONS | {"iterations": 0, "experts": 1})
    assert [r.args[2] for r in caplog.records] == list(ready.dataset.classes[1:])
    assert all(r.args[1] == 0 for r in caplog.records)
    real = ready.real(torch.arange(len(ready.dataset.train_labels)))
    for image, label in zip(start.images, ready.labels, strict=True):
        (position,) = (real == image).flatten(1).all(1).nonzero()
        assert ready.dataset.train_labels[position] == label
    assert torch.isfinite(start.labels).all()


def test_a_threshold_of_almost_nothing_changes_nothing(ready, caplog):
    caplog.set_level(logging.INFO, logger="condensation")
    options = OPTIONS | {"threshold": 1e-9}
    start = datm.condense(ready, **options | {"iterations": 0})
    end = datm.condense(ready, **options)
    assert torch.equal(start.images, end.images) and torch.equal(start.labels, end.labels)
    assert "6 of 6 iterations changed nothing" in caplog.text
    assert caplog.records[-1].levelno == logging.WARNING
    assert ready.recorder.facts["skipped_iterations"] == 6


def test_an_interrupted_run_ends_with_the_same_bytes(ready, tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "CHECKPOINT_EVERY", 0.0)
    options = OPTIONS | {"threshold": 0.9}
    undisturbed = datm.condense(ready, **options)

    class Stops(Recorder):
        def _save(self, state, number):
            super()._save(state, number)
            if number == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        datm.condense(replace(ready, recorder=Stops("", tmp_path / "c", "same")), **options)
    again = datm.condense(replace(ready, recorder=Recorder("", tmp_path / "c", "same")), **options)
    assert torch.equal(again.images, undisturbed.images)
    assert torch.equal(again.labels, undisturbed.labels)
    assert again.step_size == undisturbed.step_size


def test_a_set_that_diverges_is_not_skipped_silently(ready):
    with pytest.raises(FloatingPointError):
        datm.condense(ready, **OPTIONS | {"lr": 1e30, "threshold": 1e30})


def test_too_few_epochs_and_images_are_refused(ready):
    with pytest.raises(InputError, match=r"needs epoch 5, .* trained for 4"):
        datm.condense(ready, **OPTIONS | {"max_start": 5})
    with pytest.raises(InputError, match=r"label_epoch 5, .* trained for 4"):
        datm.condense(ready, **OPTIONS | {"label_epoch": 5})
    with pytest.raises(InputError, match="1000 images of class"):
        datm.condense(replace(ready, ipc=1000), **OPTIONS)


def test_the_pipeline_keeps_the_learned_labels(ready):
    condensed = datm.condense(ready, **OPTIONS)
    kept = contract.finish(condensed, ready, "datm", "soft")
    assert kept.labels.shape == (6, 3) and torch.equal(kept.labels, condensed.labels)
