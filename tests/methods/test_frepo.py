"""FRePo's loss by numpy, its updates by torch's optimizers and by LAMB's definition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import small_dataset

from condensation import networks
from condensation.core.errors import InputError
from condensation.methods import contract, frepo, recorder
from condensation.methods.contract import Problem
from condensation.methods.recorder import Recorder
from condensation.methods.start import initial_images

CONVNET = {"network": "convnet", "width": 6, "depth": 2}
OPTIONS = {
    **{"init": "random", "features": "pixels", "iterations": 5, "lr": 0.05, "batch_real": 12},
    **{"ridge": 1e-3, "learn_labels": True, "flip": True, "networks": 2, "max_updates": 3},
    **{"lr_network": 0.01, "architecture": CONVNET},
}


def by_hand(embedded, labels, real, targets, ridge, classes):
    """The loss in numpy, an inverse and a loop over real images."""
    kernel = embedded @ embedded.T
    kernel += ridge * np.trace(kernel) / len(kernel) * np.eye(len(kernel))
    weights = np.linalg.inv(kernel) @ np.concatenate([labels] * (len(kernel) // len(labels)))
    total = 0.0
    for features, target in zip(real, targets, strict=True):
        total += 0.5 * ((features @ embedded.T @ weights - target) ** 2).sum() / len(real)
    for row in labels:
        second, largest = np.sort(row)[-2:]
        total -= min(largest - second, 1 / classes) / len(labels)
    return total


@pytest.mark.parametrize(("classes", "scale"), [(3, 1.0), (10, 1.0), (20, 2**-0.5)])
def test_labels_of_more_than_ten_classes_start_smaller(classes, scale):
    """FRePo's code divides centred labels by the root of a tenth of the number of classes."""
    dataset = small_dataset(classes=classes, per_class=2)
    problem = Problem(dataset, ipc=1, seed=0)
    labels = frepo.condense(problem, **OPTIONS | {"iterations": 0}).labels
    expected = (torch.eye(classes) - 1 / classes) * scale + 1 / classes
    torch.testing.assert_close(labels, expected)


def test_batch_norm_of_the_pool_gives_the_warning_of_other_methods(problem, caplog):
    network = {"network": "nasbench201", "cell": "|nor_conv_3x3~0|+|skip_connect~0|none~1|+"}
    network["cell"] += "|skip_connect~0|none~1|skip_connect~2|"
    frepo.condense(problem, **OPTIONS | {"iterations": 0, "architecture": network})
    assert "has batch norm" in caplog.text


@pytest.mark.parametrize("flip", [False, True])
def test_the_loss_is_that_of_the_paper(flip):
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    images, labels, real, targets = draw(4, 1, 4, 4), draw(4, 3), draw(5, 7), draw(5, 3)
    matrix = draw(16, 7)
    embed = lambda x: x.flatten(1) @ matrix  # noqa: E731
    actual = frepo.loss(embed, images, labels, real, targets, 0.1, flip)
    shown = torch.cat([images, images.flip(3)]) if flip else images
    arrays = (embed(shown).numpy(), labels.numpy(), real.numpy(), targets.numpy())
    assert float(actual) == pytest.approx(by_hand(*arrays, 0.1, 3), rel=1e-9)


