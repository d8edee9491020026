"""How fast this device is: a few training steps of each network that a config uses."""

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F

from condensation import networks
from condensation.core import compute
from condensation.core.errors import InputError
from condensation.planning.sizes import Images

_OPERATIONS = {"cpu": 1e11, "cuda": 2e12}  # of the largest step that is timed
_REPEATS = 3
_SIDE = 2048  # of the matrices


def measure(
    wanted: Iterable[tuple[str, str, dict[str, Any], Images]], device: torch.device
) -> dict[str, Any]:
    """Return what the device is and how fast.

    ``wanted`` holds names of architecture and dataset, and what they are. A
    step on n images is taken to last ``seconds_per_step`` + 3 n
    ``seconds_per_pass``: two sizes of n are timed, eager, the median of three.
    """
    found: dict[str, Any] = {
        **compute.description(device),
        "memory_mb": _memory_mb(device),
        "operations_per_second": _matmul(device),
        "networks": {},
    }
    for architecture, dataset, entry, data in wanted:
        own = found["networks"].setdefault(architecture, {})
        own[dataset] = _step(entry, data, device)
    return found


def _memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / 1e6
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6


def _matmul(device: torch.device) -> float:
    one = torch.rand(_SIDE, _SIDE, device=device)
    return 2 * _SIDE**3 / _seconds(lambda: one @ one, device)


def _step(entry: dict[str, Any], data: Images, device: torch.device) -> dict[str, Any]:
    network = networks.build(entry, data.shape, data.classes, 0).to(device).train()
    each = 3 * compute.operations(network, data.shape)
    large = max(3, min(256, int(_OPERATIONS[device.type] / each)))
    small = max(compute.fewest_at_once(network, data.shape), large // 8)

    def step(count: int) -> Callable[[], None]:
        images = torch.randn(count, *data.shape, device=device)
        labels = torch.zeros(count, dtype=torch.int64, device=device)

        def run() -> None:
            network.zero_grad()
            F.cross_entropy(network(images), labels).backward()

        return run

    few, many = (_seconds(step(count), device) for count in (small, large))
    per_image = max((many - few) / (large - small), many / large / 4)
    return {
        "seconds_per_pass": per_image / 3,
        "seconds_per_step": max(0.0, few - small * per_image),
        "sizes": _sizes(network, data),
    }


def _sizes(network: torch.nn.Module, data: Images) -> dict[str, float]:
    """Return the fields of ``sizes.Network``, counted."""
    features = 0
    with torch.no_grad(), contextlib.suppress(InputError, AttributeError):  # not all have some
        device = next(network.parameters()).device
        features = network.eval().embed(torch.zeros(1, *data.shape, device=device)).shape[1]
    return {
        "operations": compute.operations(network, data.shape),
        "outputs": sum(compute.values_of_layers(network, data.shape)),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "features": features,
    }


def _seconds(function: Callable[[], Any], device: torch.device) -> float:
    """Return the median time of a call, after one that is not counted."""
    times = []
    for _ in range(_REPEATS + 1):
        began = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])
