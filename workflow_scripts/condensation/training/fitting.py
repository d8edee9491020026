"""Training of one or several networks on a set of images, in the step order of the field's code.

The data stays on the device, and nothing waits for the device inside an epoch.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from condensation.augmentation import packing
from condensation.core import capture, compute
from condensation.core.errors import InputError
from condensation.core.progress import Progress
from condensation.training import updates

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
    watch: Callable[[torch.Tensor, torch.Tensor], None] | None = None,
    relabel: Callable[[torch.Tensor], torch.Tensor] | None = None,
    temperature: float = 1.0,
) -> list[Curve]:
    """Train the parameters of one or several networks in place.

    Parameters
    ----------
    forward : images float32 [networks, n, C, H, W] -> logits [networks, n, classes].
    parameters : leaf tensors that ``forward`` reads; the optimizer changes them in place.
    batch : int64 positions [n] -> network input [n, C, H, W].
    labels : int64 [images], or float32 [images, classes] for soft labels.
    epochs : each epoch shuffles the images and uses each once; the last batch may be smaller.
    optimizer : an entry ``optimizers`` of the config.
    decay_after : index of the epoch after which the learning rate is multiplied by 0.1 and a new
        optimizer is built (its momentum starts at 0, as in the released code); None for never.
    augment : an augmentation (``condensation.augmentation.build``).
    generators : a CPU generator per network, for its order of images and its augmentation.
    at_once : most images of a network in one pass; larger batches add up gradients of parts.
    fewest : fewest images in a step; a smaller rest joins the batch before it
        (``compute.fewest_at_once``).
    progress : counts the steps.
    watch : called in each pass with the positions [networks, n] that it shows, and their logits
        [networks, n, classes] before the step.
    relabel : augmented images [networks, n, C, H, W] -> soft labels [networks, n, classes], which
        replace ``labels``.
    temperature : T divides the logits, and T^2 multiplies the loss (Hinton et al., 2015,
        arXiv:1503.02531).

    Returns
    -------
    A curve for each network: up to 20 pairs (epochs done, mean training loss of the last epoch);
    the loss is None where it is not finite.
    """
    lr = optimizer["lr"]
    device = labels.device
    updater = build_optimizer(parameters, optimizer, lr)
    count = len(generators)
    points = min(_CURVE_POINTS, epochs)
    recorded = {round((number + 1) * epochs / points) for number in range(points)}
    curve = {}
    # parts of one size, so that torch.compile makes one graph; a smaller rest runs without it
    full = compute.part_size(min(batch_size, len(labels)), at_once)

    def step(positions: torch.Tensor, *draws: Any) -> torch.Tensor:
        """Take a step on the images at ``positions`` [networks, n]; return sums of losses."""
        size = positions.shape[1]
        images = [
            augment.apply(batch(row), draw) for row, draw in zip(positions, draws, strict=True)
        ]
        part = min(size, full) if at_once else size
        views = torch.stack(images)
        targets = labels[positions] if relabel is None else relabel(views)
        total = torch.zeros(count, device=device)
        updater.zero_grad()
        step_data = (positions, views, targets)
        for where, shown, goals in zip(*(t.split(part, 1) for t in step_data), strict=True):
            logits = forward(shown)
            losses = _cross_entropy(logits / temperature, goals) * temperature**2
            if watch is not None:
                watch(where, logits.detach())
            (losses.sum() * (shown.shape[1] / size)).backward()
            total += losses.detach() * shown.shape[1]
        updater.step()
        return total

    def captured() -> capture.Captured:
        # torch's optimizers may count on the host, and a watcher may do anything
        ours = isinstance(updater, updates.SGD | updates.Adam)
        possible = ours and packing.static(augment) and watch is None
        return capture.Captured(step, device, possible=possible)

    take = captured()
    for epoch in range(epochs):
        orders = [torch.randperm(len(labels), generator=generator) for generator in generators]
        data: list[list[Any]] = []
        for positions in compute.batches(torch.stack(orders), batch_size, fewest):
            draws = [augment.draw(generator, positions.shape[1]) for generator in generators]
            data.append([positions, *(packing.for_device(augment, d, device) for d in draws)])
        arrived = iter(capture.to_device([value for inputs in data for value in inputs], device))
        total = torch.zeros(count, device=device)
        for _ in data:
            losses = take(*(next(arrived) for _ in range(1 + count)))
            if epoch + 1 in recorded:
                total += losses
            if progress is not None:
                progress.step()
        if epoch + 1 in recorded:
            curve[epoch + 1] = total / len(labels)
        if epoch == decay_after:
            updater = build_optimizer(parameters, optimizer, lr * 0.1)
            take = captured()
    # wait for the device once, after the last step
    means = torch.stack(list(curve.values())).T.tolist() if curve else [[]] * count
    return [
        [
            (epoch, loss if math.isfinite(loss) else None)
            for epoch, loss in zip(curve, losses, strict=True)
        ]
        for losses in means
    ]


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return each network's mean loss [networks]; labels [networks, n], or soft with classes."""
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(0, 1), reduction="none")
    return losses.view(labels.shape[:2]).mean(1)


def build_optimizer(parameters: list[torch.Tensor], options: dict[str, Any], lr: float) -> Any:
    """Return an object with ``step`` and ``zero_grad`` for ``options``, an entry of the config.

    Raises
    ------
    InputError
        If the optimizer does not take these options.
    """
    if options["algorithm"] == "sgd":
        decay, momentum = options["weight_decay"], options.get("momentum", 0.0)
        return updates.SGD(parameters, lr=lr, momentum=momentum, weight_decay=decay)
    if options["algorithm"] == "adam":
        return updates.Adam(parameters, lr=lr, weight_decay=options["weight_decay"])
    names = {name.lower(): name for name in dir(torch.optim)}
    kind = getattr(torch.optim, names[options["algorithm"]])
    arguments = {"lr": lr, "weight_decay": options["weight_decay"], **options.get("options", {})}
    try:
        return kind(parameters, **arguments)
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise InputError(f"optimizer {options['algorithm']}({arguments}): {error}") from error
