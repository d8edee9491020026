"""Forgetting: the real images of each class with the most forgetting events.

Toneva et al. (2019, arXiv:1812.05159). The paper ranks the images of all classes
together and drops a part of them; here each class keeps ``ipc``. The scores come with the features
(``training.scores``).
"""

import torch

from condensation.methods import scored
from condensation.methods.contract import Problem


def condense(problem: Problem, *, features: str, order: str) -> torch.Tensor:
    """Return positions of ``ipc`` training images per class, int64 [classes * ipc].

    Options and errors as in ``scored.select``.
    """
    return scored.select(problem, "forgetting", features, order)
