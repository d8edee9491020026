"""The training images of each class with the largest or smallest scores."""

import torch

from condensation.core.errors import InputError
from condensation.methods.contract import Problem


def select(problem: Problem, score: str, features: str, order: str) -> torch.Tensor:
    """Return positions of ``ipc`` training images per class, int64 [classes * ipc].

    Images with equal scores come in random order.

    Parameters
    ----------
    score : a name in ``problem.scores``.
    features : the features that the scores belong to, for the error message.
    order : ``hardest`` for the largest scores, ``easiest`` for the smallest.

    Raises
    ------
    InputError
        If the features have no such scores, or if a class has fewer than ``ipc`` images.
    """
    if score not in problem.scores:
        raise InputError(f"the features {features!r} have no scores: set `scores: true` there")
    ipc, stream = problem.images_per_class, problem.generator(score)
    problem.require(ipc)
    selected = []
    for indices in problem.dataset.indices_by_class():
        shuffled = indices[torch.randperm(len(indices), generator=stream)]
        ranks = problem.scores[score][shuffled].argsort(descending=order == "hardest", stable=True)
        selected.append(shuffled[ranks[:ipc]])
    return torch.cat(selected)
