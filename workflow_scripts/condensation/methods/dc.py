"""DC: gradient matching (Zhao, Mopuri & Bilen, 2021); with augmentation it is DSA.

For a fresh random network, ``outer`` times: per class c, the gradient of the
loss on a batch of real images and that on the synthetic images are brought
closer, and between two such steps the network is trained on the set:

    D = sum over layers, over rows i (output units) of
        1 - <S_i, R_i> / (|S_i| |R_i| + 1e-6)

over the weights; biases and norm parameters do not count.
"""

import math
from typing import Any

import torch

from condensation import augmentation as augmentations
from condensation import networks
from condensation.methods.contract import Problem
from condensation.methods.derivatives import Flat
from condensation.methods.start import initial_images


def condense(
    problem: Problem,
    *,
    init: str,
    features: str,
    iterations: int,
    outer: int,
    inner: int,
    lr: float,
    momentum: float,
    batch_real: int,
    lr_network: float,
    batch_network: int,
    distance: str,
    update: str,
    augmentation: dict[str, Any],
    architecture: dict[str, Any],
) -> torch.Tensor:
    """Return images [classes * ipc, C, H, W], standardised, in class order.

    Parameters
    ----------
    init, features : see ``methods.start``.
    iterations : number of networks.
    outer, inner : matching steps per network, and epochs of training between two of them.
    lr, momentum : of SGD on the images.
    batch_real : real images per class and step; a smaller class gives all it has.
    lr_network, batch_network : of plain SGD on the network.
    distance : ``rows`` as above, ``mse`` (squared error) or ``cosine`` (one over all weights).
    update : ``joint`` takes one step over all classes; ``class_wise`` one after each class. All
        images share one momentum, so with ``class_wise`` the images of a class move on, by
        ``momentum`` times their last move, while the following classes have their turns: the
        momentum is spent within a sweep and hardly carried to the next.
    augmentation, architecture : entries of the config.

    Memory does not grow with the number of classes: each is done with before the next begins.

    Raises InputError if a class has fewer than ``ipc`` images.
    """
    images = initial_images(problem, init, features)
    velocity = torch.zeros_like(images)
    labels = problem.labels.to(problem.device)
    augment = augmentations.build(augmentation, problem.dataset)
    by_class = problem.dataset.indices_by_class()

    def fresh(iteration: int) -> torch.nn.Module:
        return networks.build(
            *(architecture, problem.shape, problem.classes, problem.seed),
            *("dc network", iteration),
        )

    structure = fresh(0)
    # a backward pass counts twice a forward one, the pass over gradients about nine times
    passes = outer * problem.classes * (3 * batch_real + 12 * problem.ipc)
    passes += (outer - 1) * inner * 3 * len(images)
    launched = outer * problem.classes * 3
    launched += (outer - 1) * inner * math.ceil(len(images) / batch_network)
    mode = problem.mode(structure, iterations * passes, iterations * launched)
    network = Flat(structure, problem.shape, problem.device, mode)
    parameters = network.vector(structure)

    def match(label: int, stream: torch.Generator) -> torch.Tensor:
        """Return the gradient of the distance with respect to the images of one class."""
        indices = by_class[label]
        chosen = indices[torch.randperm(len(indices), generator=stream)[:batch_real]]
        drawn = augment.draw(stream, 1)
        own = slice(label * problem.ipc, (label + 1) * problem.ipc)
        real = augment.apply(problem.real(chosen), drawn)
        wanted = network.gradient(parameters, real, labels[own][:1].expand(len(real)))
        leaf = images[own].clone().requires_grad_()
        shown = augment.apply(leaf, drawn)
        found = network.gradient(parameters, shown.detach(), labels[own]).requires_grad_()
        value = _DISTANCES[distance](network.split(found), network.split(wanted))
        (direction,) = torch.autograd.grad(value, found)
        rates = network.rates_of_images(parameters, direction, shown.detach(), labels[own])
        return torch.autograd.grad(shown, leaf, rates)[0]

    def step(number: int) -> None:
        iteration, turn = divmod(number, outer)
        if turn == 0:
            parameters.copy_(network.vector(fresh(iteration)))
        gradient = torch.zeros_like(images)
        for label in range(problem.classes):
            own = slice(label * problem.ipc, (label + 1) * problem.ipc)
            gradient[own] = match(label, problem.generator("dc", iteration, turn, label))
            if update == "class_wise" or label == problem.classes - 1:
                velocity.mul_(momentum).add_(gradient)
                images.sub_(velocity, alpha=lr)
                gradient.zero_()
        if turn + 1 < outer:
            train(problem.generator("dc training", iteration, turn))

    def train(stream: torch.Generator) -> None:
        for _ in range(inner):
            for positions in torch.randperm(len(images), generator=stream).split(batch_network):
                drawn = augment.draw(stream, len(positions))
                positions = positions.to(problem.device)
                shown = augment.apply(images[positions], drawn)
                slope = network.gradient(parameters, shown, labels[positions])
                parameters.sub_(slope, alpha=lr_network)

    state = {"images": images, "velocity": velocity, "parameters": parameters}
    problem.recorder.run(state, step, iterations, parts=outer)
    return images


Tensors = list[torch.Tensor]


def _rows(found: Tensors, wanted: Tensors) -> torch.Tensor:
    """Return the sum over layers and rows of one minus the cosine."""
    total = found[0].new_zeros(())
    for ours, theirs in zip(found, wanted, strict=True):
        if ours.dim() < 2:
            continue
        ours, theirs = ours.flatten(1), theirs.flatten(1)
        norms = ours.norm(dim=1) * theirs.norm(dim=1)
        total = total + (1 - (ours * theirs).sum(1) / (norms + 1e-6)).sum()
    return total


def _mse(found: Tensors, wanted: Tensors) -> torch.Tensor:
    """Return the squared error over all parameters."""
    return sum((a - b).square().sum() for a, b in zip(found, wanted, strict=True))


def _cosine(found: Tensors, wanted: Tensors) -> torch.Tensor:
    """Return one minus the cosine between all gradients."""
    ours, theirs = (torch.cat([part.flatten() for part in parts]) for parts in (found, wanted))
    return 1 - ours @ theirs / (ours.norm() * theirs.norm() + 1e-6)


_DISTANCES = {"rows": _rows, "mse": _mse, "cosine": _cosine}
