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
from condensation.augmentation import packing
from condensation.core import capture, compute
from condensation.data import formation
from condensation.data.sets import Condensed
from condensation.methods.contract import Problem
from condensation.methods.derivatives import Flat, values
from condensation.methods.start import initial_images

_GRAPH_BYTES = 8  # of a gradient's graph, per value that a layer outputs: values and gradients


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
    factor: int = 1,
) -> Condensed:
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
    factor : each image holds factor^2 training images (``data.formation``).

    On a CPU the classes are processed one after the other. A GPU takes as many at once as fit into
    half of its memory.

    Raises
    ------
    InputError
        If a class has fewer images than the set starts from.
    """
    ipc = problem.images_per_class
    images = initial_images(problem, init, features, factor)
    shown = ipc * factor**2  # training images per class
    velocity = torch.zeros_like(images)
    labels = torch.arange(problem.classes).repeat_interleave(shown).to(problem.device)
    augment = augmentations.build(augmentation, problem.dataset)
    by_class = problem.dataset.indices_by_class()

    def fresh(iteration: int) -> torch.nn.Module:
        return networks.build(
            *(architecture, problem.shape, problem.classes, problem.seed),
            *("dc network", iteration),
        )

    structure = fresh(0)
    # a backward pass costs two forward passes, the second-order pass about nine
    passes = outer * problem.classes * (3 * batch_real + 12 * shown)
    passes += (outer - 1) * inner * 3 * len(labels)
    counts = [min(batch_real, len(indices)) for indices in by_class]
    together = 1
    if update == "joint" and len(set(counts)) == 1:
        # the derivative of a gradient needs the memory of two
        together = _classes_together(problem, structure, max(counts[0], 2 * shown))
    groups = [range(problem.classes)[i : i + together] for i in range(0, problem.classes, together)]
    launched = outer * len(groups) * 3
    launched += (outer - 1) * inner * math.ceil(len(labels) / batch_network)
    mode = problem.mode(structure, iterations * passes, iterations * launched)
    network = Flat(structure, problem.shape, problem.device, mode)
    parameters = network.vector(structure)
    of_distance = torch.func.grad(
        lambda gradient, real: _DISTANCES[distance](network.split(gradient), network.split(real))
    )

    def match(
        chosen: torch.Tensor, classes: torch.Tensor, positions: torch.Tensor, draws: Any
    ) -> torch.Tensor:
        """Return the gradient of the distance with respect to the images of some classes.

        ``chosen`` and ``positions`` are those of the synthetic and real images, [classes * n].
        """
        many = len(classes)
        real = packing.apply_to_classes(
            augment, problem.real(positions), draws, [len(positions) // many] * many
        )
        leaf = images[chosen].requires_grad_()
        synthetic = packing.apply_to_classes(
            augment, formation.decode(leaf, factor), draws, [shown] * many
        )
        batches = [part.detach().view(many, -1, *problem.shape) for part in (real, synthetic)]
        targets = [classes[:, None].expand(-1, batch.shape[1]) for batch in batches]
        real_gradients, gradients = (
            network.gradients(parameters, *pair) for pair in zip(batches, targets, strict=True)
        )
        directions = (
            torch.func.vmap(of_distance)(gradients, real_gradients)
            if many > 1
            else of_distance(gradients[0], real_gradients[0])[None]
        )
        rates = network.rates_of_each(parameters, directions, batches[1], targets[1])
        return torch.autograd.grad(synthetic, leaf, rates.flatten(0, 1))[0]

    def train(positions: torch.Tensor, draws: Any) -> None:
        """Take a step of the network on the images at ``positions``."""
        batch = augment.apply(formation.decode(images, factor)[positions], draws)
        parameters.sub_(network.gradient(parameters, batch, labels[positions]), alpha=lr_network)

    static = packing.static(augment)
    captured_match = capture.Captured(match, problem.device, possible=static)
    captured_train = capture.Captured(train, problem.device, possible=static)

    def draw(iteration: int, turn: int) -> list[Any]:
        """Return the draws of a turn: network, groups of classes, training batches."""
        drawn: list[Any] = [values(fresh(iteration))] if turn == 0 else []
        for group in groups:
            streams = [problem.generator("dc", iteration, turn, label) for label in group]
            positions = [
                by_class[label][torch.randperm(len(by_class[label]), generator=stream)[:batch_real]]
                for label, stream in zip(group, streams, strict=True)
            ]
            draws = [augment.draw(stream, 1) for stream in streams]
            chosen = torch.arange(group.start * ipc, group.stop * ipc)
            drawn += [chosen, torch.tensor(group), torch.cat(positions)]
            drawn.append(packing.for_classes(augment, draws, problem.device))
        if turn + 1 < outer:
            stream = problem.generator("dc training", iteration, turn)
            for _ in range(inner):
                for positions in torch.randperm(len(labels), generator=stream).split(batch_network):
                    draws = augment.draw(stream, len(positions))
                    drawn += [positions, packing.for_device(augment, draws, problem.device)]
        return drawn

    def step(number: int) -> None:
        iteration, turn = divmod(number, outer)
        arrived = iter(capture.to_device(draw(iteration, turn), problem.device))
        if turn == 0:
            parameters.copy_(next(arrived))
        gradient = torch.zeros_like(images)
        for group in groups:
            arguments = [next(arrived) for _ in range(4)]
            gradient[group.start * ipc : group.stop * ipc] = captured_match(*arguments)
            if update == "class_wise" or group.stop == problem.classes:
                velocity.mul_(momentum).add_(gradient)
                images.sub_(velocity, alpha=lr)
                gradient.zero_()
        for positions in arrived:
            captured_train(positions, next(arrived))

    state = {"images": images, "velocity": velocity, "parameters": parameters}
    problem.recorder.run(state, step, iterations, parts=outer)
    return Condensed(images, problem.labels, factor=factor)


def _classes_together(problem: Problem, network: torch.nn.Module, held: int) -> int:
    """Return how many classes to match at once: on a GPU, as many as half of its memory holds.

    It holds the graphs of ``held`` images of each class.
    """
    if not capture.pays(problem.device):
        return 1
    values = sum(compute.values_of_layers(network, problem.shape))
    fitting = problem.memory_mb * 1e6 / 2 // (_GRAPH_BYTES * held * values)
    return int(min(problem.classes, max(1, fitting)))


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
