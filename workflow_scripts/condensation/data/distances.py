"""Diversity, representativeness, density and coverage of points, and their nearest real points.

All functions take float64 points [n, d], for example the images of a class as rows of pixels, and
use Euclidean distances. Density and coverage are those of Naeem et al. (2020, arXiv:2002.09797).
Their ball around a real point has the distance to its k-th nearest other real point as its radius.
Here a point on the surface of a ball lies in it, so that a selected real point counts.
"""

from dataclasses import dataclass

import torch

K = 5  # neighbours, the number that the paper proposes
CLOSE = 0.5  # of the median distance of a real point to its nearest other
_ROWS = 1000  # points compared at a time
_ROUNDING = 1e-5  # of a distance; a grey level is hundreds of times as much


@dataclass(frozen=True)
class Neighbours:
    """Distances of each real point to the other real points.

    Attributes
    ----------
    nearest : float64 [n], distance to the nearest other point.
    radius : float64 [n], distance to the k-th nearest other point.

    Both are infinite where there is no other point.
    """

    nearest: torch.Tensor
    radius: torch.Tensor


def neighbours(points: torch.Tensor, k: int = K) -> Neighbours:
    """Return the distances of each point to its nearest and k-th nearest other point.

    With k other points or fewer, the radius reaches the farthest of them.

    Examples
    --------
    >>> line = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    >>> distances = neighbours(line, k=2)
    >>> distances.nearest.tolist(), distances.radius.tolist()
    ([1.0, 1.0, 2.0], [3.0, 2.0, 3.0])
    """
    k = min(k, len(points) - 1)
    if k < 1:
        alone = torch.full((len(points),), torch.inf, dtype=torch.float64)
        return Neighbours(alone, alone)
    parts = []
    for start in range(0, len(points), _ROWS):
        distances = torch.cdist(points[start : start + _ROWS], points)
        rows = torch.arange(len(distances))
        distances[rows, start + rows] = torch.inf  # a point is not its neighbour
        parts.append(distances.topk(k, largest=False).values)
    smallest = torch.cat(parts)
    return Neighbours(smallest[:, 0].contiguous(), smallest[:, -1].contiguous())


def nearest(points: torch.Tensor, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the position of the nearest real point of each point, int64 [n], and its distance."""
    positions = torch.cat([torch.cdist(part, real).argmin(1) for part in points.split(_ROWS)])
    # once more by differences: a copy has distance 0, without the rounding of a product
    return positions, (points - real[positions]).norm(dim=1)


def diversity(points: torch.Tensor) -> float | None:
    """Return the mean distance between two different points; None for a single point.

    Examples
    --------
    >>> diversity(torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64))  # of 1, 2 and 3
    2.0
    """
    return None if len(points) < 2 else float(torch.pdist(points).mean())


def representativeness(points: torch.Tensor, real: torch.Tensor) -> float:
    """Return the mean over real points of the distance to the nearest of ``points``.

    It is the smaller the better ``points`` stand for the real ones.
    """
    return float(nearest(real, points)[1].mean())


def density_and_coverage(
    points: torch.Tensor, real: torch.Tensor, around: Neighbours, k: int = K
) -> tuple[float | None, float | None]:
    """Return density and coverage; None for both if there is a single real point.

    Density is the mean number of balls around real points in which a point lies, divided by k.
    Coverage is the share of balls in which at least one point lies.

    Parameters
    ----------
    around : ``neighbours`` of the real points, with the same ``k``.
    """
    k = min(k, len(real) - 1)
    if k < 1:
        return None, None
    inside, hit = 0, torch.zeros(len(real), dtype=torch.bool)
    for part in points.split(_ROWS):
        within = torch.cdist(part, real) <= around.radius + _ROUNDING
        inside += int(within.sum())
        hit |= within.any(0)
    return inside / (k * len(points)), float(hit.double().mean())


def close_share(distances: torch.Tensor, around: Neighbours) -> float | None:
    """Return the share of points that lie close to a real one; None if there is a single real one.

    Close is a distance of at most ``CLOSE`` times the median distance of a real point to its
    nearest other: a sign that the point is a copy.

    Parameters
    ----------
    distances : of each point to its nearest real point, as ``nearest`` returns them.
    around : ``neighbours`` of the real points.
    """
    if len(around.nearest) < 2:
        return None
    usual = float(around.nearest.quantile(0.5))
    return float((distances <= CLOSE * usual + _ROUNDING).double().mean())
