"""K-Center: per class k-means, and the real image nearest to each centre.

Paper, Algorithm 1 and appendix A.9. It is k-means, not the greedy farthest-
point rule that earlier papers call K-Center. The paper's algorithm starts from
random images of the class; scikit-learn runs it.
"""

import logging

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances

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
    """Return the chosen positions, int64 [classes, ipc]; also the start of other methods."""
    problem.draw_real(problem.ipc, problem.generator("kcenter"))  # raises if a class is too small
    chosen = []
    for label, indices in enumerate(problem.dataset.indices_by_class()):
        if features == "pixels":
            points = problem.real(indices).flatten(1).cpu().numpy()
        else:
            points = problem.features[indices].numpy()
        means = KMeans(
            problem.ipc,
            init=start,
            n_init=restarts,
            max_iter=max_iterations,
            random_state=derive_seed(problem.seed, "kcenter", label) % 2**32,
        ).fit(points)
        log.info(
            "k-means of class %s: %d iterations", problem.dataset.classes[label], means.n_iter_
        )
        chosen.append(indices[nearest_unused(points, means.cluster_centers_)])
    return torch.stack(chosen)


def nearest_unused(points: np.ndarray, centres: np.ndarray) -> torch.Tensor:
    """Return, per centre, the position of the nearest point that no earlier centre took.

    Parameters
    ----------
    points : [n, d]; centres : [k, d], k <= n.

    Where two centres share their nearest point, the later one takes its next
    nearest, so that the result always holds k different points.
    """
    distances = pairwise_distances(centres, points)
    chosen = []
    for row in distances:
        row[chosen] = np.inf
        chosen.append(int(row.argmin()))
    return torch.tensor(chosen)
