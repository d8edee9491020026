"""Measure networks: operations and memory per image, and the speed of a device.

    PYTHONPATH=workflow_scripts python -m condensation.networks.measure TABLE.json

writes the table of built-in networks that ``planning/sizes.py`` reads.
"""

import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from condensation import networks
from condensation.core import compute
from condensation.core.errors import InputError

Shape = tuple[int, int, int]

# About as many convolutions as the mean cell of NAS-Bench-201 has.
MEAN_CELL = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"
)
_OPERATIONS = {"cpu": 1e11, "cuda": 2e12}  # of the largest step that is timed
_REPEATS = 3
_SIDE = 2048  # of the matrices
_WIDTHS = (16, 32, 64)


# --- sizes ----------------------------------------------------------------------------------------


def sizes(network: torch.nn.Module, shape: Shape) -> dict[str, float]:
    """Return the operations, layer outputs, parameters and features of a network for one image.

    ``outputs`` are the values that the modules output, or those that autograd saves if these are
    more. ``features`` is 0 for a network without an embedding.
    """
    features = 0
    with torch.no_grad(), contextlib.suppress(InputError, AttributeError):
        device = next(network.parameters()).device
        features = network.eval().embed(torch.zeros(2, *shape, device=device)).shape[1]
    return {
        "operations": compute.operations(network, shape),
        "outputs": max(sum(compute.values_of_layers(network, shape)), saved(network, shape)),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "features": features,
    }


def saved(network: torch.nn.Module, shape: Shape) -> float:
    """Return how many float32 values autograd saves for the backward pass of one image."""
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    storages = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage
        return tensor

    device = next(network.parameters()).device
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network.train()(torch.zeros(2, *shape, device=device))
    return sum(storage.nbytes() for storage in storages.values()) / 8


def table() -> list[dict[str, Any]]:
    """Return the measured sizes of the built-in networks with 10 classes.

    Each size is a list of coefficients: a quadratic in the width, measured at three widths.
    """
    rows = []
    for entry, structure, area, shape, name in _built_in():
        measured = [
            sizes(networks.build(entry | {name: width}, shape, 10, 0), shape) for width in _WIDTHS
        ]
        row = {"network": entry["network"], **structure, "area": area}
        rows.append(row | {key: _quadratic([m[key] for m in measured]) for key in measured[0]})
    return rows


def _quadratic(values: list[float]) -> list[float]:
    """Return the coefficients, constant first, of the quadratic through ``values``."""
    powers = torch.tensor([[1, width, width**2] for width in _WIDTHS], dtype=torch.float64)
    solution = torch.linalg.solve(powers, torch.tensor(values, dtype=torch.float64))
    return [round(factor, 4) + 0.0 for factor in solution.tolist()]


def _built_in() -> Iterator[tuple[dict[str, Any], dict[str, Any], int, Shape, str]]:
    """Yield entry, options that select the row, area, image shape and the name of the width."""
    for channels, side in ((1, 8), (3, 8), (1, 32), (3, 32), (3, 64)):
        for depth in range(1, side.bit_length() - 1):
            options = {"depth": depth, "channels": channels}
            entry = {"network": "convnet", "depth": depth}
            yield entry, options, side**2, (channels, side, side), "width"
    for channels, side in ((1, 8), (1, 28), (3, 32), (3, 64), (3, 128)):
        yield {"network": "mlp"}, {}, channels * side**2, (channels, side, side), "width"
    for depth in (18, 152):
        for stages in (1, 2, 3, 4):
            for stem, kernel in (("cifar", 3), ("imagenet", 7)):
                options = {"depth": depth, "stages": stages}
                entry = {"network": "resnet", **options, "stem": stem}
                side = 4 * 2 ** (stages - 1) if stem == "cifar" else 64
                yield entry, options | {"stem": kernel}, side**2, (3, side, side), "width"
    for heads in (2, 4, 8, 16):
        for tokens in (4, 8, 16, 32):
            shape = (3, 4 * tokens, 4 * tokens)
            for depth in (2, 6):
                options = {"heads": heads, "depth": depth}
                entry = {"network": "vit", "patch": 4, "dropout": 0.1, **options}
                yield entry, options, tokens**2, shape, "width"
    for cells in (1, 3, 5):
        entry = {"network": "nasbench201", "cell": MEAN_CELL, "cells": cells}
        yield entry, {"cells": cells}, 32**2, (3, 32, 32), "channels"


# --- speed ----------------------------------------------------------------------------------------


def calibrate(
    uses: Iterable[tuple[str, str, dict[str, Any], Shape, int]], device: torch.device
) -> dict[str, Any]:
    """Return what the device is, its speed, and the sizes and times of networks.

    A step on n images takes ``seconds_per_step`` + 3 n ``seconds_per_pass``, by the median times
    of uncompiled steps at two values of n.

    Parameters
    ----------
    uses : architecture, dataset, entry of the architecture, image shape, number of classes.
    """
    calibration: dict[str, Any] = {
        **compute.description(device),
        "memory_mb": compute.total_mb(device),
        "operations_per_second": _matmul_speed(device),
        "networks": {},
    }
    for architecture, dataset, entry, shape, classes in uses:
        rows = calibration["networks"].setdefault(architecture, {})
        rows[dataset] = {"entry": entry, "shape": list(shape)} | _step(
            networks.build(_with_cell(entry), shape, classes, 0).to(device), shape, device
        )
    return calibration


def _with_cell(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | ({"cell": MEAN_CELL} if entry["network"] == "nasbench201" else {})


def _matmul_speed(device: torch.device) -> float:
    matrix = torch.rand(_SIDE, _SIDE, device=device)
    return 2 * _SIDE**3 / _seconds(lambda: matrix @ matrix, device)


def _step(network: torch.nn.Module, shape: Shape, device: torch.device) -> dict[str, Any]:
    measured = sizes(network, shape)
    large = max(3, min(256, int(_OPERATIONS[device.type] / (3 * measured["operations"]))))
    small = max(compute.fewest_at_once(network, shape), large // 8)
    network.train()

    def step(count: int) -> Callable[[], None]:
        images = torch.randn(count, *shape, device=device)
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
        "sizes": measured,
    }


def _seconds(function: Callable[[], Any], device: torch.device) -> float:
    """Return the median time of a call after one warm-up call."""
    times = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(row) for row in table())
    Path(sys.argv[1]).write_text(f"[\n{lines}\n]\n")
