"""One contract for every method, and each algorithm against something independent."""

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from conftest import ROOT, small_dataset
from threadpoolctl import threadpool_limits

from condensation import augmentation, networks
from condensation.config.entries import DSA_OPERATORS
from condensation.config.loading import parse
from condensation.config.methods import METHODS
from condensation.config.methods.base import Synthesis
from condensation.core.errors import InputError
from condensation.data import formation
from condensation.data.sets import Condensed
from condensation.methods import contract, datm, dm, experts, frepo, kcenter, kip, tm
from condensation.methods.contract import Problem
from condensation.methods.recorder import Recorder
from condensation.methods.start import initial_images
from condensation.workflow.grid import SetId
from condensation.workflow.jobs import condense as job_of
from condensation.workflow.jobs import features_of

SMALL = {"network": "convnet", "width": 8, "depth": 1}


def example_of_the_documentation(folder: Path) -> str:
    text = (ROOT / "docs/adding-a-method.md").read_text()
    (folder / "herding.py").write_text(text.split("```python\n")[1].split("```")[0])
    return str(folder / "herding.py") + ":herding"


def configured(folder: Path):
    methods = {
        "random": {"algorithm": "random"},
        "kcenter": {"algorithm": "kcenter"},
        "kcenter_pixels": {"algorithm": "kcenter", "features": "pixels"},
        "dm": {"algorithm": "dm", "iterations": 3, "batch_real": 8, "architecture": "small"},
        "dm_noise": {"algorithm": "dm", "iterations": 2, "init": "noise", "architecture": "small"},
        "dm_kcenter": {
            **{"algorithm": "dm", "iterations": 2, "init": "kcenter", "architecture": "small"}
        },
        "documented": {"algorithm": example_of_the_documentation(folder)},
        "herding": {"algorithm": "herding"},
        "greedy_kcenter": {"algorithm": "greedy_kcenter"},
        "el2n": {"algorithm": "el2n"},
        "forgetting": {"algorithm": "forgetting"},
    }
    return parse(
        {
            "datasets": {"small": {"source": "digits"}},
            "methods": methods,
            "architectures": {"small": {"network": "convnet", "width": 8, "depth": 1}},
            "experiments": {"e": {"datasets": ["small"], "methods": [*methods], "ipc": [2]}},
        }
    )


def run(name: str, problem: Problem, folder: Path) -> Condensed:
    job = job_of(configured(folder), SetId("small", name, str(problem.ipc), problem.seed))
    return contract.finish(
        contract.resolve(job["function"])(problem, **job["options"]), problem, name
    )


EVERY = ["random", "kcenter", "kcenter_pixels", "dm", "dm_noise", "dm_kcenter", "documented"]
EVERY += ["herding", "greedy_kcenter", "el2n", "forgetting"]
# these have but one answer, if no scores are equal
WITHOUT_CHANCE = {"kcenter_pixels", "documented", "herding", "greedy_kcenter", "el2n"}


@pytest.fixture
def problem(dataset):
    stream = torch.Generator().manual_seed(1)
    features = torch.randn(60, 5, generator=stream)
    forgetting = torch.randint(3, (60,), generator=stream).float()
    scores = {"el2n": torch.rand(60, generator=stream), "forgetting": forgetting}
    return Problem(dataset, ipc=2, seed=0, features=features, scores=scores)


@pytest.mark.parametrize("name", EVERY)
def test_every_method_keeps_the_contract(name, problem, tmp_path):
    before = torch.random.get_rng_state()
    first = run(name, problem, tmp_path)
    assert first.images.shape == (6, 3, 8, 8) and first.images.dtype == torch.float32
    assert first.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert not first.images.requires_grad
    assert torch.equal(torch.random.get_rng_state(), before), "draws from the global state"
    torch.manual_seed(99)
    again = run(name, problem, tmp_path)
    assert torch.equal(first.images, again.images), "the same seed must give the same set"
    if name not in WITHOUT_CHANCE:
        other = run(name, replace(problem, seed=1), tmp_path)
        assert not torch.equal(first.images, other.images), "another seed, another set"
    if first.indices is not None:
        assert len(set(first.indices.tolist())) == 6
        pixels = problem.dataset.train_images[first.indices]
        assert torch.equal(first.images, problem.dataset.standardize(pixels))
        assert torch.equal(first.labels, problem.dataset.train_labels[first.indices])


