"""Where synthesising methods start: real images, K-Center's choice, or noise."""

import importlib

import torch

from condensation.methods.contract import Problem


def initial_images(problem: Problem, init: str, features: str = "embedding") -> torch.Tensor:
    """Return standardised images [classes * ipc, C, H, W] in class order, on the device.

    ``init`` is ``random`` (real images, drawn as the method Random draws them
    for the same seed), ``kcenter`` or ``noise`` (standard normal).
    """
    if init == "noise":
        shape = (problem.classes * problem.ipc, *problem.shape)
        return torch.randn(shape, generator=problem.generator("noise")).to(problem.device)
    if init == "kcenter":
        # by name: a digest of a method that starts elsewhere does not cover K-Center
        chosen = importlib.import_module("condensation.methods.kcenter").select(problem, features)
    else:
        chosen = problem.draw_real(problem.ipc, problem.generator("random"))
    return problem.real(chosen.flatten())
