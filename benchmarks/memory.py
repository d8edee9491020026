"""Peak memory of DM, K-Center and RDED on images as large as ImageNet's.

    python benchmarks/memory.py --sides 64 128 224

Every case is a process of its own, on made-up images: memory does not depend on what they show. DM
runs one iteration on ten classes with its batch of 256 real images each. K-Center and RDED train
their ConvNet for one epoch and embed or score. They go class by class, so one class has the 300
images of RDED's pool, and another the fewest that RDED needs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from beside import CONVNET, options

from condensation.core import allocator, compute
from condensation.data import datasets
from condensation.data.datasets import Dataset
from condensation.methods import dm, kcenter, rded
from condensation.methods.contract import Problem
from condensation.training import features

CPU = torch.device("cpu")
TRAINING = {
    "architecture": CONVNET,
    "epochs": 1,
    "optimizer": {"algorithm": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.0},
    "batch_size": 256,
}


def write_dataset(path: Path, side: int, images: list[int]) -> None:
    """Write a dataset of random images, ``images`` of each class to train and one to test."""
    stream = torch.Generator().manual_seed(0)
    classes = torch.arange(len(images))
    labels = classes.repeat_interleave(torch.tensor(images))
    pixels = torch.randint(256, (len(labels), 3, side, side), dtype=torch.uint8, generator=stream)
    names, constants = tuple(map(str, classes.tolist())), ((0.5,) * 3, (0.25,) * 3)
    test = pixels[: len(classes)].clone()  # a file holds no tensor twice
    made_up = Dataset("made up", names, pixels, labels, test, classes, *constants)
    datasets.write(made_up, path)


def of_dm(dataset: Dataset, ipc: int) -> None:
    """Run one iteration of DM."""
    dm.condense(Problem(dataset, ipc, 0), **options("dm", ipc, init="random", iterations=1))


def of_kcenter(dataset: Dataset, ipc: int) -> None:
    """Train the network that embeds, embed, and select."""
    network = features.train(dataset, 0, device=CPU, **TRAINING)
    embedding = features.extract(network, dataset, "classifier_input")
    problem = Problem(dataset, ipc, 0, features=embedding)
    kcenter.condense(
        problem, features="classifier_input", start="random", max_iterations=300, restarts=1
    )


def of_rded(dataset: Dataset, ipc: int) -> None:
    """Train the teacher, and select and stitch crops."""
    teacher = features.train(dataset, 0, device=CPU, **TRAINING)
    problem = Problem(dataset, ipc, 0, teacher=teacher)
    factor = factor_of(dataset.shape[1])
    rded.condense(problem, teacher="", pool=300, crops=5, factor=factor, smallest=0.08)


def factor_of(side: int) -> int:
    """Return RDED's published ``factor``: crops along a side of an image."""
    return 1 if side <= 64 else 2


CASES = {"DM": of_dm, "K-Center": of_kcenter, "RDED": of_rded}


def measure(case: str, side: int, ipc: int) -> dict[str, Any]:
    """Run a case in this process; return its peak memory in MiB and its seconds."""
    torch.set_num_threads(1)
    allocator.keep_freed_memory()
    before = compute.peak_memory_mb(CPU)["peak_rss_mb"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "dataset.safetensors")
        images = [256] * 10 if case == "DM" else [300, ipc * factor_of(side) ** 2]
        # in a process of its own, whose memory does not count
        command = [sys.executable, __file__, "--write", path, side, *images]
        subprocess.run(list(map(str, command)), check=True)
        start = time.monotonic()
        CASES[case](datasets.load(path), ipc)
    peak = compute.peak_memory_mb(CPU)["peak_rss_mb"]
    return {"peak": peak, "before": before, "seconds": time.monotonic() - start}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 224], help="pixels")
    parser.add_argument("--ipc", type=int, default=10, help="images per class")
    parser.add_argument("--case", nargs=2, metavar=("NAME", "SIDE"), help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        path, side, *images = given.write
        write_dataset(Path(path), int(side), list(map(int, images)))
        return
    if given.case:
        name, side = given.case
        print(json.dumps(measure(name, int(side), given.ipc)))
        return
    print("| method | pixels | peak MB | with torch, MB | seconds |\n|---|---|---|---|---|")
    for side in given.sides:
        for name in CASES:
            command = [sys.executable, __file__, "--case", name, str(side)]
            command += ["--ipc", str(given.ipc)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            row = json.loads(done.stdout)
            shown = (f"{row[key]:,.0f}" for key in ("peak", "before", "seconds"))
            print(f"| {name} | {side} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
