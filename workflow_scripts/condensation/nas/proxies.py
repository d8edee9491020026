"""Proxy accuracies: small networks of an architecture, trained on a set (paper, section 4.5).

Discrete cells, shuffled batches, SGD with the cosine schedule of the released
code, and the accuracy on held-out real training images.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from condensation import networks
from condensation.core import compute, randomness
from condensation.data.datasets import Dataset
from condensation.training import metrics, stacking

Batch = Callable[[torch.Tensor], torch.Tensor]  # positions -> network input


def rate(epoch: int, epochs: int, lr: float, lr_end: float) -> float:
    """Return the learning rate of an epoch, counted from 0: half a cosine from lr to lr_end."""
    return lr_end + (lr - lr_end) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def accuracies(
    architecture: str,
    seeds: list[int],
    batch: Batch,
    labels: torch.Tensor,
    judged: Dataset,
    *,
    network: dict[str, Any],
    training: dict[str, Any],
    epochs: int,
    device: torch.device,
    stack: bool | str = "auto",
    dtype: torch.dtype = torch.float32,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Train a network of ``architecture`` per seed; judge each on the test images of ``judged``.

    With ``stack`` the networks train as one computation; ``auto`` does so if it
    is faster. Up to float noise, a result depends only on architecture and seed.

    Parameters
    ----------
    architecture : an architecture string.
    batch, labels : the training images by position, and their labels (hard or soft).
    network, training : the options ``nas.network`` and ``nas.training``.

    Returns rows ``{architecture, seed, status, accuracy, loss}``, the accuracy in percent, None
    where the network diverged; and costs ``{architecture, seed, seconds}``.
    """
    entry = {"network": "nasbench201", "cell": architecture} | network

    def fresh(seed: int) -> torch.nn.Module:
        made = networks.build(entry, judged.shape, len(judged.classes), seed, "proxy", architecture)
        made = made.to(device, dtype)
        # on the CPU its convolutions are up to twice as fast in this layout
        return made.to(memory_format=torch.channels_last) if device.type == "cpu" else made

    def trained(group: list[int], network: Any, forward: Callable, parameters: list) -> None:
        began = time.monotonic()
        network.train()
        draws = [randomness.generator(seed, "proxy order", architecture) for seed in group]
        _fit(forward, parameters, batch, labels, draws, epochs, fewest, **training)
        network.train(False)
        found = metrics.judge(lambda x: forward(x.to(dtype)), len(group), judged, device)
        seconds = (time.monotonic() - began) / len(group)
        for seed, metric in zip(group, found, strict=True):
            about = {"architecture": architecture, "seed": seed}
            rows.append(about | {name: metric[name] for name in ("status", "accuracy", "loss")})
            costs.append(about | {"seconds": seconds})

    rows: list[dict[str, Any]] = []
    costs: list[dict[str, Any]] = []
    size = min(len(labels), training["batch_size"])
    fewest = compute.fewest_at_once(fresh(seeds[0]), judged.shape)

    def trained_together(group: list[int]) -> None:
        stack_of_group = stacking.Stack([fresh(seed) for seed in group], False, device)
        trained(group, stack_of_group, stack_of_group, stack_of_group.parameters)

    together = len(seeds) if _stacks(stack, seeds, judged.shape, size, fresh) else 1
    for seed in stacking.train_in_groups(seeds, together, trained_together):
        network = fresh(seed)
        trained([seed], network, stacking.alone(network), list(network.parameters()))
    return rows, costs


def no_networks(architecture: str, seeds: list[int], status: str) -> list[dict[str, Any]]:
    """Return the rows of networks that could not be trained: ``oom`` or ``diverged``."""
    lost = {"status": status, "accuracy": None, "loss": None}
    return [{"architecture": architecture, "seed": seed} | lost for seed in seeds]


def _stacks(
    stack: bool | str, seeds: list[int], shape: tuple[int, int, int], size: int, fresh: Callable
) -> bool:
    if len(seeds) == 1 or stack != "auto":
        return stack is True and len(seeds) > 1
    network = fresh(seeds[0])
    return stacking.pays(network, shape, size, next(network.parameters()).device)


def _fit(
    forward: Callable[[torch.Tensor], torch.Tensor],
    parameters: list[torch.Tensor],
    batch: Batch,
    labels: torch.Tensor,
    generators: list[torch.Generator],
    epochs: int,
    fewest: int,
    *,
    batch_size: int,
    lr: float,
    lr_end: float,
    momentum: float,
    weight_decay: float,
    clip: float | None,
) -> None:
    """Train in place; ``forward`` takes images [networks, n, C, H, W] to logits."""
    steps = torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)
    for epoch in range(epochs):
        steps.param_groups[0]["lr"] = rate(epoch, epochs, lr, lr_end)
        orders = [torch.randperm(len(labels), generator=stream) for stream in generators]
        orders = torch.stack(orders).to(labels.device)
        for positions in compute.batches(orders, batch_size, fewest):
            logits = forward(torch.stack([batch(order) for order in positions]))
            targets = labels[positions]
            losses = F.cross_entropy(
                logits.flatten(0, 1), targets.flatten(0, 1), reduction="none"
            ).view(positions.shape)
            steps.zero_grad()
            losses.mean(1).sum().backward()
            if clip is not None:
                _clip(parameters, clip, stacked=len(generators) > 1)
            steps.step()


def _clip(parameters: list[torch.Tensor], largest: float, stacked: bool) -> None:
    """Scale each network's gradient to the norm ``largest`` where it is longer."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not stacked:
        torch.nn.utils.clip_grad_norm_(parameters, largest)
        return
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    scale = (largest / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.dim() - 1)))
