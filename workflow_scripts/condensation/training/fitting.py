"""Training networks: the evaluation protocol (paper, section 4.1; released evaluator).

A network is trained on a condensed set and tested on the real test images
after the last epoch. Data stays on the device; nothing waits for the device
inside an epoch.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from condensation import augmentation as augmentations
from condensation import networks
from condensation.core import compute, randomness
from condensation.core.errors import InputError
from condensation.core.progress import Progress
from condensation.data.datasets import Dataset
from condensation.data.sets import Condensed, by_position
from condensation.training import metrics, stacking

log = logging.getLogger("condensation")

_CURVE_POINTS = 20
Batch = Callable[[torch.Tensor], torch.Tensor]  # positions -> standardised images
Curve = list[tuple[int, float | None]]  # epochs done, mean training loss of the last of them


def fit(
    forward: Callable[[torch.Tensor], torch.Tensor],
    parameters: list[torch.Tensor],
    batch: Batch,
    labels: torch.Tensor,
    *,
    epochs: int,
    batch_size: int,
    optimizer: dict[str, Any],
    decay_after: int | None,
    augment: Any,
    generators: list[torch.Generator],
    at_once: int | None = None,
    fewest: int = 1,
    progress: Progress | None = None,
) -> list[Curve]:
    """Train ``parameters`` of one or several networks in place; return a curve for each.

    Parameters
    ----------
    forward : images [networks, n, C, H, W] -> logits [networks, n, classes].
    batch, labels : the training images by position, and their labels (hard or soft).
    epochs : epochs to train; every epoch sees each image once, shuffled, the last batch partial.
    optimizer : an entry of the config.
    decay_after : index of the epoch after which the learning rate is multiplied by 0.1 and the
        optimizer built anew (momentum is lost, as in the released code); None for never.
    augment : has ``draw`` and ``apply`` (``condensation.augmentation``).
    generators : a CPU generator per network; its order and augmentation come from it.
    at_once : most images of a network in one pass; the gradients of a batch add up.
    fewest : of images in a step (``compute.fewest_at_once``); fewer join the batch before.
    progress : counts the steps.
    """
    lr = optimizer["lr"]
    steps = _optimizer(parameters, optimizer, lr)
    count = len(generators)
    points = min(_CURVE_POINTS, epochs)
    kept = {round((number + 1) * epochs / points) for number in range(points)}
    curve = {}
    # every batch in parts of one size, so that one graph is compiled; the rest runs without
    full = compute.part_size(min(batch_size, len(labels)), at_once)
    for epoch in range(epochs):
        orders = [torch.randperm(len(labels), generator=own) for own in generators]
        total = torch.zeros(count, device=labels.device)
        order = torch.stack(orders).to(labels.device)
        for positions in compute.batches(order, batch_size, fewest):
            size = positions.shape[1]
            drawn = [augment.draw(own, size) for own in generators]
            images = [
                augment.apply(batch(own), by) for own, by in zip(positions, drawn, strict=True)
            ]
            part = min(size, full) if at_once else size
            parts = (torch.stack(images), labels[positions])
            steps.zero_grad()
            for shown, wanted in zip(*(both.split(part, dim=1) for both in parts), strict=True):
                losses = _cross_entropy(forward(shown), wanted)
                (losses.sum() * (shown.shape[1] / size)).backward()
                if epoch + 1 in kept:
                    total += losses.detach() * shown.shape[1]
            steps.step()
            if progress is not None:
                progress.step()
        if epoch + 1 in kept:
            curve[epoch + 1] = total / len(labels)
        if epoch == decay_after:
            steps = _optimizer(parameters, optimizer, lr * 0.1)
    # one wait for the device, after the last step
    means = torch.stack(list(curve.values())).T.tolist() if curve else [[]] * count
    return [
        [
            (epoch, loss if math.isfinite(loss) else None)
            for epoch, loss in zip(curve, own, strict=True)
        ]
        for own in means
    ]


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return each network's mean loss [networks]; labels [networks, n], or soft with classes."""
    every = F.cross_entropy(logits.flatten(0, 1), labels.flatten(0, 1), reduction="none")
    return every.view(labels.shape[:2]).mean(1)


def _optimizer(
    parameters: list[torch.Tensor], options: dict[str, Any], lr: float
) -> torch.optim.Optimizer:
    names = {one.lower(): one for one in dir(torch.optim)}
    kind = getattr(torch.optim, names[options["algorithm"]])
    arguments = {"lr": lr, "weight_decay": options["weight_decay"], **options.get("options", {})}
    if "momentum" in options:
        arguments["momentum"] = options["momentum"]
    try:
        return kind(parameters, **arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"optimizer {options['algorithm']}({arguments}): {error}") from error


def epochs_of(protocol: dict[str, Any], augmentation: dict[str, Any]) -> tuple[int, int]:
    """Return the number of epochs and the index of the epoch that the decay follows.

    With E epochs asked for, the released code counts 0..E inclusive and decays
    after epoch index E // 2 + 1: 502 epochs at the first rate and 499 at the
    second for E = 1000.
    """
    epochs = protocol["epochs"]
    if augmentation["policy"] == "none":
        epochs = protocol["epochs_without_augmentation"] or epochs
    return epochs + (1 if protocol["inclusive"] else 0), epochs // 2 + 1