@pytest.mark.parametrize("algorithm", METHODS)
def test_options_of_the_config_are_the_arguments_of_the_function(algorithm):
    arguments = named_arguments(contract.resolve(f"condensation.methods.{algorithm}"))
    entry = METHODS[algorithm]
    expected = set(entry.model_fields) - entry.pipeline_options - {"algorithm"}
    if algorithm in ("tm", "datm"):
        arguments |= named_arguments(tm.match) - {"factor", "threshold"}
        expected.add("architecture")  # that of the experts
    assert arguments == expected


def named_arguments(function):
    parameters = inspect.signature(function).parameters.items()
    return {
        name for name, parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def test_each_method_has_an_entry_and_each_entry_an_algorithm():
    package = ROOT / "workflow_scripts/condensation"
    helpers = {"__init__", "base", "plugin"}
    entries = {path.stem for path in package.glob("config/methods/*.py")} - helpers
    assert entries == set(METHODS)
    for name, entry in METHODS.items():
        assert entry.model_fields["algorithm"].annotation == Literal[name]
        assert entry.__module__ == f"condensation.config.methods.{name}"
        assert callable(contract.resolve(f"condensation.methods.{name}"))
        if issubclass(entry, Synthesis):  # all come from a paper
            assert "arXiv:" in entry.citation and (entry.paper_name or name in ("frepo", "datm"))


def test_features_are_needed_only_where_they_are_read(tmp_path):
    config = configured(tmp_path)
    needed = {name for name in EVERY if features_of(config, name)}
    reading = {"kcenter", "dm_kcenter", "herding", "greedy_kcenter", "el2n", "forgetting"}
    assert needed == reading


def test_dm_learning_rate_follows_the_authors_table():
    def lr(source, ipc):
        config = parse(
            {
                "datasets": {"d": {"source": source}},
                "methods": {"dm": {"algorithm": "dm"}},
                "experiments": {"e": {"datasets": ["d"], "methods": ["dm"], "ipc": [1]}},
            }
        )
        return job_of(config, SetId("d", "dm", ipc, 0))["options"]["lr"]

    assert [lr("cifar10", i) for i in ("1", "50", "100", "1000")] == [1, 1, 10, 10]
    assert [lr("cifar100", i) for i in ("1", "100")] == [1, 1]


# --- random ---------------------------------------------------------------------------------------


def test_random_draws_every_image_equally_often():
    dataset = small_dataset(classes=2, per_class=5, shape=(1, 4, 4))
    counts = torch.zeros(10)
    for seed in range(2000):
        problem = Problem(dataset, ipc=2, seed=seed)
        counts[problem.draw_real(2, problem.generator("random")).flatten()] += 1
    # 2000 draws of 2 out of 5: mean 800, standard deviation 22
    assert ((counts - 800).abs() < 100).all()


def test_an_ipc_above_the_smallest_class_says_which_class_and_how_many(dataset, tmp_path):
    for name in ("random", "kcenter", "dm"):
        features = torch.randn(60, 5)
        with pytest.raises(InputError, match=r"21 images of class 'class 0'.* it has 20"):
            run(name, Problem(dataset, ipc=21, seed=0, features=features), tmp_path)


def test_a_problem_without_ipc_says_so(dataset):
    whole = Problem(dataset, ipc=None, seed=0)
    with pytest.raises(ValueError, match="no IPC"):
        _ = whole.labels
    assert replace(whole, ipc=3).images_per_class == 3


# --- K-Center -------------------------------------------------------------------------------------


def test_kcenter_names_the_features_that_it_lacks(dataset):
    with pytest.raises(InputError, match="the features 'embedding' are needed"):
        kcenter.select(Problem(dataset, ipc=1, seed=0), "embedding")


def test_kcenter_with_one_image_is_the_one_nearest_to_the_class_mean(problem):
    points = problem.features.numpy()
    chosen = kcenter.select(replace(problem, ipc=1), "embedding").flatten()
    for label, indices in enumerate(problem.dataset.indices_by_class()):
        members = points[indices]
        distances = [np.linalg.norm(point - members.mean(0)) for point in members]
        assert int(chosen[label]) == int(indices[int(np.argmin(distances))])


def test_kcenter_finds_well_separated_clusters():
    dataset = small_dataset(classes=2, per_class=30)
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(60) // 2 % 3  # three far groups within each class
    features = 0.01 * torch.randn(60, 4, generator=generator) + 100.0 * group.view(-1, 1)
    problem = Problem(dataset, ipc=3, seed=0, features=features)
    chosen = kcenter.select(problem, "embedding", start="k-means++")
    for row in chosen:
        assert sorted(group[row].tolist()) == [0, 1, 2]


def test_two_centres_never_take_the_same_image():
    points = np.array([[0.0], [1.0], [5.0], [9.0]])
    centres = np.array([[0.1], [0.2], [0.3], [8.0]])
    assert kcenter.nearest_unused(points, centres).tolist() == [0, 1, 2, 3]
    assert kcenter.nearest_unused(np.zeros((4, 2)), np.zeros((4, 2))).tolist() == [0, 1, 2, 3]


def test_kcenter_does_not_depend_on_the_number_of_threads(monkeypatch):
    dataset = small_dataset(classes=2, per_class=1000)
    features = torch.randn(2000, 64, generator=torch.Generator().manual_seed(0))
    problem = Problem(dataset, ipc=10, seed=0, features=features)
    centres = []
    nearest = kcenter.nearest_unused
    monkeypatch.setattr(
        kcenter, "nearest_unused", lambda points, of: (centres.append(of), nearest(points, of))[1]
    )
    for threads in (1, 2):
        with threadpool_limits(threads):
            kcenter.select(problem, "embedding")
    for one, two in zip(centres[:2], centres[2:], strict=True):
        assert np.array_equal(one, two)


def test_restarts_find_what_one_random_start_misses():
    dataset = small_dataset(classes=2, per_class=30)
    group = torch.arange(60) // 2 % 3  # two near groups and one far away
    place = torch.tensor([0.0, 1.0, 50.0])[group]
    features = place.view(-1, 1) + 0.01 * torch.randn(60, 4, generator=torch.Generator())

    def solved(seed, restarts):
        problem = Problem(dataset, ipc=3, seed=seed, features=features)
        chosen = kcenter.select(problem, "embedding", restarts=restarts)
        return sum(sorted(group[row].tolist()) == [0, 1, 2] for row in chosen)

    assert sum(solved(seed, 1) for seed in range(10)) < 20
    assert sum(solved(seed, 20) for seed in range(10)) == 20


# --- starts ---------------------------------------------------------------------------------------


def test_initial_images_follow_the_start_option(problem, tmp_path):
    random = run("random", problem, tmp_path)
    assert torch.equal(initial_images(problem, "random"), random.images)
    chosen = kcenter.select(problem, "embedding").flatten()
    assert torch.equal(initial_images(problem, "kcenter"), problem.real(chosen))
    noise = initial_images(replace(problem, ipc=20), "noise")
    assert noise.mean().abs() < 0.05 and (noise.std() - 1).abs() < 0.05


# --- DM -------------------------------------------------------------------------------------------


CONVNET = {"network": "convnet", "width": 8, "depth": 1}
BATCH_NORM = {"network": "nasbench201", "cells": 1, "channels": 4, "affine": True}
BATCH_NORM["cell"] = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"


def dm_by_the_book(problem, iterations, lr, momentum, batch_real, entry, network_entry, factor):
    """DM as its paper writes it: one loss, torch's own optimizer; batch norm sees all classes."""
    images = initial_images(problem, "random", factor=factor).requires_grad_()
    optimizer = torch.optim.SGD([images], lr=lr, momentum=momentum)
    augment = augmentation.build(entry, problem.dataset)
    by_class = problem.dataset.indices_by_class()
    for iteration in range(iterations):
        network = networks.build(
            *(network_entry, problem.shape, problem.classes),
            *(problem.seed, "dm network", iteration),
        )
        shown = []
        for label, indices in enumerate(by_class):
            stream = problem.generator("dm", iteration, label)
            batch = indices[torch.randperm(len(indices), generator=stream)[:batch_real]]
            drawn = augment.draw(stream, 1)
            synthetic = images[label * problem.ipc : (label + 1) * problem.ipc]
            synthetic = formation.decode(synthetic, factor)
            pair = problem.real(batch), synthetic
            shown.append([augment.apply(part, drawn) for part in pair])
        real, synthetic = (
            network.embed(torch.cat(parts)).unflatten(0, (len(by_class), -1)).mean(1)
            for parts in zip(*shown, strict=True)
        )
        loss = (real.detach() - synthetic).pow(2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return images.detach()


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(
    ("most_real", "factor", "network"),
    [
        *((8, 1, CONVNET), (1024, 1, CONVNET), (8, 2, CONVNET), (1024, 2, CONVNET)),
        *((8, 1, BATCH_NORM), (1024, 1, BATCH_NORM)),
    ],
)
def test_dm_is_the_loop_of_its_paper_whatever_the_chunk(
    problem, monkeypatch, most_real, factor, network
):
    monkeypatch.setattr(dm, "_MOST_REAL", most_real)
    entry = {"policy": "dsa", "operators": list(DSA_OPERATORS), "align_corners": False}
    got = dm.condense(
        problem,
        **{"init": "random", "features": "embedding", "iterations": 4, "lr": 0.5},
        **{"momentum": 0.5, "batch_real": 8, "augmentation": entry, "architecture": network},
        factor=factor,
    ).images
    expected = dm_by_the_book(problem, 4, 0.5, 0.5, 8, entry, network, factor)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert (got - initial_images(problem, "random", factor=factor)).abs().max() > 0.01


VIT = {"network": "vit", "patch": 4, "width": 16, "depth": 1, "heads": 2, "dropout": 0.5}


def test_dm_with_dropout_depends_on_the_seed_alone(problem, monkeypatch):
    options = {"init": "random", "features": "embedding", "iterations": 3, "lr": 0.5}
    options |= {"momentum": 0.5, "batch_real": 8, "architecture": VIT}
    options |= {"augmentation": {"policy": "none"}}
    before = torch.random.get_rng_state()
    first = dm.condense(problem, **options).images
    assert torch.equal(torch.random.get_rng_state(), before), "draws from the global state"
    torch.manual_seed(99)
    assert torch.equal(dm.condense(problem, **options).images, first)
    monkeypatch.setattr(dm, "_MOST_REAL", 8)  # class by class
    torch.testing.assert_close(dm.condense(problem, **options).images, first)
    assert (first - initial_images(problem, "random")).abs().max() > 1e-3


@pytest.mark.parametrize("init", ["random", "noise"])
@pytest.mark.parametrize(("side", "factor"), [(8, 5), (8, 9), (12, 5), (32, 10)])
def test_a_factor_that_leaves_blank_images_is_refused(init, side, factor):
    """Such parts lie wholly in the padding: networks would train on black images."""
    dataset = small_dataset(shape=(3, side, side), per_class=factor**2)
    parts = formation.decode(torch.ones(1, 3, side, side), factor)
    assert (parts.flatten(1).amax(1) == 0).any()
    with pytest.raises(InputError, match=f"factor: {factor} leaves parts .*{side}x{side} pixels"):
        initial_images(Problem(dataset, ipc=1, seed=0), init, factor=factor)


def test_a_factor_of_a_returned_set_is_checked(problem):
    given = Condensed(torch.zeros(6, 3, 8, 8), problem.labels, factor=20)
    with pytest.raises(InputError, match="^mine: factor: 20 leaves parts of images of 8x8 pixels"):
        contract.finish(given, problem, "mine")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"indices": [0, 1]}, "indices of type list; expected a tensor of integers$"),
        ({"indices": torch.zeros(6)}, "indices of type torch.float32; expected"),
        ({"indices": torch.arange(4)}, r"indices of shape \(4,\); expected \(6,\)"),
        ({"indices": torch.arange(9)}, r"indices of shape \(9,\); expected \(6,\)"),
        ({"indices": torch.arange(6)[None]}, r"indices of shape \(1, 6\); expected \(6,\)"),
        ({"step_size": float("nan")}, "step_size nan; expected a finite number$"),
        ({"step_size": torch.tensor([0.1, 0.2])}, "step_size .*; expected a finite number$"),
        ({"step_size": "fast"}, "step_size 'fast'; expected a finite number$"),
    ],
)
def test_parts_of_a_set_that_could_not_be_stored_are_refused(problem, more, expected):
    with pytest.raises(InputError, match=f"^mine: returned {expected}"):
        contract.finish(Condensed(torch.zeros(6, 3, 8, 8), problem.labels, **more), problem, "mine")


