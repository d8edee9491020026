"""A training job: a network per seed, stacked where that is faster, each with a row and its cost.

Evaluation on condensed sets and the ranking of architectures train their networks here.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from condensation.core import compute
from condensation.core.progress import Progress
from condensation.training import stacking

log = logging.getLogger("condensation")

Rows = list[dict[str, Any]]
Forward = Callable[[torch.Tensor], torch.Tensor]  # [networks, n, C, H, W] -> [networks, n, classes]
Result = TypeVar("Result")


def train_networks(
    seeds: list[int],
    build: Callable[[int], nn.Module],
    fit: Callable[[list[int], Forward, list[torch.Tensor], Progress | None], Any],
    test: Callable[[list[int], Forward, Any], Rows],
    *,
    example: nn.Module,
    shape: tuple[int, int, int],
    batch_size: int,
    steps: int | None = None,
    stack: bool | str = "auto",
    stackable: bool = False,
    compile: bool = False,
    at_once: int | None = None,
    label: str = "",
) -> tuple[Rows, Rows]:
    """Train and test a network for each seed.

    Networks that do not fit into memory together are trained in groups of half as many, down to
    one after the other.

    Parameters
    ----------
    build : seed -> a new network on its device.
    fit : (seeds, forward, parameters, progress) -> the curves or whatever ``test`` needs; trains
        the networks of these seeds in place.
    test : (seeds, forward, result of ``fit``) -> a row per seed.
    example : a network of this structure, which the networks trained one by one reuse.
    shape : C, H, W of the images.
    batch_size : images of a network in a training step.
    steps : training steps of a network, to show progress; None shows none.
    stack : True, False, or ``auto``: where it is faster.
    stackable : True skips the check whether such networks can be stacked.
    compile : pass through torch.compile.
    at_once : most images in one pass, of all networks together; None for no limit.
    label : shown beside the progress.

    Returns
    -------
    rows : ``{"seed": seed, **row}`` for each seed.
    costs : ``{"seed": seed, "seconds": wall time}`` for each seed.
    """
    device = next(example.parameters()).device
    rows: Rows = []
    costs: Rows = []

    def progress_for(networks: int) -> Progress | None:
        return None if steps is None else Progress(label, steps * networks)

    def train(
        group: list[int], network: Any, forward: Forward, parameters: list, progress: Any
    ) -> None:
        start = time.monotonic()
        network.train()
        result = fit(group, forward, parameters, progress)
        network.train(False)
        group_rows = test(group, forward, result)
        seconds = (time.monotonic() - start) / len(group)
        rows.extend({"seed": seed} | row for seed, row in zip(group, group_rows, strict=True))
        costs.extend({"seed": seed, "seconds": seconds} for seed in group)

    def train_stacked(group: list[int]) -> None:
        part = compute.part_size(batch_size, images_each(at_once, len(group)))
        networks = stacking.Stack([build(seed) for seed in group], compile, device, part)
        train(group, networks, networks, networks.parameters, progress_for(1))

    together = 1
    if len(seeds) > 1 and _stacks(stack, stackable, example, shape, batch_size, compile):
        together = len(seeds)
    pending = stacking.train_in_groups(seeds, together, train_stacked)
    if pending:
        part = compute.part_size(batch_size, at_once)
        forward = stacking.alone(compute.compiled(example, compile, device, part))
        progress = progress_for(len(pending))
        for seed in pending:
            _become(example, build(seed))  # reused: it is compiled once
            train([seed], example, forward, list(example.parameters()), progress)
    return rows, costs


def _become(network: nn.Module, fresh: nn.Module) -> None:
    """Give ``network`` the parameters and buffers of ``fresh``, also those not in its state."""
    network.load_state_dict(fresh.state_dict())
    buffers = dict(network.named_buffers())
    for name, drawn in fresh.named_buffers():  # a pass may have made others
        if name in buffers and buffers[name].shape == drawn.shape:
            buffers[name].copy_(drawn)


def images_each(at_once: int | None, networks: int) -> int | None:
    """Return the most images of each of ``networks`` in one pass; None for no limit."""
    return at_once and max(1, at_once // networks)


def _stacks(
    stack: bool | str,
    stackable: bool,
    network: nn.Module,
    shape: tuple[int, int, int],
    batch_size: int,
    compile: bool,
) -> bool:
    device = next(network.parameters()).device
    if stack is False:
        return False
    if stack == "auto" and not stacking.pays(network, shape, batch_size, device):
        return False
    if stack == "auto" and compile and device.type == "cpu":
        return False  # a job long enough to compile does not wait for launches
    obstacle = None if stackable else stacking.obstacle(network, shape)
    if obstacle:
        log.info("the networks train one after the other, not stacked: %s", obstacle)
    return obstacle is None


def unless_out_of_memory(function: Callable[[], Result]) -> Result | None:
    """Return ``function()``, or None and a warning in the log if memory runs out."""
    try:
        return function()
    except Exception as error:
        if not compute.is_out_of_memory(error):
            raise
        log.warning("out of memory: %s", error)
    return None