def slow(problem, o):
    """FRePo in the order of the authors' loop, with torch's Adam and autograd throughout."""
    dataset, classes = problem.dataset, problem.classes
    images = initial_images(problem, o["init"], o["features"]).clone()
    labels = torch.eye(classes)[problem.labels] - 1 / classes
    build = lambda *purpose: networks.build(  # noqa: E731
        CONVNET, problem.shape, classes, problem.seed, *purpose
    )
    pool = [build("frepo network", "pool", i) for i in range(o["networks"])]
    ages = [o["max_updates"] // o["networks"] * i for i in range(o["networks"])]
    trainers = [torch.optim.Adam(net.parameters(), lr=o["lr_network"]) for net in pool]
    moments = {"images": [0.0, 0.0], "labels": [0.0, 0.0]}
    for iteration in range(o["iterations"]):
        stream = problem.generator("frepo", iteration)
        number = int(torch.randint(o["networks"], (1,), generator=stream))
        chosen = torch.randperm(len(dataset.train_labels), generator=stream)[: o["batch_real"]]
        net = pool[number]
        leaves = {
            "images": images.clone().requires_grad_(),
            "labels": labels.clone().requires_grad_(),
        }
        targets = torch.eye(classes)[dataset.train_labels[chosen]] - 1 / classes
        shown = torch.cat([leaves["images"], leaves["images"].flip(3)])
        z, real = net.embed(shown).double(), net.embed(problem.real(chosen)).detach().double()
        kernel = z @ z.T
        kernel = kernel + o["ridge"] * kernel.trace() / len(kernel) * torch.eye(len(kernel))
        answers = torch.cat([leaves["labels"]] * 2).double()
        errors = real @ z.T @ torch.linalg.solve(kernel, answers) - targets
        ranked = leaves["labels"].sort(dim=1).values
        margin = torch.minimum(ranked[:, -1] - ranked[:, -2], torch.tensor(1 / classes))
        loss = (0.5 * errors**2).sum(1).mean() - margin.mean()
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        rate = o["lr"] * (0.1 + 0.45 * (1 + np.cos(np.pi * iteration / o["iterations"])))
        for (name, tensor), slope in zip(
            {"images": images, "labels": labels}.items(), slopes, strict=True
        ):
            m, v = moments[name]
            m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
            moments[name] = [m, v]
            t = iteration + 1
            direction = m / (1 - 0.9**t) / ((v / (1 - 0.999**t)).sqrt() + 1e-6)
            tensor -= rate * tensor.norm() / direction.norm() * direction
        if ages[number] > o["max_updates"]:
            pool[number] = build("frepo network", iteration)
            trainers[number] = torch.optim.Adam(pool[number].parameters(), lr=o["lr_network"])
            ages[number] = 0
            continue
        trainers[number].zero_grad()
        (0.5 * (net(images) - labels) ** 2).sum(1).mean().backward()
        trainers[number].step()
        ages[number] += 1
    return images, labels + 1 / classes


def test_it_is_the_loop_of_the_authors(problem):
    options = OPTIONS | {"iterations": 16}  # long enough for a network to be replaced
    actual = frepo.condense(problem, **options)
    images, labels = slow(problem, options)
    start = initial_images(problem, "random")
    assert (images - start).norm() > 0.05 * start.norm(), "nothing moved"
    assert (actual.images - images).norm() < 1e-2 * (images - start).norm()
    torch.testing.assert_close(actual.labels, labels, rtol=0, atol=2e-3)


def test_the_loss_falls(problem, monkeypatch):
    values, plain = [], frepo.loss

    def watched(*arguments):
        value = plain(*arguments)
        values.append(float(value.detach()))
        return value

    monkeypatch.setattr(frepo, "loss", watched)
    frepo.condense(problem, **OPTIONS | {"iterations": 200, "lr": 0.005, "batch_real": 60})
    assert sum(values[-40:]) < sum(values[:40]) - 1


def test_an_interrupted_run_ends_with_the_same_bytes(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "CHECKPOINT_EVERY", 0.0)
    options = OPTIONS | {"iterations": 14}
    undisturbed = frepo.condense(problem, **options)

    class Stops(Recorder):
        def _save(self, state, number):
            super()._save(state, number)
            if number == 11:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        frepo.condense(replace(problem, recorder=Stops("", tmp_path / "c", "same")), **options)
    again = frepo.condense(
        replace(problem, recorder=Recorder("", tmp_path / "c", "same")), **options
    )
    assert torch.equal(again.images, undisturbed.images)
    assert torch.equal(again.labels, undisturbed.labels)


def test_its_labels_are_soft_or_those_of_the_classes(problem):
    soft = contract.finish(frepo.condense(problem, **OPTIONS), problem, "frepo")
    assert soft.labels.shape == (6, 3) and soft.images.shape == (6, 3, 8, 8)
    fixed = frepo.condense(problem, **OPTIONS | {"learn_labels": False})
    assert fixed.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_equal_images_without_a_ridge_are_refused():
    dataset = small_dataset()
    same = replace(dataset, train_images=dataset.train_images[:1].expand(60, 3, 8, 8))
    with pytest.raises(InputError, match="frepo: with ridge 0 the kernel of the 12 images"):
        frepo.condense(Problem(same, 2, 0), **OPTIONS | {"ridge": 0.0})
