"""TM: matching training trajectories, or MTT (Cazenavette et al., 2022, arXiv:2203.11932).

A student starts at theta_0, the parameters of an expert after some epoch, and takes N gradient
steps of size a on the set, each with a new augmentation. A few epochs later the expert was at
theta*. SGD on the images and on a minimises

    |theta_N - theta*|^2 / |theta_0 - theta*|^2

The gradients are computed in ``trajectory_gradients``.
"""

from dataclasses import replace
from typing import Any

import torch

from condensation import augmentation as augmentations
from condensation import networks
from condensation.augmentation import packing
from condensation.core import capture, compute, memory
from condensation.core.errors import InputError
from condensation.data import formation
from condensation.data.sets import Condensed
from condensation.methods.contract import Problem
from condensation.methods.derivatives import Flat
from condensation.methods.start import initial_images
from condensation.methods.trajectory_gradients import GRADIENTS, Step


def condense(
    problem: Problem,
    *,
    init: str,
    features: str,
    iterations: int,
    trajectories: str,
    experts: int,
    steps: int,
    expert_epochs: int,
    max_start: int,
    batch_syn: int | None,
    lr: float,
    lr_step: float,
    step_size: float,
    momentum: float,
    gradient: str,
    chunk: int | None,
    augmentation: dict[str, Any],
    architecture: dict[str, Any],
    factor: int = 1,
) -> Condensed:
    """Return images [classes * ipc, C, H, W] in class order, and the learned step size.

    Parameters
    ----------
    init, features : see ``methods.start``.
    trajectories, experts : name and number of the experts in ``problem.trajectories``.
    steps, expert_epochs : expert epochs that N student steps must cover.
    max_start : students start after one of the epochs 0 .. max_start - 1.
    batch_syn : images per student step, in passes over the shuffled set; None for all.
    lr, lr_step, momentum : of SGD on the images and on the step size.
    step_size : initial step size of the student.
    gradient : ``exact``, ``unroll`` or ``tesla``; ``auto`` unrolls if the graph fits into memory.
    chunk : maximum number of images in one pass; None for the fastest number.
    augmentation, architecture : entries of the config.
    factor : each image holds factor^2 training images (``data.formation``).

    Raises
    ------
    InputError
        If there are too few experts or epochs.
    FloatingPointError
        If the step size falls to zero or below, where the student would ascend.
    """
    loaded = problem.trajectories
    if loaded is None or len(loaded.snapshots) < experts:
        raise InputError(
            f"tm: {experts} experts of {trajectories!r} are needed, "
            f"{len(loaded.snapshots) if loaded else 0} are available"
        )
    if max_start - 1 + expert_epochs > loaded.epochs:
        raise InputError(
            f"tm: max_start {max_start} - 1 + expert_epochs {expert_epochs} needs epoch "
            f"{max_start - 1 + expert_epochs}, but the experts {trajectories!r} were trained for "
            f"{loaded.epochs}"
        )
    images = initial_images(problem, init, features, factor)
    velocity = torch.zeros_like(images)
    a = torch.full((), step_size, device=problem.device)
    a_velocity = torch.zeros_like(a)
    labels = problem.labels.repeat_interleave(factor**2).to(problem.device)
    augment = augmentations.build(augmentation, problem.dataset)
    batch = min(batch_syn or len(labels), len(labels))
    structure = networks.build(architecture, problem.shape, problem.classes, problem.seed, "tm")
    if gradient == "auto":
        outputs = sum(compute.values_of_layers(structure, problem.shape))
        fits = memory.unroll_fits(outputs, batch, steps, problem.memory_mb)
        gradient = "unroll" if fits and not chunk else "exact"
    problem.recorder.facts["gradient"] = gradient
    mode = problem.mode(structure, 12.0 * iterations * steps * batch, 3.0 * iterations * steps)
    if gradient == "unroll":
        mode = replace(mode, compile=False)  # autograd differentiates the graph a second time
        problem.recorder.facts["compile"] = False
    network = Flat(structure, problem.shape, problem.device, mode, batch, chunk)
    differentiate = GRADIENTS[gradient]
    sizes: list[int] = []  # of the batches of all steps
    while len(sizes) < steps:
        sizes += [len(part) for part in torch.arange(len(labels)).split(batch)]
    sizes = sizes[:steps]

    def gradients(
        start: torch.Tensor, target: torch.Tensor, positions: torch.Tensor, draws: Any
    ) -> tuple[torch.Tensor, ...]:
        if isinstance(draws, torch.Tensor):
            draws = draws.split(sizes)
        plan = list(map(Step, positions.split(sizes), draws))
        leaf = images.detach().requires_grad_(factor > 1)
        shown = formation.decode(leaf, factor)
        loss, of_images, of_a = differentiate(
            network, start, target, shown.detach(), labels, a, plan, augment.apply
        )
        if factor > 1:
            (of_images,) = torch.autograd.grad(shown, leaf, of_images)
        return loss, of_images, of_a

    captured = capture.Captured(gradients, problem.device, possible=packing.static(augment))

    def step(iteration: int) -> None:
        stream = problem.generator("tm", iteration)
        expert = loaded.snapshots[int(torch.randint(experts, (1,), generator=stream))]
        first = int(torch.randint(max_start, (1,), generator=stream))
        batches: list[torch.Tensor] = []
        positions, draws = [], []
        for size in sizes:
            if not batches:
                batches = list(torch.randperm(len(labels), generator=stream).split(batch))
            positions.append(batches.pop(0))
            draws.append(augment.draw(stream, size))
        arrived = capture.to_device(
            [
                *(expert[first], expert[first + expert_epochs], torch.cat(positions)),
                packing.for_steps(augment, draws, sizes, problem.device),
            ],
            problem.device,
        )
        _, of_images, of_a = captured(*arrived)
        velocity.mul_(momentum).add_(of_images)
        images.sub_(velocity, alpha=lr)
        a_velocity.mul_(momentum).add_(of_a)
        a.sub_(a_velocity, alpha=lr_step)

    def check() -> None:
        if not float(a) > 0:
            raise FloatingPointError(
                f"the learned step size fell to {float(a):.3g}; a smaller lr_step or lr may hold it"
            )

    state = {"images": images, "velocity": velocity, "step_size": a, "step_velocity": a_velocity}
    problem.recorder.run(state, step, iterations, check=check)
    return Condensed(images, problem.labels, step_size=float(a), factor=factor)
