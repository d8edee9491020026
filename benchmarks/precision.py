"""Whether bf16 moves the accuracy of DM, DC and DSA: paired seeds, CIFAR-10 at IPC 1.

    python benchmarks/precision.py results/cifar10/dataset.safetensors --json precision.json

Each seed makes a set in float32 and one in bf16 from the same draws; networks of the same seeds
judge both. Where the processor has no bf16 in hardware, its rounding is put on float32: the inputs,
weights and outputs of products and convolutions, and the outputs of the layers between them, are
rounded to bf16, forward and backward, and sums are in float32, as the hardware does (`--check`
compares this with torch's own, slow bf16 passes). The JSON file is the state: run again, the script
makes what is missing.
"""

import argparse
import contextlib
import json
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from beside import CONVNET, policies
from scipy import stats
from torch.overrides import TorchFunctionMode

from condensation import networks
from condensation.core import compute
from condensation.data import datasets
from condensation.methods import dc, dm
from condensation.methods.contract import Problem, finish
from condensation.methods.recorder import Recorder
from condensation.training import evaluation

CPU = torch.device("cpu")
SGD = {"algorithm": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "decay": True}
PROTOCOL = {
    **{"epochs": 1000, "epochs_without_augmentation": None, "inclusive": True},
    "batch_size": 256,
}
METHODS = ("dm", "dc", "dsa")
PRODUCTS = {F.conv2d, torch.conv2d, F.linear, torch.nn.functional.linear}
LAYERS = PRODUCTS | {torch.group_norm, F.relu, torch.relu, F.avg_pool2d, torch._C._nn.avg_pool2d}


def rounded(value):
    """A float32 tensor with the values of bf16; so is the gradient that comes back through it."""
    if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
        return value.to(torch.bfloat16).to(torch.float32)
    return value


class Rounding(TorchFunctionMode):
    """Rounds what bf16 passes round."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        options = options or {}
        if function in PRODUCTS:
            arguments = tuple(map(rounded, arguments))
            options = {name: rounded(value) for name, value in options.items()}
        result = function(*arguments, **options)
        return rounded(result) if function in LAYERS else result


def check():
    """Print how far the emulation and torch's own bf16 are from float32, and from each other."""
    network = networks.build(CONVNET, (3, 32, 32), 10, 0)
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8)

    def passes():
        embedding = network.embed(images).float()
        loss = F.cross_entropy(network(images).float(), labels)
        gradient = torch.autograd.grad(loss, list(network.parameters()))
        return torch.cat([part.flatten() for part in (embedding.detach(), *gradient)])

    exact = passes()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torchs = passes()
    with Rounding():
        ours = passes()

    def distance(a, b):
        return float((a - b).norm() / exact.norm())

    print(f"torch's bf16 from float32: {distance(torchs, exact):.1e}")
    print(f"the emulation from float32: {distance(ours, exact):.1e}")
    print(f"the emulation from torch's bf16: {distance(ours, torchs):.1e}")


class Announced(Recorder):
    """Prints its progress now and then."""

    def run(self, state, step, iterations, parts=1, check=None, labels=None):
        began = time.monotonic()

        def reporting_step(number):
            step(number)
            if number % 5 == 0:
                print(f"  {number + 1} of {iterations * parts}, {time.monotonic() - began:.0f} s")

        super().run(state, reporting_step, iterations, parts, check, labels)


def condensed(method, dataset, seed, precision, iterations, batch_real):
    """A set of ``method`` at IPC 1, eager."""
    problem = Problem(dataset, 1, seed, recorder=Announced(), precision=precision)
    shared = {"features": "embedding", "iterations": iterations, "momentum": 0.5}
    shared |= {"batch_real": batch_real, "architecture": CONVNET}
    if method == "dm":
        result = dm.condense(
            problem, init="random", lr=1.0, augmentation=policies()["dsa"], **shared
        )
    else:
        result = dc.condense(
            problem,
            **{"init": "noise" if method == "dc" else "random", "outer": 1, "inner": 1, "lr": 0.1},
            **{"lr_network": 0.01, "batch_network": 256, "distance": "rows", "update": "joint"},
            augmentation=policies()["none" if method == "dc" else "dsa"],
            **shared,
        )
    return finish(result, problem, method)


def accuracies(condensed_set, dataset, count):
    """Accuracy of ``count`` networks."""
    rows, _ = evaluation.evaluate(
        *(condensed_set, dataset, list(range(count))),
        architecture=CONVNET,
        augmentation=policies()["dsa"],
        optimizer=SGD,
        protocol=PROTOCOL,
        device=CPU,
        compile=True,
        stack=False,
    )
    return [row["accuracy"] for row in rows]


def summary(results, methods, iterations):
    """The table: per method the paired difference and the spread of seeds."""
    print("| method | iterations | float32 | bf16 | difference, 95 % | std of sets, float32 |")
    print("|---|---|---|---|---|---|")
    for method in methods:
        pairs = [
            [sum(results[f"{method} {seed} {precision}"]) for precision in ("float32", "bf16")]
            for seed in range(100)
            if all(f"{method} {seed} {precision}" in results for precision in ("float32", "bf16"))
        ]
        networks_judging = len(next(iter(results.values()))) if results else 1
        if len(pairs) < 2:
            continue
        pairs = torch.tensor(pairs, dtype=torch.float64) / networks_judging
        means, differences = pairs.mean(0), pairs[:, 1] - pairs[:, 0]
        half = float(stats.t.ppf(0.975, len(pairs) - 1) * differences.std() / math.sqrt(len(pairs)))
        print(
            f"| {method} | {iterations} | {means[0]:.2f} | {means[1]:.2f} | "
            f"{differences.mean():+.2f} ± {half:.2f} | {pairs[:, 0].std():.2f} |"
        )


def main():
    """Make the sets and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", nargs="?", help="a prepared dataset.safetensors of CIFAR-10")
    parser.add_argument("--json", type=Path, default=Path("precision.json"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=2)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--batch", type=int, default=256, help="real images per class")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="only compare the two ways to bf16")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.check:
        check()
        return
    if not compute.has_bf16(CPU):
        print("no bf16 in hardware here: its rounding is put on float32")
        autocast = contextlib.nullcontext
        compute.lower_precision = lambda name, _: Rounding() if name == "bf16" else autocast()
    dataset = datasets.load(arguments.dataset)
    results = json.loads(arguments.json.read_text()) if arguments.json.is_file() else {}
    for seed in range(arguments.seeds):
        for method in arguments.methods:
            for precision in ("float32", "bf16"):
                name = f"{method} {seed} {precision}"
                if name in results:
                    continue
                print(name, flush=True)
                condensed_set = condensed(
                    method, dataset, seed, precision, arguments.iterations, arguments.batch
                )
                results[name] = accuracies(condensed_set, dataset, arguments.networks)
                arguments.json.write_text(json.dumps(results, indent=1))
    summary(results, arguments.methods, arguments.iterations)


if __name__ == "__main__":
    main()
