"""What the benchmarks share: the network, the machine's peak, and ratios of neighbours in time."""

import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

from condensation import compute, config

CONVNET = {"network": "convnet", "width": 128, "depth": None}


def policies():
    """The built-in augmentations, complete, by name."""
    minimal = {
        "datasets": {"d": {"source": "digits"}},
        "methods": {"random": {"algorithm": "random"}},
        "experiments": {"e": {"datasets": ["d"], "methods": ["random"], "ipc": [1]}},
    }
    return {name: one.model_dump() for name, one in config.parse(minimal).augmentations.items()}


def peak(dtype):
    """Operations a second of a large matrix multiplication."""
    a, b = torch.randn(2, 2048, 2048).to(dtype)
    times = []
    for _ in range(6):
        began = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - began)
    return 2 * 2048**3 / min(times)


def announce(peaks):
    """Print what the numbers are made on."""
    found = {name: f"{value / 1e9:.0f} G/s" for name, value in peaks.items()}
    print(compute.description(torch.device("cpu")), "matmul peak", found)


def ratio(theirs, ours):
    """The ratio of neighbours: median and quartiles, as text."""
    low, middle, high = statistics.quantiles(
        [a / b for a, b in zip(theirs, ours, strict=True)], n=4
    )
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