def test_a_step_size_may_be_a_tensor_that_was_learned(problem):
    learned = torch.tensor(0.25, requires_grad=True)
    given = Condensed(torch.zeros(6, 3, 8, 8), problem.labels, step_size=learned)
    assert contract.finish(given, problem, "mine").step_size == 0.25


def test_dm_moves_the_class_means_of_the_embedding_closer(problem):
    def distance(images):
        total = 0.0
        for seed in range(20):  # networks that DM has not seen
            entry = {"network": "convnet", "width": 16, "depth": 1}
            network = networks.build(entry, problem.shape, 3, seed, "judge")
            with torch.no_grad():
                for label, indices in enumerate(problem.dataset.indices_by_class()):
                    real = network.embed(problem.real(indices)).mean(0)
                    synthetic = network.embed(images[label * 2 : label * 2 + 2]).mean(0)
                    total += float((real - synthetic).square().sum())
        return total

    got = dm.condense(
        problem,
        **{"init": "random", "features": "embedding", "iterations": 60, "lr": 0.1},
        **{"momentum": 0.5, "batch_real": 20, "augmentation": {"policy": "none"}},
        architecture={"network": "convnet", "width": 16, "depth": 1},
    ).images
    assert distance(got) < 0.5 * distance(initial_images(problem, "random"))


