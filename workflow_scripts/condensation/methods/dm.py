"""DM: distribution matching (Zhao & Bilen, 2023, arXiv:2110.04181).

Each iteration draws a new random network. It moves the synthetic images of each class so that
the mean of their embeddings approaches that of a batch of real images. Both batches share one
draw of the augmentation (siamese):

    loss = sum over classes c of || mean f(A_c(real_c)) - mean f(A_c(synthetic_c)) ||^2

A network with batch norm sees all classes in one pass, as in the released code.
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
from condensation.methods.derivatives import values
from condensation.methods.redrawn import Redrawn
from condensation.methods.start import initial_images

_MOST_REAL = 1024  # real images of a group of classes on a CPU: bounds memory for any number
_LAYERS_HELD = 3  # outputs of layers that a pass without a graph holds at a time


def condense(
    problem: Problem,
    *,
    init: str,
    features: str,
    iterations: int,
    lr: float,
    momentum: float,
    batch_real: int,
    augmentation: dict[str, Any],
    architecture: dict[str, Any],
    factor: int = 1,
) -> Condensed:
    """Return images [classes * ipc, C, H, W], standardised, in class order.

    Parameters
    ----------
    init, features : see ``methods.start``.
    iterations : number of updates, each with a new network.
    lr, momentum : of SGD on the images.
    batch_real : real images per class and iteration; a smaller class uses all its images.
    augmentation, architecture : entries of the config.
    factor : each image holds factor^2 training images (``data.formation``).

    Raises
    ------
    InputError
        If a class has fewer images than the set starts from.
    """
    ipc = problem.images_per_class
    images = initial_images(problem, init, features, factor)
    shown = ipc * factor**2  # training images per class
    velocity = torch.zeros_like(images)
    augment = augmentations.build(augmentation, problem.dataset)
    structure = networks.build(architecture, problem.shape, problem.classes, problem.seed, "dm")
    # batch norm takes its statistics over all classes, whatever the memory
    most_real = None if compute.has_batch_norm(structure) else _most_real(problem, structure)
    per_pass = max(1, most_real // batch_real) if most_real else problem.classes
    network = Redrawn(structure, problem.device)
    passes = iterations * problem.classes * (batch_real + 3.0 * shown)
    steps = iterations * 2 * math.ceil(problem.classes / per_pass)
    mode = problem.mode(structure, passes, steps)
    embed = compute.compiled(structure.embed, mode.compile, problem.device)
    read = problem.reader(iterations * problem.classes * batch_real)
    at_once = compute.images_at_once(structure, problem.shape, problem.device)
    real_at_once = at_once or most_real
    by_class = problem.dataset.indices_by_class()
    counts = [min(batch_real, len(indices)) for indices in by_class]
    classes_needed = -(-compute.fewest_at_once(structure, problem.shape) // shown)
    groups = [
        slice(int(labels[0]), int(labels[-1]) + 1)
        for labels in compute.batches(torch.arange(problem.classes), per_pass, classes_needed)
    ]

    def differentiate(positions: torch.Tensor, draws: Any) -> torch.Tensor:
        """Return the gradient of the loss for all images."""
        selected = positions.split(counts)
        gradients = []
        for group in groups:
            of_group = slice(group.start * ipc, group.stop * ipc)
            with torch.no_grad():
                # augment in float32: in bf16 the sampling grid is off by whole pixels
                real = read(torch.cat(selected[group]))
                real = packing.apply_to_classes(augment, real, draws[group], counts[group])
                with compute.lower_precision(mode.precision, problem.device):
                    targets = _class_means(
                        compute.in_parts(embed, real, real_at_once), counts[group]
                    )
            leaf = images[of_group].clone().requires_grad_()
            of_class = [shown] * (group.stop - group.start)
            synthetic = packing.apply_to_classes(
                augment, formation.decode(leaf, factor), draws[group], of_class
            )
            means = _class_means(compute.in_parts(embed, synthetic, at_once), of_class)
            gradients.append(torch.autograd.grad((targets - means).square().sum(), leaf)[0])
        return torch.cat(gradients)

    gradient = capture.Captured(differentiate, problem.device, possible=packing.static(augment))

    def step(iteration: int) -> None:
        # one stream per class, so that the draws do not depend on the grouping
        streams = [problem.generator("dm", iteration, label) for label in range(problem.classes)]
        positions = torch.cat(
            [
                indices[torch.randperm(len(indices), generator=stream)[:batch_real]]
                for indices, stream in zip(by_class, streams, strict=True)
            ]
        )
        draws = packing.for_classes(
            augment, [augment.draw(stream, 1) for stream in streams], problem.device
        )
        fresh = networks.build(
            architecture, problem.shape, problem.classes, problem.seed, "dm network", iteration
        )
        vector, *drawn = capture.to_device([values(fresh), positions, draws], problem.device)
        network.load(vector, fresh)
        velocity.mul_(momentum).add_(gradient(*drawn))
        images.sub_(velocity, alpha=lr)

    problem.recorder.run({"images": images, "velocity": velocity}, step, iterations)
    return Condensed(images, problem.labels, factor=factor)


def _most_real(problem: Problem, network: torch.nn.Module) -> int:
    """Return how many real images a pass may take: on a GPU, what half of its memory holds."""
    if problem.device.type == "cpu":
        return _MOST_REAL
    largest = max(compute.values_of_layers(network, problem.shape))
    fitting = problem.memory_mb * 1e6 / 2 // (_LAYERS_HELD * 4 * largest)
    return max(1, int(fitting))


def _class_means(embedding: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    return torch.stack([part.float().mean(0) for part in embedding.split(sizes)])
