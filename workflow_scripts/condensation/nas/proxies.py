"""Proxy accuracies: small networks of an architecture, trained on a set (paper, section 4.5).

Discrete cells, shuffled batches, SGD with the cosine schedule of the released
code, and the accuracy on held-out real training images.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from condensation import networks
from condensation.core import capture, compute, randomness
from condensation.data.datasets import Dataset
from condensation.training import jobs, metrics, updates

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

    def build(seed: int) -> torch.nn.Module:
        classes = len(judged.classes)
        built = networks.build(entry, judged.shape, classes, seed, "proxy", architecture)
        built = built.to(device, dtype)
        # on the CPU its convolutions are up to twice as fast in this layout
        return built.to(memory_format=torch.channels_last) if device.type == "cpu" else built

    example = build(seeds[0])
    fewest = compute.fewest_at_once(example, judged.shape)

    def fit(group: list[int], forward: Callable, parameters: list, _progress: Any) -> None:
        draws = [randomness.generator(seed, "proxy order", architecture) for seed in group]
        _fit(forward, parameters, batch, labels, draws, epochs, fewest, **training)

    def test(group: list[int], forward: Callable, _result: None) -> list[dict[str, Any]]:
        most = compute.shown_at_once(example, judged.shape, device, len(group))
        rows = metrics.measure(lambda x: forward(x.to(dtype)), len(group), judged, device, most)
        return [{name: row[name] for name in ("status", "accuracy", "loss")} for row in rows]

    results = jobs.train_networks(
        *(seeds, build, fit, test),
        example=example,
        shape=judged.shape,
        batch_size=min(len(labels), training["batch_size"]),
        stack=stack,
        stackable=True,  # batch norm too, whose statistics the stack keeps for each network
    )
    rows, costs = ([{"architecture": architecture} | row for row in part] for part in results)
    return rows, costs


def no_networks(architecture: str, seeds: list[int], status: str) -> list[dict[str, Any]]:
    """Return the rows of networks that could not be trained: ``oom`` or ``diverged``."""
    lost = {"status": status, "accuracy": None, "loss": None}
    return [{"architecture": architecture, "seed": seed} | lost for seed in seeds]


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
    steps = updates.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def differentiate(positions: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of the parameters for images at ``positions`` [networks, n]."""
        logits = forward(torch.stack([batch(order) for order in positions]))
        targets = labels[positions]
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(0, 1), reduction="none")
        steps.zero_grad()
        losses.view(positions.shape).mean(1).sum().backward()
        if clip is not None:
            _clip(parameters, clip, stacked=len(generators) > 1)
        return tuple(parameter.grad for parameter in parameters)

    captured = capture.Captured(differentiate, labels.device)
    for epoch in range(epochs):
        steps.lr = rate(epoch, epochs, lr, lr_end)
        orders = [torch.randperm(len(labels), generator=stream) for stream in generators]
        batches = compute.batches(torch.stack(orders), batch_size, fewest)
        for positions in capture.to_device(batches, labels.device):
            # a replay sets no attribute: `grad` may be of a batch of another size
            for parameter, gradient in zip(parameters, captured(positions), strict=True):
                parameter.grad = gradient
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
