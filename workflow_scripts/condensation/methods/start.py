"""Initial images of methods that learn images: real images, K-Center's, or noise."""

import importlib
from dataclasses import replace

import torch

from condensation.core import factors
from condensation.core.errors import InputError
from condensation.data import formation
from condensation.methods.contract import Problem


def initial_images(
    problem: Problem, init: str, features: str = "embedding", factor: int = 1
) -> torch.Tensor:
    """Return standardised images [classes * ipc, C, H, W] in class order, on the device.

    ``init`` is ``random`` (the images of the method Random with the same seed), ``kcenter`` or
    ``noise`` (standard normal). With a ``factor`` above 1, an image holds factor^2 real images,
    made smaller (``data.formation``).

    Raises
    ------
    InputError
        If a class has too few images, or the factor leaves parts of an image without a pixel.
    """
    if refused := factors.problem(factor, problem.shape):
        raise InputError(refused)
    if init == "noise":
        shape = (problem.classes * problem.images_per_class, *problem.shape)
        return torch.randn(shape, generator=problem.generator("noise")).to(problem.device)
    problem = replace(problem, ipc=problem.images_per_class * factor**2)
    if init == "kcenter":
        # by name, so that the digests of methods with other starts do not cover K-Center
        selected = importlib.import_module("condensation.methods.kcenter").select(problem, features)
    else:
        selected = problem.draw_real(problem.images_per_class, problem.generator("random"))
    return formation.encode(problem.real(selected.flatten()), factor)
