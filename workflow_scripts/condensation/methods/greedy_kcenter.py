"""Greedy K-Center: real images, each the farthest from those that are selected already.

The farthest-first rule of Sener & Savarese (2018, arXiv:1708.00489), within each class. Its largest
distance from an image to the nearest selected one is at most twice the smallest possible.
"""

import torch

from condensation.methods.contract import Problem


def condense(problem: Problem, *, features: str, start: str) -> torch.Tensor:
    """Return positions of ``ipc`` training images per class, int64 [classes * ipc].

    Parameters
    ----------
    features : ``pixels``, or the name of the embedding in ``problem.features``.
    start : the first image of a class: ``mean``, the one nearest to the mean, or ``random``.

    Raises
    ------
    InputError
        If a class has fewer than ``ipc`` images.
    """
    ipc = problem.images_per_class
    drawn = problem.draw_real(ipc, problem.generator("greedy k-center"))
    selected = []
    for indices, random in zip(problem.dataset.indices_by_class(), drawn, strict=True):
        points = problem.points(features, indices).double()
        if start == "mean":
            first = int((points - points.mean(0)).square().sum(1).argmin())
        else:
            first = int((indices == random[0]).nonzero())
        selected.append(indices[_farthest_first(points, first, ipc)])
    return torch.cat(selected)


def _farthest_first(points: torch.Tensor, first: int, count: int) -> torch.Tensor:
    """Return the positions of ``count`` different points [n, d], in the order of selection."""
    selected = [first]
    distances = torch.full((len(points),), torch.inf, dtype=points.dtype)
    for _ in range(count - 1):
        distances = distances.minimum((points - points[selected[-1]]).square().sum(1))
        distances[selected] = -1.0  # equal images have distance 0: never the same one twice
        selected.append(int(distances.argmax()))
    return torch.tensor(selected)
