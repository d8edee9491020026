"""Random: IPC images per class, uniform without replacement (the protocol of all papers)."""

import torch

from condensation.methods.contract import Problem


def condense(problem: Problem) -> torch.Tensor:
    """Return positions of ``ipc`` training images per class, int64 [classes * ipc]."""
    return problem.draw_real(problem.images_per_class, problem.generator("random")).flatten()
