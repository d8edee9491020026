"""KIP: kernel inducing points, learned by kernel ridge regression.

Nguyen, Chen & Lee (2021), arXiv:2011.00050; Nguyen et al. (2021), arXiv:2107.13034. K is the
kernel of an infinitely wide network, s the synthetic images, t a class-balanced batch of real
images; labels are one-hot minus 1/C. The loss is the mean over real images and classes of

    L = 1/2 (y_t - K_ts (K_ss + ridge tr(K_ss) / n I)^-1 y_s)^2

Adam updates the images, and the labels with ``learn_labels``.
"""

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from condensation.core import capture
from condensation.core.errors import InputError
from condensation.data.sets import Condensed
from condensation.methods import kernels
from condensation.methods.contract import Problem
from condensation.methods.start import initial_images

_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # Adam's defaults
_MOST_REAL = 1000  # real images in one piece of K_ts: bounds memory
_PIVOT = 10  # a pivot is rounding up to this many times n eps of the diagonal


def condense(
    problem: Problem,
    *,
    init: str,
    features: str,
    iterations: int,
    lr: float,
    batch_real: int,
    kernel: str,
    depth: int,
    ridge: float,
    learn_labels: bool,
    networks: int,
    width: int,
) -> Condensed:
    """Return images [classes * ipc, C, H, W] in class order, with soft labels if learned.

    Parameters
    ----------
    init, features : see ``methods.start``.
    iterations, lr : of Adam.
    batch_real : real images per iteration, divided among the classes; a smaller class uses
        all its images.
    kernel : ``fc_ntk`` (exact, ``depth`` hidden layers) or ``conv_features`` (``networks`` random
        networks of ``width`` filters, drawn anew each iteration).
    ridge : times the mean of the kernel's diagonal.
    learn_labels : the soft labels, float32 [n, C], are the learned ones plus 1/C.

    Raises
    ------
    InputError
        If the ridge leaves the system singular.
    FloatingPointError
        If the loss is no longer finite.
    """
    images = initial_images(problem, init, features)
    classes = problem.classes
    labels = centred(problem.labels, classes).to(problem.device)
    moments = {
        f"{name}_{order}": torch.zeros_like(tensor)
        for name, tensor in (("images", images), ("labels", labels))
        for order in ("first", "second")
    }
    last_loss = torch.zeros((), dtype=torch.float64, device=problem.device)
    singular = torch.zeros((), dtype=torch.bool, device=problem.device)
    by_class = problem.dataset.indices_by_class()
    per_class = max(1, batch_real // classes)
    read = problem.reader(iterations * per_class * classes)

    def kernel_of(iteration: int) -> kernels.Kernel:
        if kernel == "fc_ntk":
            return kernels.exact(depth=depth)
        generator = problem.generator("kip networks", iteration)
        return kernels.random_features(
            *(problem.dataset.shape, generator),
            networks=networks,
            width=width,
            device=problem.device,
        )

    def step(iteration: int) -> None:
        stream = problem.generator("kip", iteration)
        selected = torch.cat(
            [
                indices[torch.randperm(len(indices), generator=stream)[:per_class]]
                for indices in by_class
            ]
        )
        points = images.clone().requires_grad_()
        answers = labels.clone().requires_grad_()
        chosen, targets = capture.to_device(
            [selected, problem.dataset.train_labels[selected]], problem.device
        )
        value = loss(
            *(kernel_of(iteration), points, answers),
            *(read(chosen), centred(targets, classes)),
            ridge=ridge,
            singular=singular,
        )
        last_loss.copy_(value.detach())
        gradients = torch.autograd.grad(value, (points, answers))
        moving = {"images": images, "labels": labels} if learn_labels else {"images": images}
        for (name, tensor), gradient in zip(moving.items(), gradients, strict=False):
            _adam(tensor, gradient, moments[f"{name}_first"], moments[f"{name}_second"], iteration)

    def _adam(
        tensor: torch.Tensor,
        gradient: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        iteration: int,
    ) -> None:
        first.lerp_(gradient, 1 - _BETAS[0])
        second.lerp_(gradient.square(), 1 - _BETAS[1])
        mean = first / (1 - _BETAS[0] ** (iteration + 1))
        variance = second / (1 - _BETAS[1] ** (iteration + 1))
        tensor.addcdiv_(mean, variance.sqrt() + _EPSILON, value=-lr)

    def check() -> None:
        refuse_singular(singular, ridge, len(images), "kip")
        if not torch.isfinite(last_loss):
            raise FloatingPointError("the loss is no longer finite")

    state = {"images": images, "labels": labels, **moments}

    def shares() -> torch.Tensor:
        return (labels + 1 / classes).float()

    problem.recorder.run(
        state, step, iterations, check=check, labels=shares if learn_labels else None
    )
    return Condensed(images, shares() if learn_labels else problem.labels)


def centred(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return one-hot labels minus 1/C, float64 [n, C]."""
    return F.one_hot(labels, classes).double() - 1 / classes


def solve(
    kernel: torch.Tensor,
    labels: torch.Tensor,
    ridge: float,
    method: str = "kip",
    singular: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return (K + ridge tr(K) / n I)^-1 y, float64 [n, C], by Cholesky.

    Parameters
    ----------
    singular : a bool on the device that is set if the matrix is singular to rounding, for
        ``refuse_singular``; nothing is read from the device. None refuses at once.

    Raises
    ------
    InputError
        As ``refuse_singular``.
    """
    count = len(kernel)
    shift = ridge * kernel.diagonal().mean()
    matrix = kernel + shift * torch.eye(count, dtype=kernel.dtype, device=kernel.device)
    factor, info = torch.linalg.cholesky_ex(matrix)
    # A pivot that should be zero is a rounding error of either sign, at most about n eps of the
    # diagonal. Cholesky itself reports only the negative ones.
    pivots = factor.detach().diagonal().square()
    rounding = _PIVOT * count * torch.finfo(kernel.dtype).eps * matrix.detach().diagonal().max()
    is_singular = torch.isfinite(kernel).all() & ((info != 0) | (pivots.min() <= rounding))
    if singular is None:
        refuse_singular(is_singular, ridge, count, method)
    else:
        singular.logical_or_(is_singular)
    return torch.cholesky_solve(labels, factor)


def refuse_singular(singular: torch.Tensor, ridge: float, count: int, method: str) -> None:
    """Raise InputError, whose message begins with ``method``, if ``singular`` is set."""
    if bool(singular):
        raise InputError(
            f"{method}: with ridge {ridge:g} the kernel of the {count} images is singular (because "
            "some images are alike); set a larger ridge, 1e-6 is usual with fc_ntk"
        )


def loss(
    kernel: kernels.Kernel,
    images: torch.Tensor,
    labels: torch.Tensor,
    real: torch.Tensor,
    targets: torch.Tensor,
    ridge: float,
    singular: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return KIP's loss, float64; ``labels`` and ``targets`` are centred, float64 [n, C].

    ``singular`` as in ``solve``. Of the real images it keeps only what ``kernel.embed`` returns,
    not the graph.
    """
    synthetic = kernel.embed(images)
    weights = solve(kernel.between(synthetic, synthetic), labels, ridge, singular=singular)

    def errors(
        embedded: torch.Tensor,
        expected: torch.Tensor,
        synthetic: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        return (expected - kernel.between(embedded, synthetic) @ weights).square().sum()

    total = images.new_zeros((), dtype=torch.float64)
    for part, expected in zip(real.split(_MOST_REAL), targets.split(_MOST_REAL), strict=True):
        embedded = kernel.embed(part)
        total = total + checkpoint(
            errors, embedded, expected, synthetic, weights, use_reentrant=False
        )
    return total / (2 * targets.numel())
