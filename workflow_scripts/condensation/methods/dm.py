"""DM: distribution matching (Zhao & Bilen, 2023, arXiv:2110.04181).

Each iteration draws a new random network. It moves the synthetic images of each class so that
the mean of their embeddings approaches that of a batch of real images. Both batches share one
draw of the augmentation (siamese):

    loss = sum over classes c of || mean f(A_c(real_c)) - mean f(A_c(synthetic_c)) ||^2
"""

import math
from typing import Any

import torch

from condensation import augmentation as augmentations
from condensation import networks
from condensation.core import compute
from condensation.methods.contract import Problem
from condensation.methods.start import initial_images

# Real images in one forward pass: bounds memory for any number of classes.
_MOST_REAL = 1024


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
) -> torch.Tensor:
    """Return images [classes * ipc, C, H, W], standardised, in class order.

    Parameters
    ----------
    init, features : see ``methods.start``.
    iterations : number of updates, each with a new network.
    lr, momentum : of SGD on the images.
    batch_real : real images per class and iteration; a smaller class uses all its images.
    augmentation, architecture : entries of the config.

    Raises
    ------
    InputError
        If a class has fewer than ``ipc`` images.
    """
    ipc = problem.images_per_class
    images = initial_images(problem, init, features)
    velocity = torch.zeros_like(images)
    augment = augmentations.build(augmentation, problem.dataset)
    network = networks.build(architecture, problem.shape, problem.classes, problem.seed, "dm")
    network = network.to(problem.device).train().requires_grad_(False)
    passes = iterations * problem.classes * (batch_real + 3.0 * ipc)
    per_pass = max(1, _MOST_REAL // batch_real)
    steps = iterations * 2 * math.ceil(problem.classes / per_pass)
    mode = problem.mode(network, passes, steps)
    embed = compute.compiled(network.embed, mode.compile, problem.device)
    read = problem.reader(iterations * problem.classes * batch_real)
    at_once = compute.images_at_once(network, problem.shape, problem.device)
    by_class = problem.dataset.indices_by_class()
    classes_needed = -(-compute.fewest_at_once(network, problem.shape) // ipc)
    per_pass = max(per_pass, classes_needed)
    groups = [
        range(int(labels[0]), int(labels[-1]) + 1)
        for labels in compute.batches(torch.arange(problem.classes), per_pass, classes_needed)
    ]

    def step(iteration: int) -> None:
        fresh = networks.build(
            architecture, problem.shape, problem.classes, problem.seed, "dm network", iteration
        )
        network.load_state_dict(fresh.state_dict())
        gradient = torch.zeros_like(images)
        for group in groups:
            # one stream per class, so that the draws do not depend on the grouping
            streams = [problem.generator("dm", iteration, label) for label in group]
            selected = [
                by_class[label][torch.randperm(len(by_class[label]), generator=stream)[:batch_real]]
                for label, stream in zip(group, streams, strict=True)
            ]
            drawn = [augment.draw(stream, 1) for stream in streams]
            counts = [len(part) for part in selected]
            with torch.no_grad():
                # augment in float32: in bf16 the sampling grid is off by whole pixels
                real = read(torch.cat(selected)).split(counts)
                real = torch.cat(list(map(augment.apply, real, drawn)))
                with compute.lower_precision(mode.precision, problem.device):
                    targets = _class_means(compute.in_parts(embed, real, at_once), counts)
            of_group = slice(group.start * ipc, group.stop * ipc)
            leaf = images[of_group].clone().requires_grad_()
            synthetic = torch.cat(list(map(augment.apply, leaf.split(ipc), drawn)))
            means = _class_means(compute.in_parts(embed, synthetic, at_once), [ipc] * len(group))
            gradient[of_group] = torch.autograd.grad((targets - means).square().sum(), leaf)[0]
        velocity.mul_(momentum).add_(gradient)
        images.sub_(velocity, alpha=lr)

    problem.recorder.run({"images": images, "velocity": velocity}, step, iterations)
    return images


def _class_means(embedding: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    return torch.stack([part.float().mean(0) for part in embedding.split(sizes)])
