"""KIP: the solve against scikit-learn, the loss against its definition, and what it learns."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ROOT
from sklearn.kernel_ridge import KernelRidge

from condensation.config.entries import Dataset
from condensation.core.errors import InputError
from condensation.data import readers
from condensation.methods import kernels, kip
from condensation.methods.contract import Problem

OPTIONS = {
    **{"init": "random", "features": "embedding", "lr": 0.04, "batch_real": 30, "depth": 1},
    **{"kernel": "fc_ntk", "ridge": 1e-6, "learn_labels": False, "networks": 2, "width": 12},
}


LINEAR = kernels.Kernel(lambda x: x.double().flatten(1), lambda x, z: x @ z.T)


def test_the_solve_agrees_with_scikit_learn():
    x = torch.randn(6, 9, dtype=torch.float64)
    kernel = kernels.fc_ntk(x, x)
    labels = torch.randn(6, 3, dtype=torch.float64)
    alpha = 1e-3 * float(kernel.diagonal().mean())
    fitted = KernelRidge(alpha=alpha, kernel="precomputed").fit(kernel.numpy(), labels.numpy())
    np.testing.assert_allclose(kip.solve(kernel, labels, 1e-3).numpy(), fitted.dual_coef_)


def test_the_loss_of_orthonormal_images_by_hand():
    # K_ss = I; with ridge r the weights are y / (1 + r); each real image equals one of the set
    images = torch.eye(2).view(2, 1, 1, 2)
    labels = kip.centred(torch.tensor([0, 1]), 2)
    value = kip.loss(LINEAR, images, labels, images, labels, 0.25)
    assert float(value) == pytest.approx(0.5 * 0.25 * (1 - 1 / 1.25) ** 2)


def test_the_loss_does_not_depend_on_the_pieces(monkeypatch):
    images, real = torch.randn(4, 1, 3, 3), torch.randn(10, 1, 3, 3)
    labels, targets = (kip.centred(torch.arange(n) % 2, 2) for n in (4, 10))
    whole = kip.loss(LINEAR, images, labels, real, targets, 1e-2)
    monkeypatch.setattr(kip, "_MOST_REAL", 3)
    torch.testing.assert_close(kip.loss(LINEAR, images, labels, real, targets, 1e-2), whole)


def test_the_slope_of_the_loss():
    real, targets = torch.randn(5, 1, 2, 2, dtype=torch.float64), kip.centred(torch.arange(5), 5)
    labels = kip.centred(torch.arange(5), 5).requires_grad_()
    images = torch.randn(5, 1, 2, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, y: kip.loss(kernels.exact(depth=1), x, y, real, targets, 1e-2), (images, labels)
    )


@pytest.mark.parametrize(
    "kernel, depth, networks, learn_labels",
    [
        *[("fc_ntk", 1, 1, False), ("fc_ntk", 3, 1, True)],
        *[("conv_features", 1, 1, False), ("conv_features", 1, 3, True)],
    ],
)
def test_three_steps_are_those_of_a_plain_loop(problem, kernel, depth, networks, learn_labels):
    """Torch's Adam, an inverse matrix, whole kernels with their whole graphs."""
    options = {"depth": depth, "networks": networks, "learn_labels": learn_labels}
    result = kip.condense(problem, iterations=3, **OPTIONS | {"kernel": kernel} | options)
    start = problem.real(problem.draw_real(2, problem.generator("random")).flatten())
    images = start.clone().requires_grad_()
    labels = kip.centred(problem.labels, 3).requires_grad_()
    steps = torch.optim.Adam([images, labels] if learn_labels else [images], lr=0.04)
    for iteration in range(3):
        stream = problem.generator("kip", iteration)
        chosen = torch.cat(
            [
                indices[torch.randperm(20, generator=stream)[:10]]
                for indices in problem.dataset.indices_by_class()
            ]
        )
        targets = kip.centred(problem.dataset.train_labels[chosen], 3)
        drawn = problem.generator("kip networks", iteration)
        layers = [kernels.draw_layers((3, 8, 8), drawn, width=12) for _ in range(networks)]

        def of(x, z, layers=layers):
            if kernel == "fc_ntk":
                return kernels.fc_ntk(x.double(), z.double(), depth=depth)
            total = torch.zeros(len(x), len(z), dtype=torch.float64)
            for network in layers:
                a, b = (kernels.conv_features(y, network).double() for y in (x, z))
                total = total + a @ b.T
            return 2 * total / networks + 0.01

        matrix = of(images, images)
        ridge = 1e-6 * matrix.trace() / 6 * torch.eye(6, dtype=torch.float64)
        prediction = of(problem.real(chosen), images) @ torch.linalg.inv(matrix + ridge) @ labels
        steps.zero_grad()
        (0.5 * (targets - prediction).square().mean()).backward()
        steps.step()
    torch.testing.assert_close(result.images, images.detach(), rtol=1e-4, atol=1e-4)
    if learn_labels:
        expected = (labels.detach() + 1 / 3).float()
        torch.testing.assert_close(result.labels, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{"depth": 2}, {"networks": 1, "kernel": "conv_features"}])
def test_kernel_options_reach_the_kernels(problem, options):
    base = {"kernel": options.get("kernel", "fc_ntk")}
    first = kip.condense(problem, iterations=1, **OPTIONS | base).images
    assert not torch.equal(first, kip.condense(problem, iterations=1, **OPTIONS | options).images)


