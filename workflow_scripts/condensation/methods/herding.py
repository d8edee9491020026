"""Herding: real images, one by one, whose mean follows the mean of their class.

Welling (2009), in the form of iCaRL (Rebuffi et al., 2017, arXiv:1611.07725, Algorithm 4). Image k
is the one that brings the mean of the first k nearest to the mean of the class, in an embedding
whose vectors have length 1.
"""

import torch
import torch.nn.functional as F

from condensation.methods.contract import Problem


def condense(problem: Problem, *, features: str, normalize: bool) -> torch.Tensor:
    """Return positions of ``ipc`` training images per class, int64 [classes * ipc].

    Parameters
    ----------
    features : ``pixels``, or the name of the embedding in ``problem.features``.
    normalize : scale the vectors to length 1 first.

    Raises
    ------
    InputError
        If a class has fewer than ``ipc`` images.
    """
    ipc = problem.images_per_class
    problem.require(ipc)
    selected = []
    for indices in problem.dataset.indices_by_class():
        points = problem.points(features, indices).double()
        selected.append(indices[_herd(F.normalize(points) if normalize else points, ipc)])
    return torch.cat(selected)


def _herd(points: torch.Tensor, count: int) -> torch.Tensor:
    """Return the positions of ``count`` points [n, d] in the order of herding."""
    mean, total = points.mean(0), torch.zeros_like(points[0])
    free = torch.ones(len(points), dtype=torch.bool)
    selected = []
    for number in range(1, count + 1):
        distances = ((total + points) / number - mean).square().sum(1)
        nearest = int(distances.masked_fill(~free, torch.inf).argmin())
        free[nearest] = False
        total += points[nearest]
        selected.append(nearest)
    return torch.tensor(selected)
