"""The plain loops of the benchmarks compute what ours do, and both sides run in turns."""

import shutil
import sys

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, small_dataset

sys.path.insert(0, str(ROOT / "benchmarks"))

import allocator
import beside
import methods
import plain
import revisions

from condensation import networks
from condensation.data import datasets
from condensation.methods import dc, dm
from condensation.methods.contract import Problem

CPU = torch.device("cpu")
NONE = {"policy": "none"}


@pytest.fixture
def alike(monkeypatch):
    """Both sides draw the same networks, and take all images of a class."""
    drawn = networks.build

    def build(architecture, shape, classes, seed, *purpose):
        return drawn(architecture, shape, classes, seed, "alike", purpose[-1])

    monkeypatch.setattr(networks, "build", build)


def plain_images(iteration, turns):
    """The images of a plain loop after some turns: those that its closure holds."""
    loop = next(
        cell.cell_contents
        for cell in iteration.__closure__
        if isinstance(cell.cell_contents, plain.Loop)
    )
    loop.images.data.copy_(start())
    for number in range(turns):
        iteration(number)
    return loop.images.detach()


def start():
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(5))


def ours_from_start(function, module, monkeypatch, **options):
    monkeypatch.setattr(module, "initial_images", lambda *_: start())
    problem = Problem(small_dataset(), 2, 0)
    return function(problem, init="random", features="pixels", **options).images


def test_the_plain_loop_of_dm_makes_the_images_that_ours_makes(alike, monkeypatch):
    ours = ours_from_start(
        *(dm.condense, dm, monkeypatch),
        **{"iterations": 3, "lr": 1.0, "momentum": 0.5, "batch_real": 256},
        **{"augmentation": NONE, "architecture": beside.CONVNET},
    )
    theirs = plain_images(plain.dm(small_dataset(), 2, NONE, CPU), 3)
    assert (ours - start()).abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_the_plain_loop_of_dc_makes_the_images_that_ours_makes(alike, monkeypatch):
    """One batch holds the whole set, so the shuffled order does not matter."""
    ours = ours_from_start(
        *(dc.condense, dc, monkeypatch),
        **{"iterations": 2, "outer": 2, "inner": 1, "lr": 0.1, "momentum": 0.5, "batch_real": 256},
        **{"lr_network": 0.01, "batch_network": 256, "distance": "rows", "update": "joint"},
        **{"augmentation": NONE, "architecture": beside.CONVNET},
    )
    theirs = plain_images(plain.matching(small_dataset(), 2, NONE, CPU, outer=2, inner=1), 4)
    assert (ours - start()).abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_training_as_the_field_does_is_sgd_over_each_image_once():
    """One batch an epoch: the step that autograd and the rule of SGD give."""
    dataset = small_dataset()
    images, labels = dataset.standardize(dataset.train_images), dataset.train_labels
    network = plain.network_of(dataset, CPU)
    by_hand = plain.network_of(dataset, CPU)
    weights = list(by_hand.parameters())
    for _ in range(2):
        gradients = torch.autograd.grad(F.cross_entropy(by_hand(images), labels), weights)
        with torch.no_grad():
            for parameter, gradient in zip(weights, gradients, strict=True):
                parameter -= 0.01 * gradient
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    identity = plain.augmentation.build(NONE, dataset)
    plain.train(network, optimizer, images, labels, identity, torch.Generator(), 2)
    for parameter, expected in zip(network.parameters(), weights, strict=True):
        torch.testing.assert_close(parameter, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["dm", "dc", "dsa", "tm", "kip", "expert"])
def test_ours_and_the_plain_loop_take_turns(method):
    dataset = small_dataset(classes=10)
    changes = {
        "dc": {"outer": 2, "inner": 1},
        "dsa": {"outer": 2, "inner": 1},
        "tm": {"steps": 2, "expert_epochs": 1, "max_start": 1},
        "kip": {"batch_real": 50},
        "expert": {"batches": 1, "epochs": 5},
    }.get(method, {})
    both = methods.pair(method, dataset, 1, CPU, changes, outer_at_once=True)
    done = methods.side_by_side(both, 1, CPU, False, "float32", turns=3)
    assert len(done.ours) == len(done.theirs) == 3
    assert min(done.ours + done.theirs) > 0


def test_the_turns_of_a_plain_loop_that_does_not_fit_are_ours_alone():
    def greedy():
        def iteration(_):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

        return iteration

    turns = beside.Turns(greedy, 2, CPU)
    steps = []
    turns.run({"images": torch.zeros(1)}, steps.append, 1)
    assert not turns.plain_fits
    assert not turns.theirs
    assert len(turns.ours) == 2
    assert beside.ratio(turns.theirs, turns.ours) == "-"


def test_steps_with_and_without_kept_memory_take_turns():
    recorder, numbers = allocator.Steps(turns=3), []
    recorder.run({}, numbers.append, 1)
    assert numbers == list(range(1 + 2 * 3 * allocator.STEPS_PER_TURN))
    assert len(recorder.kept) == len(recorder.usual) == 3


@pytest.fixture
def other_revision(tmp_path):
    """A copy of this repository's code, and a dataset beside it."""
    for folder in ("benchmarks", "workflow_scripts"):
        shutil.copytree(ROOT / folder, tmp_path / "before" / folder)
    datasets.write(small_dataset(), tmp_path / "dataset.safetensors")
    return tmp_path / "before", tmp_path / "dataset.safetensors"


@pytest.mark.slow
def test_two_revisions_take_turns(other_revision):
    seconds = revisions.compare(*other_revision, "evaluation", 1, 2)
    assert [len(of_one) for of_one in seconds] == [2, 2]
    assert all(value > 0 for of_one in seconds for value in of_one)


@pytest.mark.slow
def test_each_revision_runs_its_own_code(other_revision):
    folder, dataset = other_revision
    with (folder / "benchmarks/evaluation.py").open("a") as script:
        script.write("\ndef fit(*_):\n    raise SystemExit(1)\n")
    with pytest.raises(SystemExit, match=f"{folder} stopped"):
        revisions.compare(folder, dataset, "evaluation", 1, 2)
