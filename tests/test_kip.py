"""KIP: the solve against scikit-learn, the loss against its definition, and what it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from condensation import kernels, readers
from condensation.contract import Problem
from condensation.errors import InputError
from condensation.methods import kip
from condensation.options import Dataset

OPTIONS = {
    **{"init": "random", "features": "embedding", "lr": 0.04, "batch_real": 30, "depth": 1},
    **{"kernel": "fc_ntk", "ridge": 1e-6, "learn_labels": False, "networks": 2, "width": 8},
}


def linear(x, z):
    return x.flatten(1).double() @ z.flatten(1).double().T


def test_the_solve_is_scikit_learns():
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
    value = kip.loss(linear, images, labels, images, labels, 0.25)
    assert float(value) == pytest.approx(0.5 * 0.25 * (1 - 1 / 1.25) ** 2)


def test_the_loss_does_not_depend_on_the_pieces(monkeypatch):
    images, real = torch.randn(4, 1, 3, 3), torch.randn(10, 1, 3, 3)
    labels, targets = (kip.centred(torch.arange(n) % 2, 2) for n in (4, 10))
    whole = kip.loss(linear, images, labels, real, targets, 1e-2)
    monkeypatch.setattr(kip, "_MOST_REAL", 3)
    torch.testing.assert_close(kip.loss(linear, images, labels, real, targets, 1e-2), whole)


def test_the_slope_of_the_loss():
    real, targets = torch.randn(5, 1, 2, 2, dtype=torch.float64), kip.centred(torch.arange(5), 5)
    labels = kip.centred(torch.arange(5), 5).requires_grad_()
    images = torch.randn(5, 1, 2, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, y: kip.loss(kernels.fc_ntk, x, y, real, targets, 1e-2), (images, labels)
    )


def test_one_step_is_adams(problem):
    images = kip.condense(problem, iterations=3, **OPTIONS).images
    start = problem.real(problem.draw_real(2, problem.generator("random")).flatten())
    plain = start.clone().requires_grad_()
    steps = torch.optim.Adam([plain], lr=0.04)
    labels = kip.centred(problem.labels, 3)
    for iteration in range(3):
        stream = problem.generator("kip", iteration)
        chosen = torch.cat(
            [
                own[torch.randperm(20, generator=stream)[:10]]
                for own in problem.dataset.indices_by_class()
            ]
        )
        targets = kip.centred(problem.dataset.train_labels[chosen], 3)
        x, real = plain.double(), problem.real(chosen).double()
        kernel = kernels.fc_ntk(x, x)
        ridge = 1e-6 * kernel.trace() / 6 * torch.eye(6, dtype=torch.float64)
        prediction = kernels.fc_ntk(real, x) @ torch.linalg.inv(kernel + ridge) @ labels
        steps.zero_grad()
        (0.5 * (targets - prediction).square().mean()).backward()
        steps.step()
    torch.testing.assert_close(images, plain.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", ["fc_ntk", "conv_features"])
def test_it_learns_to_tell_real_digits_apart(kernel):
    digits = readers.read("digits", Dataset(source="digits").model_dump(), [])
    problem = Problem(digits, 1, 0)
    options = OPTIONS | {"kernel": kernel, "batch_real": 200, "width": 16}

    def accuracy(images):
        def of(x, z):
            if kernel == "fc_ntk":
                return kernels.fc_ntk(x.double(), z.double())
            stream = torch.Generator().manual_seed(9)
            return kernels.conv_kernel(x, z, stream, networks=4, width=64).double()

        weights = kip.solve(of(images, images), kip.centred(problem.labels, 10), 1e-6)
        shown = digits.standardize(digits.test_images)
        found = (of(shown, images) @ weights).argmax(1)
        return float((found == digits.test_labels).float().mean())

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


def test_a_singular_kernel_names_the_ridge():
    kernel = torch.ones(3, 3, dtype=torch.float64)
    with pytest.raises(InputError, match=r"ridge 0 .*singular.* larger ridge"):
        kip.solve(kernel, torch.ones(3, 1, dtype=torch.float64), 0.0)


def test_a_loss_that_is_no_number_says_so(problem, monkeypatch):
    broken = torch.full((6, 3, 8, 8), float("nan"))
    monkeypatch.setattr(kip, "initial_images", lambda *_: broken)
    with pytest.raises(FloatingPointError, match="loss is no longer finite"):
        kip.condense(problem, iterations=5, **OPTIONS)


def test_a_class_smaller_than_its_share_gives_all_it_has(problem):
    many = kip.condense(replace(problem), iterations=1, **OPTIONS | {"batch_real": 10_000})
    all_ = kip.condense(replace(problem), iterations=1, **OPTIONS | {"batch_real": 60})
    torch.testing.assert_close(many.images, all_.images)
