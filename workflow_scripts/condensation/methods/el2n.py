"""EL2N: the real images of each class with the largest error of a network in training.

Paul, Ganguli & Dziugaite (2021, arXiv:2107.07075). The paper ranks the images of all classes
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
    return scored.select(problem, "el2n", features, order)
