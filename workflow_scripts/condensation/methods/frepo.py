"""FRePo: regression on the features of a pool of networks (Zhou, Nezhadarya & Ba, 2022,
arXiv:2206.00719).

An iteration takes a network f from the pool. With s the synthetic images and their mirror images,
and t a batch of real images, the loss is the mean over t of

    1/2 |y_t - f(t) f(s)^T (f(s) f(s)^T + ridge tr / n I)^-1 y_s|^2

plus, over the learned labels, the mean of -min(margin of the largest score, 1/C). Labels are
one-hot minus 1/C. LAMB updates images and labels; its rate falls along a cosine to a tenth. Then
the network takes a step on the set, and is replaced by a new one after ``max_updates`` of them.
"""

import math
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from condensation import networks as built
from condensation.core import capture, compute
from condensation.data.sets import Condensed
from condensation.methods.contract import Problem
from condensation.methods.derivatives import values, warn_of_batch_norm
from condensation.methods.kip import centred, refuse_singular, solve
from condensation.methods.start import initial_images

_BETAS = 0.9, 0.999
_EPSILON_LAMB, _EPSILON_ADAM = 1e-6, 1e-8
_LAST_RATE = 0.1  # of the first
_MOST_TRAINED = 500  # images of the set in a step of a network


class _Either(nn.Module):
    """A network that returns its embedding [n, features] or its logits [n, classes]."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor, embed: bool) -> torch.Tensor:
        function: Any = self.network.embed if embed else self.network
        return function(images)


def condense(
    problem: Problem,
    *,
    init: str,
    features: str,
    iterations: int,
    lr: float,
    batch_real: int,
    ridge: float,
    learn_labels: bool,
    flip: bool,
    networks: int,
    max_updates: int,
    lr_network: float,
    architecture: dict[str, Any],
) -> Condensed:
    """Return images [classes * ipc, C, H, W] in class order, with soft labels if learned.

    Parameters
    ----------
    init, features : see ``methods.start``.
    iterations, lr : of LAMB on images and labels.
    batch_real : real images per iteration, of any class.
    ridge : times the mean of the kernel's diagonal.
    learn_labels : the soft labels, float32 [n, C], are the learned ones plus 1/C.
    flip : the regression also has the mirror image of each image; never for datasets whose images
        must not be flipped.
    networks : size of the pool; its networks start at different ages.
    max_updates, lr_network : steps of a network on the set, and the rate of Adam on it.
    architecture : an entry of the config.

    Raises
    ------
    InputError
        If the ridge leaves the system singular.
    """
    classes, device = problem.classes, problem.device
    images = initial_images(problem, init, features)
    # more than ten classes: smaller labels, as in the authors' code
    labels = centred(problem.labels, classes) / math.sqrt(max(1.0, classes / 10))
    labels = labels.float().to(device)
    count = len(labels)
    flip = flip and problem.dataset.flip

    def fresh(*purpose: object) -> nn.Module:
        return built.build(architecture, problem.shape, classes, problem.seed, *purpose)

    structure = fresh("frepo")
    warn_of_batch_norm(structure)
    at_once = compute.shown_at_once(structure, problem.shape, device)  # before it leaves the CPU
    network = _Either(structure).to(device).eval().requires_grad_(False)
    names = [name for name, _ in network.named_parameters()]
    shapes = [parameter.shape for parameter in network.parameters()]
    total = len(problem.dataset.train_labels)
    batch_real = min(batch_real, total)
    read = problem.reader(iterations * batch_real)

    pool = torch.stack([values(fresh("frepo network", "pool", i)) for i in range(networks)])
    state = {
        "images": images,
        "labels": labels,
        "pool": pool.to(device),
        "ages": torch.arange(networks) * (max_updates // networks),  # staggered
        "steps": torch.zeros(networks, dtype=torch.int64),
    }
    for name in ("images", "labels", "pool"):
        state[f"{name}_first"] = torch.zeros_like(state[name])
        state[f"{name}_second"] = torch.zeros_like(state[name])

    singular = torch.zeros((), dtype=torch.bool, device=device)

    def outputs(vector: torch.Tensor, shown: torch.Tensor, embed: bool = True) -> torch.Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        views = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        return functional_call(network, dict(zip(names, views, strict=True)), (shown, embed))

    def step(iteration: int) -> None:
        stream = problem.generator("frepo", iteration)
        number = int(torch.randint(networks, (1,), generator=stream))
        positions = torch.randperm(total, generator=stream)[:batch_real]
        trained = torch.randperm(count, generator=stream)[:_MOST_TRAINED]
        positions, trained, targets = capture.to_device(
            [positions, trained, problem.dataset.train_labels[positions]], device
        )
        vector = state["pool"][number]
        with torch.no_grad():
            real = compute.in_parts(lambda x: outputs(vector, x), read(positions), at_once)
        leaves = images.clone().requires_grad_(), labels.clone().requires_grad_(learn_labels)
        value = loss(
            *(lambda x: outputs(vector, x), *leaves, real, centred(targets, classes)),
            *(ridge, flip, singular),
        )
        gradients = torch.autograd.grad(value, leaves if learn_labels else leaves[:1])
        rate = lr * (
            _LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * iteration / iterations)) / 2
        )
        for name, gradient in zip(("images", "labels"), gradients, strict=False):
            direction = _adam_direction(state, name, ..., gradient, iteration + 1, _EPSILON_LAMB)
            norms = state[name].norm(), direction.norm()
            ratio = torch.where(norms[0] * norms[1] > 0, norms[0] / norms[1], 1.0)
            state[name].sub_(direction * ratio, alpha=rate)
        if state["ages"][number] > max_updates:
            state["pool"][number] = values(fresh("frepo network", iteration)).to(device)
            for order in ("first", "second"):
                state[f"pool_{order}"][number] = 0
            state["ages"][number] = state["steps"][number] = 0
            return
        leaf = vector.clone().requires_grad_()
        errors = outputs(leaf, images[trained], embed=False) - labels[trained]
        (slope,) = torch.autograd.grad(0.5 * errors.square().sum(1).mean(), leaf)
        state["ages"][number] += 1
        state["steps"][number] += 1
        taken = int(state["steps"][number])
        direction = _adam_direction(state, "pool", number, slope, taken, _EPSILON_ADAM)
        state["pool"][number].sub_(direction, alpha=lr_network)

    def shares() -> torch.Tensor:
        return labels + 1 / classes

    def check() -> None:
        refuse_singular(singular, ridge, count * (1 + flip), "frepo")

    problem.recorder.run(
        state, step, iterations, check=check, labels=shares if learn_labels else None
    )
    return Condensed(images, shares() if learn_labels else problem.labels)


def loss(
    embed: Any,
    images: torch.Tensor,
    labels: torch.Tensor,
    real: torch.Tensor,
    targets: torch.Tensor,
    ridge: float,
    flip: bool,
    singular: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return FRePo's loss, float64.

    Parameters
    ----------
    embed : images [n, C, H, W] -> [n, d].
    images, labels : the set; labels are centred, [n, C].
    real, targets : embedding [m, d] of real images, and their centred labels [m, C].
    ridge, flip : as in ``condense``.
    singular : as in ``kip.solve``.

    Raises
    ------
    InputError
        If the ridge leaves the system singular and ``singular`` is None.
    """
    shown = torch.cat([images, images.flip(3)]) if flip else images
    answers = (torch.cat([labels, labels]) if flip else labels).double()
    embedded = embed(shown).double()
    weights = solve(embedded @ embedded.T, answers, ridge, "frepo", singular)
    errors = real.double() @ embedded.T @ weights - targets
    largest, second = labels.topk(2, dim=1).values.unbind(1)
    margin = (largest - second).clamp(max=1 / labels.shape[1])
    return 0.5 * errors.square().sum(1).mean() - margin.mean()


def _adam_direction(
    state: dict[str, torch.Tensor],
    name: str,
    place: Any,
    gradient: torch.Tensor,
    number: int,
    epsilon: float,
) -> torch.Tensor:
    """Update Adam's moments of ``state[name][place]``; return the direction of step ``number``."""
    first, second = (state[f"{name}_{order}"][place] for order in ("first", "second"))
    first.lerp_(gradient, 1 - _BETAS[0])
    second.lerp_(gradient.square(), 1 - _BETAS[1])
    mean = first / (1 - _BETAS[0] ** number)
    variance = second / (1 - _BETAS[1] ** number)
    return mean / (variance.sqrt() + epsilon)