def evaluate(
    condensed: Condensed,
    dataset: Dataset,
    seeds: list[int],
    *,
    architecture: dict[str, Any],
    augmentation: dict[str, Any],
    optimizer: dict[str, Any],
    protocol: dict[str, Any],
    device: torch.device,
    compile: bool | str = False,
    stack: bool | str = "auto",
    label: str = "",
) -> tuple[list[dict[str, Any]], list[dict[str, float]]]:
    """Train one network per seed on ``condensed`` and test each on the real test images.

    With ``stack`` the networks train as one computation (``condensation.training.stacking``);
    ``auto`` does so where it is faster; where they do not fit together, half as
    many do, down to one after the other. Either way a seed's result depends on the seed
    alone, not on the others of the call, up to float noise.

    Returns rows ``{seed, **metrics, curve}`` (``training.metrics``; the curve holds pairs of
    epochs and training loss) and costs ``{seed, seconds}``.

    Raises InputError if the network cannot take the images, or the optimizer its options.
    """
    shape, classes = dataset.shape, len(dataset.classes)
    example = networks.build(architecture, shape, classes, seeds[0]).to(device)
    augment = augmentations.build(augmentation, dataset)
    _optimizer(list(example.parameters()), optimizer, optimizer["lr"])  # its errors come first
    labels = condensed.labels.to(device)
    batch = by_position(condensed, dataset, device)
    epochs, decay_after = epochs_of(protocol, augmentation)
    passes = len(seeds) * (3.0 * epochs * len(labels) + len(dataset.test_labels))
    at_once = compute.images_at_once(example, shape, device)
    most_images = min(len(labels), protocol["batch_size"])
    fewest = compute.fewest_at_once(example, shape)
    every = compute.batches(torch.arange(len(labels)), protocol["batch_size"], fewest)
    steps = epochs * len(every)
    launched = len(seeds) * steps
    mode = compute.choose_mode(compile, "float32", example, shape, device, passes, launched)
    compile = mode.compile

    def fresh(seed: int) -> torch.nn.Module:
        return networks.build(architecture, shape, classes, seed, "evaluation network").to(device)

    def trained(
        group: list[int], network: Any, forward: Callable, parameters: list, progress: Progress
    ) -> None:
        began = time.monotonic()
        most = at_once and max(1, at_once // len(group))
        network.train()
        with randomness.seeded(group[0], "evaluation dropout"):
            curves = fit(
                *(forward, parameters, batch, labels),
                epochs=epochs,
                batch_size=protocol["batch_size"],
                optimizer=optimizer,
                decay_after=decay_after if optimizer["decay"] else None,
                augment=augment,
                generators=[randomness.generator(seed, "evaluation training") for seed in group],
                at_once=most,
                fewest=fewest,
                progress=progress,
            )
        network.train(False)
        found = metrics.judge(forward, len(group), dataset, device, most)
        seconds = (time.monotonic() - began) / len(group)
        for seed, metric, curve in zip(group, found, curves, strict=True):
            rows.append({"seed": seed, **metric, "curve": curve})
            costs.append({"seed": seed, "seconds": seconds})

    def trained_together(group: list[int]) -> None:
        part = compute.part_size(most_images, at_once and max(1, at_once // len(group)))
        stack = stacking.Stack([fresh(seed) for seed in group], compile, device, part)
        trained(group, stack, stack, stack.parameters, Progress(label, steps))

    rows: list[dict[str, Any]] = []
    costs: list[dict[str, float]] = []
    together = len(seeds) if _stacks(stack, example, shape, most_images, seeds, compile) else 1
    pending = stacking.train_in_groups(seeds, together, trained_together)
    if pending:
        full = compute.part_size(most_images, at_once)
        forward = stacking.alone(compute.compiled(example, compile, device, full))
        progress = Progress(label, steps * len(pending))
        for seed in pending:
            example.load_state_dict(fresh(seed).state_dict())  # filled anew: it is compiled once
            trained([seed], example, forward, list(example.parameters()), progress)
    return rows, costs


def _stacks(
    wanted: bool | str,
    network: torch.nn.Module,
    shape: tuple[int, int, int],
    batch: int,
    seeds: list[int],
    compile: bool,
) -> bool:
    """Return whether the networks train as one."""
    device = next(network.parameters()).device
    if len(seeds) == 1 or wanted is False:
        return False
    if wanted == "auto" and not stacking.pays(network, shape, batch, device):
        return False
    if wanted == "auto" and compile and device.type == "cpu":
        return False  # what is worth compiling is no matter of launches
    reason = stacking.obstacle(network, shape)
    if reason:
        log.info("the networks train one after the other, not stacked: %s", reason)
    return reason is None


def no_networks(seeds: list[int], status: str) -> list[dict[str, Any]]:
    """Return the rows of networks that could not be trained: ``oom`` or ``diverged``."""
    return [{"seed": seed, **metrics.nothing(status), "curve": []} for seed in seeds]