@pytest.mark.parametrize("kernel", ["fc_ntk", "conv_features"])
def test_it_learns_to_tell_real_digits_apart(kernel):
    digits = readers.read("digits", Dataset(source="digits").model_dump(), [])
    problem = Problem(digits, 1, 0)
    ridge = 1e-6 if kernel == "fc_ntk" else 5e-3
    options = OPTIONS | {"kernel": kernel, "batch_real": 200, "width": 16, "ridge": ridge}
    stream = torch.Generator().manual_seed(9)
    judge = kernels.exact(depth=1)
    if kernel == "conv_features":
        judge = kernels.random_features((1, 8, 8), stream, networks=4, width=64)

    def accuracy(images):
        def of(x, z):
            return judge.between(judge.embed(x), judge.embed(z))

        weights = kip.solve(of(images, images), kip.centred(problem.labels, 10), ridge)
        shown = digits.standardize(digits.test_images)
        predicted = (of(shown, images) @ weights).argmax(1)
        return float((predicted == digits.test_labels).float().mean())

    before = accuracy(kip.condense(problem, iterations=0, **options).images)
    after = accuracy(kip.condense(problem, iterations=30, **options).images)
    assert after > before + 0.1 and after > 0.8


def test_labels_stay_unless_they_are_to_be_learned(problem):
    fixed = kip.condense(problem, iterations=2, **OPTIONS)
    assert torch.equal(fixed.labels, problem.labels)
    learned = kip.condense(problem, iterations=2, **OPTIONS | {"learn_labels": True})
    one_hot = torch.nn.functional.one_hot(problem.labels, 3).float()
    moved = (learned.labels - one_hot).abs()
    assert learned.labels.dtype == torch.float32
    assert 0 < float(moved.max()) < 0.1


def twins(count, equal, seed):
    """Images of which the first ``equal`` + 1 are identical."""
    images = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    images[1 : equal + 1] = images[0]
    return images


@pytest.mark.parametrize("name", ["fc_ntk", "conv_features", "linear"])
@pytest.mark.parametrize("count, equal", [(2, 1), (10, 1), (40, 3), (150, 1)])
def test_equal_images_without_a_ridge_are_refused_and_named(name, count, equal):
    """Rounding may hide that a matrix is singular, so many seeds are tried."""
    labels = torch.ones(count, 1, dtype=torch.float64)
    for seed in range(25):
        kernel = {
            "fc_ntk": kernels.exact(depth=1),
            "linear": LINEAR,
            "conv_features": kernels.random_features(
                (3, 8, 8), torch.Generator().manual_seed(seed), networks=2, width=16
            ),
        }[name]
        embedded = kernel.embed(twins(count, equal, seed))
        matrix = kernel.between(embedded, embedded)
        with pytest.raises(InputError, match=r"ridge 0 .*singular.* larger ridge"):
            kip.solve(matrix, labels, 0.0)
        alpha = 1e-6 * float(matrix.diagonal().mean())
        fitted = KernelRidge(alpha=alpha, kernel="precomputed").fit(matrix.numpy(), labels.numpy())
        solution = kip.solve(matrix, labels, 1e-6).numpy()
        np.testing.assert_allclose(solution, fitted.dual_coef_, rtol=1e-5, atol=1e-9)


def test_different_images_need_no_ridge():
    for seed in range(25):
        matrix = kernels.fc_ntk(*[twins(60, 0, seed).double()] * 2)
        labels = torch.randn(60, 2, dtype=torch.float64)
        np.testing.assert_allclose(
            kip.solve(matrix, labels, 0.0).numpy(), np.linalg.solve(matrix.numpy(), labels.numpy())
        )


def test_a_whole_run_on_equal_images_names_the_ridge(problem, monkeypatch):
    monkeypatch.setattr(kip, "initial_images", lambda *_: twins(6, 1, 0))
    with pytest.raises(InputError, match="ridge 0"):
        kip.condense(problem, iterations=1, **OPTIONS | {"ridge": 0.0})


MEMORY = """
import sys
sys.path.insert(0, {scripts!r})
import torch
from condensation.core import compute
from condensation.methods import kernels
from condensation.methods import kip
torch.set_num_threads(1)
count = int(sys.argv[1])
images, real = torch.randn(10, 3, 32, 32).requires_grad_(), torch.randn(count, 3, 32, 32)
labels, targets = (kip.centred(torch.arange(n) % 10, 10) for n in (10, count))
kernel = kernels.random_features((3, 32, 32), torch.Generator(), networks=2, width=32)
value = kip.loss(kernel, images, labels, real, targets, 5e-3)
torch.autograd.grad(value, images)
print(compute.peak_memory_mb(torch.device("cpu"))["peak_rss_mb"])
"""


@pytest.mark.slow
def test_only_the_features_of_real_images_are_held():
    """Images 12 KB, features 4 KB each; the activations of the networks would be 420 KB."""
    script = MEMORY.format(scripts=str(ROOT / "workflow_scripts"))
    few, many = (
        float(subprocess.check_output([sys.executable, "-c", script, str(count)], text=True))
        for count in (1000, 4000)
    )
    assert many - few < 3000 * 0.05  # MB: a third of that is images and their features


def test_a_loss_that_is_not_finite_ends_the_run(problem, monkeypatch):
    broken = torch.full((6, 3, 8, 8), float("nan"))
    monkeypatch.setattr(kip, "initial_images", lambda *_: broken)
    with pytest.raises(FloatingPointError, match="loss is no longer finite"):
        kip.condense(problem, iterations=5, **OPTIONS)


def test_a_class_smaller_than_its_share_gives_all_it_has(problem):
    many = kip.condense(replace(problem), iterations=1, **OPTIONS | {"batch_real": 10_000})
    all_ = kip.condense(replace(problem), iterations=1, **OPTIONS | {"batch_real": 60})
    torch.testing.assert_close(many.images, all_.images)
