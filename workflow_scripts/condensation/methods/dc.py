"""DC: gradient matching (Zhao, Mopuri & Bilen, 2021, arXiv:2006.05929); with augmentation, DSA.

Each new random network takes ``outer`` matching steps. A step moves the synthetic images of each
class so that the gradient of their loss approaches that of a batch of real images. Between two
steps the network is trained on the set. The distance between the gradients S and R is

    D = sum over layers, over rows i (output units) of
        1 - <S_i, R_i> / (|S_i| |R_i| + 1e-6)

summed over the weights without biases and norm parameters.
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
    batch_real : real images per class and step; a smaller class uses all its images.
    lr_network, batch_network : of plain SGD on the network.
    distance : ``rows`` as above, ``mse`` (squared error) or ``cosine`` (one over all weights).
    update : ``joint`` takes one step for all classes; ``class_wise`` one after each class. All
        images share one velocity, so with ``class_wise`` the images of a class keep moving by
        ``momentum`` times their last move during the steps of the following classes. The
        momentum is then spent within one pass over the classes.
    augmentation, architecture : entries of the config.

    Memory does not grow with the number of classes, which are processed one after the other.

    Raises
    ------
    InputError
        If a class has fewer than ``ipc`` images.
    """
    ipc = problem.images_per_class
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
    # a backward pass costs two forward passes, the second-order pass about nine
    passes = outer * problem.classes * (3 * batch_real + 12 * ipc)
    passes += (outer - 1) * inner * 3 * len(images)
    launched = outer * problem.classes * 3
    launched += (outer - 1) * inner * math.ceil(len(images) / batch_network)
    mode = problem.mode(structure, iterations * passes, iterations * launched)
    network = Flat(structure, problem.shape, problem.device, mode)
    parameters = network.vector(structure)

    def match(label: int, stream: torch.Generator) -> torch.Tensor:
        """Return the gradient of the distance with respect to the images of one class."""
        indices = by_class[label]
        selected = indices[torch.randperm(len(indices), generator=stream)[:batch_real]]
        drawn = augment.draw(stream, 1)
        of_class = slice(label * ipc, (label + 1) * ipc)
        real = augment.apply(problem.real(selected), drawn)
        real_gradient = network.gradient(parameters, real, labels[of_class][:1].expand(len(real)))
        leaf = images[of_class].clone().requires_grad_()
        synthetic = augment.apply(leaf, drawn)
        gradient = network.gradient(
            parameters, synthetic.detach(), labels[of_class]
        ).requires_grad_()
        value = _DISTANCES[distance](network.split(gradient), network.split(real_gradient))
        (direction,) = torch.autograd.grad(value, gradient)
        rates = network.rates_of_images(parameters, direction, synthetic.detach(), labels[of_class])
        return torch.autograd.grad(synthetic, leaf, rates)[0]

    def step(number: int) -> None:
        iteration, turn = divmod(number, outer)
        if turn == 0:
            parameters.copy_(network.vector(fresh(iteration)))
        gradient = torch.zeros_like(images)
        for label in range(problem.classes):
            of_class = slice(label * ipc, (label + 1) * ipc)
            gradient[of_class] = match(label, problem.generator("dc", iteration, turn, label))
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
                batch = augment.apply(images[positions], drawn)
                gradient = network.gradient(parameters, batch, labels[positions])
                parameters.sub_(gradient, alpha=lr_network)

    state = {"images": images, "velocity": velocity, "parameters": parameters}
    problem.recorder.run(state, step, iterations, parts=outer)
    return images


Tensors = list[torch.Tensor]


def _rows(synthetic: Tensors, real: Tensors) -> torch.Tensor:
    """Return one minus the cosine, summed over layers and rows."""
    total = synthetic[0].new_zeros(())
    for s, r in zip(synthetic, real, strict=True):
        if s.dim() < 2:
            continue
        s, r = s.flatten(1), r.flatten(1)
        norms = s.norm(dim=1) * r.norm(dim=1)
        total = total + (1 - (s * r).sum(1) / (norms + 1e-6)).sum()
    return total


def _mse(synthetic: Tensors, real: Tensors) -> torch.Tensor:
    """Return the squared error over all parameters."""
    total = synthetic[0].new_zeros(())
    for s, r in zip(synthetic, real, strict=True):
        total = total + (s - r).square().sum()
    return total


def _cosine(synthetic: Tensors, real: Tensors) -> torch.Tensor:
    """Return one minus the cosine between the concatenated gradients."""
    s, r = (torch.cat([part.flatten() for part in parts]) for parts in (synthetic, real))
    return 1 - s @ r / (s.norm() * r.norm() + 1e-6)


_DISTANCES = {"rows": _rows, "mse": _mse, "cosine": _cosine}
