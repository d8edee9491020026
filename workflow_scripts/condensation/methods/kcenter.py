"""K-Center: per class k-means, and the real image nearest to each centre.

Algorithm 1 and appendix A.9 of DC-BENCH (Cui et al., 2022, arXiv:2207.09639). This is k-means,
not the greedy farthest-point rule that earlier papers call K-Center. The algorithm starts from
random images of the class. scikit-learn runs k-means.
"""

import logging

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances
from threadpoolctl import threadpool_limits

from condensation.core.randomness import derive_seed
from condensation.methods.contract import Problem

log = logging.getLogger("condensation")


def condense(
    problem: Problem, *, features: str, start: str, max_iterations: int, restarts: int
) -> torch.Tensor:
    """Return positions of ``ipc`` training images per class, int64 [classes * ipc].

    ``features`` is ``pixels``, or the name of the embedding in ``problem.features``.
    """
    return select(problem, features, start, max_iterations, restarts).flatten()


def select(
    problem: Problem,
    features: str,
    start: str = "random",
    max_iterations: int = 300,
    restarts: int = 1,
) -> torch.Tensor:
    """Return the selected positions, int64 [classes, ipc]; other methods start from them."""
    ipc = problem.images_per_class
    problem.require(ipc)
    selected = []
    for label, indices in enumerate(problem.dataset.indices_by_class()):
        points = problem.points(features, indices).numpy()
        means = KMeans(
            ipc,
            init=start,
            n_init=restarts,
            max_iter=max_iterations,
            random_state=derive_seed(problem.seed, "kcenter", label) % 2**32,
        )
        with threadpool_limits(1):  # the order of sums depends on the number of threads
            means.fit(points)
            chosen = nearest_unused(points, means.cluster_centers_)
        log.info(
            "k-means of class %s: %d iterations", problem.dataset.classes[label], means.n_iter_
        )
        selected.append(indices[chosen])
    return torch.stack(selected)


def nearest_unused(points: np.ndarray, centres: np.ndarray) -> torch.Tensor:
    """Return, for each centre, the position of the nearest point not taken by an earlier centre.

    Parameters
    ----------
    points : [n, d]; centres : [k, d], k <= n.

    If two centres share their nearest point, the later one takes the next nearest: the result
    always holds k different points.
    """
    distances = pairwise_distances(centres, points)
    selected: list[int] = []
    for row in distances:
        row[selected] = np.inf
        selected.append(int(row.argmin()))
    return torch.tensor(selected)
