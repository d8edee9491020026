"""Random labels, a control: the images of Random, with labels that say nothing about them."""

import torch

from condensation.methods import random
from condensation.methods.contract import Problem


def condense(problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    """Return standardised images [classes * ipc, C, H, W] and shuffled labels [classes * ipc].

    The images are those of Random with the same seed. Each label is given to ``ipc`` images, so
    a network that learns the set is right by chance.
    """
    selected = random.condense(problem)
    order = torch.randperm(len(selected), generator=problem.generator("random labels"))
    return problem.real(selected), problem.labels[order]
