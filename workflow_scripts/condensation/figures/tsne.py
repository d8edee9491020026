"""The map of figure 7, separate from its drawing, so that style changes do not recompute it."""

from collections.abc import Sequence

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from condensation.core.errors import InputError


def neighbour_map(parts: Sequence[np.ndarray], seed: int = 0) -> list[np.ndarray]:
    """Return the joint t-SNE map (van der Maaten & Hinton, 2008) of several groups of features.

    Parameters
    ----------
    parts : features, [n_i, d] each.
    seed : of scikit-learn's t-SNE, which starts from the principal components.

    Returns
    -------
    float32 [n_i, 2] each. The perplexity is 30, or a third of the points if they are few; a map of
    fewer than four points is all zeros.

    Raises
    ------
    InputError
        If the features are all equal, or not finite.
    """
    rows = np.concatenate(parts).astype(np.float64)
    if not np.isfinite(rows).all() or (len(rows) > 1 and (rows == rows[0]).all()):
        raise InputError(
            "figure7.features: the network gives all images of the class the same features, or "
            "none that are finite; take another architecture (norms of single values are dead, as "
            "in a ResNet on 8x8 images), more epochs or a smaller step size"
        )
    if len(rows) < 4:
        return [np.zeros((len(part), 2), np.float32) for part in parts]
    perplexity = min(30.0, (len(rows) - 1) / 3)
    method = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    with threadpool_limits(1):  # the order of sums depends on the number of threads
        places = method.fit_transform(rows)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return np.split(places.astype(np.float32), ends)