class Killed(Exception):
    pass


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_killed_run_continues_and_ends_with_the_same_bytes(problem, tmp_path, monkeypatch, at):
    monkeypatch.setattr("condensation.methods.recorder.CHECKPOINT_EVERY", 0.0)
    undisturbed = run("dm", problem, tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    calls = 0
    build = networks.build

    def dying(*arguments):
        nonlocal calls
        calls += 1
        if calls == at + 2:  # the first is the network that is filled anew each time
            raise Killed
        return build(*arguments)

    monkeypatch.setattr(networks, "build", dying)
    with pytest.raises(Killed):
        run("dm", replace(problem, recorder=Recorder("r", path, "this")), tmp_path)
    monkeypatch.setattr(networks, "build", build)
    assert path.is_file() == (at >= 1)
    recorder = Recorder("r", path, "this")
    continued = run("dm", replace(problem, recorder=recorder), tmp_path)
    assert torch.equal(continued.images, undisturbed.images)
    assert len(recorder.step_seconds) < 3 - at + 1  # it did not start over
    recorder.discard_checkpoint()
    assert not path.exists()


def test_a_checkpoint_of_other_options_is_not_used(problem, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("condensation.methods.recorder.CHECKPOINT_EVERY", 0.0)
    path = tmp_path / "checkpoint.safetensors"
    run("dm", replace(problem, recorder=Recorder("r", path, "this")), tmp_path)
    assert path.is_file()
    recorder = Recorder("r", path, "other")
    got = run("dm", replace(problem, recorder=recorder), tmp_path)
    assert "starting over: the checkpoint was made with other options" in caplog.text
    assert torch.equal(got.images, run("dm", problem, tmp_path).images)


def test_two_loops_of_one_method_do_not_mix_their_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr("condensation.methods.recorder.CHECKPOINT_EVERY", 0.0)
    path = tmp_path / "checkpoint.safetensors"

    def both(recorder, die_at=None):
        done = []
        a, b = torch.zeros(1), torch.zeros(2)

        def step(state, name):
            def inner(iteration):
                if die_at == (name, iteration):
                    raise Killed
                state.add_(iteration + 1)
                done.append((name, iteration))

            return inner

        recorder.run({"a": a}, step(a, "a"), 4)
        recorder.run({"b": b}, step(b, "b"), 4)
        return float(a), b.tolist(), done

    undisturbed = both(Recorder("r", path, "x"))
    assert undisturbed[:2] == (10.0, [10.0, 10.0]) and len(undisturbed[2]) == 8
    path.unlink()
    path.with_stem("checkpoint2").unlink()
    with pytest.raises(Killed):
        both(Recorder("r", path, "x"), die_at=("b", 2))
    recorder = Recorder("r", path, "x")
    continued = both(recorder)
    assert continued[:2] == undisturbed[:2]
    assert ("b", 0) not in continued[2] and ("b", 2) in continued[2]
    recorder.discard_checkpoint()
    assert list(tmp_path.iterdir()) == []


# --- what a method may not return -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (torch.zeros(5, 3, 8, 8), r"shape \(5, 3, 8, 8\); expected \(6, 3, 8, 8\): 2 per class, 3"),
        (torch.zeros(6, 8, 8, 3), r"expected \(6, 3, 8, 8\)"),
        (torch.zeros(6, 3, 8, 8, dtype=torch.float64), "float64 images; expected float32"),
        (torch.full((6, 3, 8, 8), float("nan")), "NaN or infinite"),
        ((torch.zeros(6, 3, 8, 8), torch.tensor([0, 0, 1, 1, 2, 3])), "labels from 0 to 3"),
        (
            (torch.zeros(6, 3, 8, 8), torch.tensor([0, 0, 0, 1, 2, 2])),
            "3 images of class 'class 0'",
        ),
        ((torch.zeros(6, 3, 8, 8), torch.zeros(6)), "labels are torch.float32 of shape"),
        ((torch.zeros(6, 3, 8, 8), torch.zeros(6, 2)), r"soft labels of shape \(6, 2\)"),
        (torch.tensor([0, 1, 2, 3, 4, 60]), "positions outside the training set"),
        (torch.tensor([0, 3, 1, 4, 2, 2]), "1 positions more than once, 2 among them"),
        (
            Condensed(torch.zeros(6, 3, 8, 8), torch.arange(6) // 2, torch.arange(6) // 2),
            "3 positions more than once, 0 among them",
        ),
        (
            (torch.zeros(6, 3, 8, 8), 2 * torch.eye(3).repeat_interleave(2, 0) - 1),
            "rows sum to -1 or more; .*`labels: hard`",
        ),
        ((torch.zeros(6, 3, 8, 8), [0, 0, 1, 1, 2, 2]), "labels of type list; expected a tensor"),
        (torch.tensor([0, 1, 2, 3, 4]), r"shape \(5, 3, 8, 8\)"),
        (
            torch.tensor([[0, 3], [1, 4], [2, 5]]),
            r"torch.int64 of shape \(3, 2\); positions .* shape \(6,\): flatten\(\) gives",
        ),
        (torch.arange(6.0), r"torch.float32 of shape \(6,\); positions .*: long\(\) gives"),
        (torch.ones(60, dtype=torch.bool), r"torch.bool .*: nonzero\(\).flatten\(\) gives"),
        (None, "returned NoneType; expected images"),
        (np.zeros((6, 3, 8, 8)), "returned ndarray"),
    ],
)
def test_a_wrong_result_is_refused_and_says_what_would_be_right(problem, result, expected):
    with pytest.raises(InputError, match=f"mine: .*{expected}"):
        contract.finish(result, problem, "mine")


def test_images_that_still_carry_a_gradient_are_cut_off_from_it(problem):
    images = torch.zeros(6, 3, 8, 8, requires_grad=True)
    assert not contract.finish(images * 2, problem, "mine").images.requires_grad


SOFT = torch.tensor([[0.6, 0.3, 0.1], [0.4, 0.3, 0.3]])  # of one class; the others by rolling it
SOFT = torch.cat([SOFT.roll(label, 1) for label in range(3)])


def test_soft_labels_are_kept(problem):
    soft = torch.rand(6, 3)
    kept = contract.finish((torch.zeros(6, 3, 8, 8), soft), problem, "mine")
    assert torch.equal(kept.labels, soft)


def test_soft_labels_become_hard_on_request_and_the_log_says_so(problem, caplog):
    images = torch.randn(6, 3, 8, 8)
    with caplog.at_level("INFO", "condensation"):
        soft = contract.finish((images, SOFT), problem, "mine")
        assert "mine: soft labels are kept" in caplog.text
        hard = contract.finish((images, SOFT), problem, "mine", "hard")
        assert "mine: soft labels become hard: the class of the largest score" in caplog.text
    assert torch.equal(soft.labels, SOFT) and torch.equal(soft.images, images)
    assert hard.labels.tolist() == [0, 0, 1, 1, 2, 2] and torch.equal(hard.images, images)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    contract.finish((images, 4 * SOFT - 1), problem, "mine")
    assert "from -0.6 to 1.4, with sums of 1 to 1 an image" in caplog.text


def test_soft_labels_are_put_into_class_order_too(problem):
    order = torch.tensor([5, 0, 3, 1, 4, 2])
    images = torch.randn(6, 3, 8, 8)
    got = contract.finish((images[order], SOFT[order]), problem, "mine")
    assert got.labels.argmax(1).tolist() == [0, 0, 1, 1, 2, 2]
    for image, row in zip(got.images, got.labels, strict=True):
        at = int((images == image).flatten(1).all(1).nonzero())
        assert torch.equal(row, SOFT[at])


@pytest.mark.parametrize("labels", ["soft", "hard"])
@pytest.mark.parametrize(
    "rows",
    [
        torch.eye(3),
        torch.eye(3, dtype=torch.float64) - 1 / 3,
        torch.eye(3).bool(),
        torch.eye(3).int(),
    ],
)
def test_one_hot_rows_are_hard_labels(problem, rows, labels):
    rows = rows.repeat_interleave(2, 0)
    got = contract.finish((torch.zeros(6, 3, 8, 8), rows), problem, "mine", labels)
    assert got.labels.tolist() == [0, 0, 1, 1, 2, 2] and got.labels.dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_soft_labels_of_any_type_of_number_become_float32(problem, dtype):
    got = contract.finish((torch.zeros(6, 3, 8, 8), SOFT.to(dtype)), problem, "mine")
    assert got.labels.dtype == torch.float32
    torch.testing.assert_close(got.labels, SOFT, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    "dtype", [torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint64]
)
def test_positions_and_labels_may_be_any_whole_numbers(problem, dtype):
    positions = torch.tensor([0, 3, 1, 4, 2, 5])
    got = contract.finish(positions.to(dtype), problem, "mine")
    assert torch.equal(got.images, problem.real(positions))
    assert got.indices.dtype == got.labels.dtype == torch.int64
    condensed = Condensed(got.images, got.labels, positions.to(dtype))
    assert torch.equal(contract.finish(condensed, problem, "mine").indices, got.indices)
    labels = torch.tensor([0, 0, 1, 1, 2, 2], dtype=dtype)
    assert contract.finish((got.images, labels), problem, "mine").labels.tolist() == [
        0,
        0,
        1,
        1,
        2,
        2,
    ]


class Elsewhere(torch.Tensor):
    """Positions on another device: tensors on the CPU refuse them."""

    @classmethod
    def __torch_function__(cls, function, types, arguments=(), options=None):
        if function is torch.Tensor.__getitem__ and type(arguments[0]) is torch.Tensor:
            raise IndexError("indices should be either on cpu or on the same device")
        result = super().__torch_function__(function, types, arguments, options or {})
        moved = function in (torch.Tensor.cpu, torch.Tensor.to)
        return result.as_subclass(torch.Tensor) if moved else result


def test_positions_may_be_on_another_device(problem):
    positions = torch.tensor([0, 3, 1, 4, 2, 5])
    got = contract.finish(positions.as_subclass(Elsewhere), problem, "mine")
    assert type(got.indices) is torch.Tensor and torch.equal(got.indices, positions)
    assert torch.equal(got.images, problem.real(positions))


def test_the_config_sets_what_soft_labels_of_a_users_method_become(tmp_path):
    (tmp_path / "m.py").write_text("def f(problem, *, lr=1): ...\n")

    def job(**options):
        config = parse(
            {
                "datasets": {"d": {"source": "digits"}},
                "methods": {"m": {"algorithm": f"{tmp_path / 'm.py'}:f", **options}},
                "experiments": {"e": {"datasets": ["d"], "methods": ["m"], "ipc": [1]}},
            }
        )
        return job_of(config, SetId("d", "m", "1", 0))

    assert job()["labels"] == "soft" and job(labels="hard")["labels"] == "hard"
    assert job(labels="hard", lr=2)["options"] == {"lr": 2}, "it is no argument of the function"
    with pytest.raises(InputError, match=r"methods\.m\.labels: .*'soft' or 'hard'"):
        job(labels="softly")


def test_any_order_is_put_into_class_order(problem):
    indices = torch.tensor([0, 1, 2, 3, 4, 5])  # classes 0 1 2 0 1 2
    got = contract.finish(indices, problem, "mine")
    assert got.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert got.indices.tolist() == [0, 3, 1, 4, 2, 5]
    assert torch.equal(got.images, problem.real(got.indices))


def test_only_the_whole_dataset_may_leave_its_images_out(problem):
    with pytest.raises(InputError, match="mine: returned no images"):
        contract.finish(Condensed(None, problem.labels, torch.arange(6)), problem, "mine")


def test_a_users_file_may_hold_dataclasses_and_import_its_neighbours(tmp_path, problem):
    (tmp_path / "my_helper.py").write_text("NUMBER = 3\n")
    (tmp_path / "m.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from my_helper import NUMBER\n"
        "@dataclass\nclass A:\n    x: int = NUMBER\n"
        "def f(problem): return A().x\n"
    )
    assert contract.resolve(f"{tmp_path / 'm.py'}:f")(problem) == 3


def test_a_users_options_that_name_entries_arrive_as_entries(tmp_path):
    (tmp_path / "m.py").write_text(
        "def f(problem, *, architecture, features='pixels', lr=1): ...\n"
    )

    def parsed(**options):
        return parse(
            {
                "datasets": {"d": {"source": "digits"}},
                "methods": {"m": {"algorithm": f"{tmp_path / 'm.py'}:f", **options}},
                "experiments": {"e": {"datasets": ["d"], "methods": ["m"], "ipc": [1]}},
            }
        )

    config = parsed(architecture="convnet", features="embedding", lr="1e-3")
    job = job_of(config, SetId("d", "m", "1", 0))
    assert job["options"]["architecture"] == {"network": "convnet", "width": 128, "depth": None}
    assert job["options"]["lr"] == 1e-3
    assert features_of(config, "m") == "embedding"
    assert job["source"] != job_of(parsed(architecture="mlp"), SetId("d", "m", "1", 0))["source"]
    for option in ("architecture", "features"):
        with pytest.raises(InputError, match=rf"methods\.m\.{option}: unknown"):
            parsed(**{"architecture": "mlp", option: "convnt"})


def test_a_users_file_that_fails_on_import_is_named(tmp_path):
    (tmp_path / "m.py").write_text("import no_such_module\ndef f(problem): ...\n")
    with pytest.raises(InputError, match=r"m\.py, line 1: the module 'no_such_module' is missing"):
        contract.resolve(f"{tmp_path / 'm.py'}:f")


def test_the_example_of_the_documentation_has_thirty_lines_or_fewer(tmp_path):
    file = example_of_the_documentation(tmp_path).partition(":")[0]
    assert len(Path(file).read_text().splitlines()) <= 30


def test_herding_follows_the_class_mean_better_than_chance(problem, tmp_path):
    herded = run("documented", problem, tmp_path)
    everything = problem.dataset.standardize(problem.dataset.train_images)

    def gap(images, label):
        class_mean = everything[problem.dataset.train_labels == label].mean(0)
        return float((images[label * 2 : label * 2 + 2].mean(0) - class_mean).norm())

    drawn = [run("random", replace(problem, seed=seed), tmp_path) for seed in range(20)]
    for label in range(3):
        gaps = [gap(condensed.images, label) for condensed in drawn]
        assert gap(herded.images, label) < np.mean(gaps)


# --- snapshots ------------------------------------------------------------------------------------

LEARNS_LABELS = {
    "kip": {
        **{"init": "random", "features": "pixels", "kernel": "fc_ntk", "depth": 1, "networks": 2},
        **{"width": 8, "lr": 0.01, "batch_real": 12, "ridge": 1e-3, "learn_labels": True},
    },
    "frepo": {
        **{"init": "random", "features": "pixels", "lr": 0.05, "batch_real": 12, "ridge": 1e-3},
        **{"learn_labels": True, "flip": True, "networks": 2, "max_updates": 3},
        **{"lr_network": 0.01, "architecture": SMALL},
    },
    "datm": {
        **{"init": "random", "features": "pixels", "trajectories": "experts", "experts": 1},
        **{"steps": 2, "expert_epochs": 1, "min_start": 0, "first_max_start": 1, "max_start": 1},
        **{"growth": 0, "label_epoch": 1, "batch_syn": None, "lr": 5.0, "lr_step": 1e-3},
        **{"lr_labels": 2.0, "momentum_labels": 0.9, "step_size": 0.05, "momentum": 0.5},
        **{
            "threshold": 2.0,
            "gradient": "exact",
            "chunk": None,
            "augmentation": {"policy": "none"},
        },
        "architecture": SMALL,
    },
}


@pytest.mark.parametrize("module", [kip, frepo, datm])
def test_snapshots_hold_the_labels_of_their_iteration(module, problem, tmp_path):
    name = module.__name__.rpartition(".")[2]
    start = networks.build(SMALL, problem.shape, 3, 0)
    first = torch.cat([p.detach().flatten() for p in start.parameters()])
    path = torch.stack([first, first + 0.01 * torch.randn(len(first))])
    problem = replace(problem, trajectories=experts.Trajectories([path], SMALL))

    def run(iterations, recorder):
        options = LEARNS_LABELS[name] | {"iterations": iterations}
        return module.condense(replace(problem, recorder=recorder), **options)

    recorder = Recorder("", tmp_path / "c.safetensors", "same", [0, 2, 4], interval=0.0)
    result, kept = run(4, recorder), recorder.snapshots
    assert torch.equal(kept[4]["labels"], result.labels.float())
    assert torch.equal(kept[4]["images"], result.images)
    assert not torch.equal(kept[2]["labels"], kept[4]["labels"])
    if name != "frepo":  # its rate depends on the number of iterations
        halfway = run(2, Recorder())
        assert torch.equal(kept[2]["labels"], halfway.labels.float())
        assert torch.equal(kept[2]["images"], halfway.images)
    resumed = Recorder("", tmp_path / "c.safetensors", "same", [0, 2, 4])
    run(4, resumed)  # from the checkpoint after three iterations
    for iteration in (0, 2, 4):
        assert torch.equal(resumed.snapshots[iteration]["labels"], kept[iteration]["labels"])
