"""TM: matching training trajectories, or MTT (Cazenavette et al., 2022, arXiv:2203.11932).

A student starts at theta_0, the parameters of an expert after some epoch, and takes N gradient
steps of size a on the set, each with a new augmentation. A few epochs later the expert was at
theta*. SGD on the images and on a minimises

    |theta_N - theta*|^2 / |theta_0 - theta*|^2

The gradients are computed in ``trajectory_gradients``. ``match`` is the loop; DATM uses it, too.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F

from condensation import augmentation as augmentations
from condensation import networks
from condensation.augmentation import packing
from condensation.core import capture, compute, memory
from condensation.core.errors import InputError
from condensation.data import formation
from condensation.data.sets import Condensed
from condensation.methods.contract import Problem
from condensation.methods.derivatives import Flat
from condensation.methods.experts import Trajectories
from condensation.methods.start import initial_images
from condensation.methods.trajectory_gradients import GRADIENTS, Step

log = logging.getLogger("condensation")


@dataclass
class LearnedLabels:
    """Soft labels that are learned with the images: the softmax of ``logits``.

    Attributes
    ----------
    logits : float32 [n, classes], changed in place.
    lr, momentum : of SGD on the logits.
    """

    logits: torch.Tensor
    lr: float
    momentum: float

    def shares(self) -> torch.Tensor:
        """Return the labels, float32 [n, classes], rows with sum 1."""
        return F.softmax(self.logits, dim=1)


def condense(
    problem: Problem, *, init: str, features: str, max_start: int, factor: int = 1, **matching: Any
) -> Condensed:
    """Return images [classes * ipc, C, H, W] in class order, and the learned step size.

    Parameters
    ----------
    init, features : see ``methods.start``.
    max_start : students start after one of the epochs 0 .. max_start - 1.
    factor : each image holds factor^2 training images (``data.formation``).
    matching : the other options of ``match``.

    Raises
    ------
    InputError
        If there are too few experts or epochs.
    FloatingPointError
        If the step size falls to zero or below, where the student would ascend.
    """
    available(problem, max_start=max_start, **matching)
    images = initial_images(problem, init, features, factor)
    labels = problem.labels.repeat_interleave(factor**2)
    a = match(problem, images, labels, lambda _: range(max_start), factor=factor, **matching)
    return Condensed(images, problem.labels, step_size=a, factor=factor)


def available(
    problem: Problem,
    *,
    trajectories: str,
    experts: int,
    max_start: int,
    expert_epochs: int,
    **_: Any,
) -> Trajectories:
    """Return the experts of the problem; the options are those of ``condense`` and ``match``.

    Raises
    ------
    InputError
        If there are too few experts or epochs.
    """
    loaded = problem.trajectories
    if loaded is None or len(loaded.snapshots) < experts:
        raise InputError(
            f"trajectory matching: {experts} experts of {trajectories!r} are needed, "
            f"{len(loaded.snapshots) if loaded else 0} are available"
        )
    if max_start - 1 + expert_epochs > loaded.epochs:
        raise InputError(
            f"trajectory matching: max_start {max_start} - 1 + expert_epochs {expert_epochs} needs "
            f"epoch {max_start - 1 + expert_epochs}, but the experts {trajectories!r} were trained "
            f"for {loaded.epochs}"
        )
    return loaded


def match(
    problem: Problem,
    images: torch.Tensor,
    labels: torch.Tensor | LearnedLabels,
    starts: Callable[[int], range],
    *,
    iterations: int,
    trajectories: str,
    experts: int,
    steps: int,
    expert_epochs: int,
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
    threshold: float | None = None,
) -> float:
    """Learn images, and labels if they are ``LearnedLabels``, in place; return the step size.

    Parameters
    ----------
    images, labels : the initial set, [n, C, H, W], and a label for each training image in it.
    starts : iteration -> the epochs of an expert at which its student may start.
    iterations : updates of the set.
    trajectories, experts : name and number of the experts in ``problem.trajectories``.
    steps, expert_epochs : expert epochs that N student steps must cover.
    batch_syn : images per student step, in passes over the shuffled set; None for all.
    lr, lr_step, momentum : of SGD on the images and on the step size.
    step_size : initial step size of the student.
    gradient : ``exact``, ``unroll`` or ``tesla``; ``auto`` unrolls if the graph fits into memory.
    chunk : maximum number of images in one pass; None for the fastest number.
    augmentation, architecture : entries of the config.
    factor : each image holds factor^2 training images (``data.formation``).
    threshold : an iteration whose loss is larger changes nothing; None for no such limit.

    Raises
    ------
    FloatingPointError
        If the step size falls to zero or below, where the student would ascend.
    """
    snapshots = problem.trajectories.snapshots
    velocity = torch.zeros_like(images)
    a = torch.full((), step_size, device=problem.device)
    a_velocity = torch.zeros_like(a)
    lowest = a.clone()  # of all step sizes: CUDA is not read in each iteration
    learned = labels if isinstance(labels, LearnedLabels) else None
    fixed = problem.labels if isinstance(labels, LearnedLabels) else labels.to(problem.device)
    count = len(images) * factor**2
    augment = augmentations.build(augmentation, problem.dataset)
    batch = min(batch_syn or count, count)
    structure = networks.build(architecture, problem.shape, problem.classes, problem.seed, "tm")
    if gradient == "auto":
        outputs = sum(compute.values_of_layers(structure, problem.shape))
        fits = memory.unroll_fits(outputs, batch, steps, problem.memory_mb)
        gradient = "unroll" if fits and not chunk else "exact"
    problem.recorder.facts["gradient"] = gradient
    mode = problem.mode(structure, 12.0 * iterations * steps * batch, 3.0 * iterations * steps)
    if gradient == "unroll":
        # autograd differentiates the graph a second time, in the precision of the images
        precision = "float32" if mode.precision == "bf16" else mode.precision
        mode = replace(mode, compile=False, precision=precision)
        problem.recorder.facts |= {"compile": False, "precision": precision}
    network = Flat(structure, problem.shape, problem.device, mode, batch, chunk)
    differentiate = GRADIENTS[gradient]
    sizes: list[int] = []  # of the batches of all steps
    while len(sizes) < steps:
        sizes += [len(part) for part in torch.arange(count).split(batch)]
    sizes = sizes[:steps]
    moved = [(images, velocity, lr, momentum), (a, a_velocity, lr_step, momentum)]
    skipped = torch.zeros((), dtype=torch.int64, device=problem.device)
    if learned is not None:
        labels_velocity = torch.zeros_like(learned.logits)
        moved.append((learned.logits, labels_velocity, learned.lr, learned.momentum))

    def current_labels() -> torch.Tensor:
        return fixed if learned is None else learned.shares()

    def gradients(
        start: torch.Tensor, target: torch.Tensor, positions: torch.Tensor, draws: Any
    ) -> tuple[torch.Tensor, ...]:
        if isinstance(draws, torch.Tensor):
            draws = draws.split(sizes)
        plan = list(map(Step, positions.split(sizes), draws))
        leaf = images.detach().requires_grad_(factor > 1)
        shown = formation.decode(leaf, factor)
        loss, of_images, of_a, *of_shares = differentiate(
            *(network, start, target, shown.detach()),
            *(current_labels(), a, plan, augment.apply),
        )
        if factor > 1:
            (of_images,) = torch.autograd.grad(shown, leaf, of_images)
        if learned is None:
            return loss, of_images, of_a
        # the derivative of a softmax y along v is y (v - y . v)
        shares, (rates,) = learned.shares(), of_shares
        return loss, of_images, of_a, shares * (rates - (shares * rates).sum(1, keepdim=True))

    captured = capture.Captured(gradients, problem.device, possible=packing.static(augment))

    def step(iteration: int) -> None:
        stream = problem.generator("tm", iteration)
        expert = snapshots[int(torch.randint(experts, (1,), generator=stream))]
        window = starts(iteration)
        first = window[int(torch.randint(len(window), (1,), generator=stream))]
        batches: list[torch.Tensor] = []
        positions, draws = [], []
        for size in sizes:
            if not batches:
                batches = list(torch.randperm(count, generator=stream).split(batch))
            positions.append(batches.pop(0))
            draws.append(augment.draw(stream, size))
        arrived = capture.to_device(
            [
                *(expert[first], expert[first + expert_epochs], torch.cat(positions)),
                packing.for_steps(augment, draws, sizes, problem.device),
            ],
            problem.device,
        )
        loss, *slopes = captured(*arrived)
        # no host read: on a GPU an `if` would wait for the loss
        taken = None if threshold is None else ~(loss > threshold)
        for (value, moving, rate, inertia), slope in zip(moved, slopes, strict=True):
            if taken is None:
                moving.mul_(inertia).add_(slope)
                value.sub_(moving, alpha=rate)
            else:
                moving.copy_(torch.where(taken, moving * inertia + slope, moving))
                value.copy_(torch.where(taken, value - rate * moving, value))
        torch.minimum(lowest, a, out=lowest)
        if taken is not None:
            skipped.add_(~taken)

    def check() -> None:
        if not float(lowest) > 0:
            raise FloatingPointError(
                f"the learned step size fell to {float(lowest):.3g}; a smaller lr_step or lr may "
                "hold it"
            )

    state = {"images": images, "velocity": velocity, "step_size": a, "step_velocity": a_velocity}
    if learned is not None:
        state |= {"labels": learned.logits, "labels_velocity": labels_velocity}
    if threshold is not None:
        state["skipped"] = skipped
    shares = None if learned is None else learned.shares
    problem.recorder.run(state, step, iterations, check=check, labels=shares)
    if threshold is not None:
        problem.recorder.facts["skipped_iterations"] = int(skipped)
        log.log(
            logging.WARNING if int(skipped) > iterations / 2 else logging.INFO,
            "%s: %d of %d iterations changed nothing, because their loss was above %g",
            *(problem.recorder.label, int(skipped), iterations, threshold),
        )
    return float(a)
