"""How fast the methods and expert training are, beside the loop as the field writes it.

    python benchmarks/methods.py results/cifar10/dataset.safetensors --threads 1

Ours and the plain loop (``plain.py``) take turns, iteration by iteration, in one process, so that
both see the same machine; the ratio is of two neighbours, its median and quartiles are over the
turns. DC and DSA are timed with two matching steps per network and one epoch of training on the set
between them, whatever the IPC, and of an expert a few batches.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import plain
import torch
from beside import CONVNET, Turns, announce, options, peaks, policies, ratio

from condensation import networks
from condensation.core import compute
from condensation.data import datasets, whitening
from condensation.methods import dc, dm, kernels, kip, tm
from condensation.methods import experts as trajectories
from condensation.methods.contract import Problem

OUTER, INNER, BATCH = 2, 1, plain.BATCH
EXPERT_BATCHES = 4


@dataclass(frozen=True)
class Pair:
    """A method of ours and the plain loop beside it.

    Attributes
    ----------
    ours : runs the method through ``problem.recorder``.
    build_plain : makes the plain loop.
    dataset : the images that both train on.
    group : steps of ours to one call of the plain loop.
    """

    ours: Callable[[Problem], Any]
    build_plain: Callable[[], plain.Iteration]
    dataset: Any
    group: int = 1


def pair(
    method: str,
    dataset: Any,
    ipc: int,
    device: torch.device,
    changes: dict[str, Any],
    outer_at_once: bool = False,
) -> Pair:
    """Return ours and the plain loop of a method, with CIFAR-10's options and these changes.

    ``outer_at_once`` makes a turn of DC and DSA a whole iteration, not one matching step.
    """
    if method == "expert":
        return _expert(dataset, device, **changes)
    arguments = options(method, ipc, **{"init": "random", **changes})
    policy = arguments.get("augmentation") or policies()["none"]
    common = (dataset, ipc, policy, device)
    if method == "dm":
        return Pair(
            lambda problem: dm.condense(problem, **arguments), lambda: plain.dm(*common), dataset
        )
    if method in ("dc", "dsa"):
        outer = arguments["outer"]
        group = outer if outer_at_once else 1

        def build() -> plain.Iteration:
            part = plain.matching(*common, outer, arguments["inner"])
            return lambda turn: [part(turn * group + number) for number in range(group)]

        return Pair(lambda problem: dc.condense(problem, **arguments), build, dataset, group)
    if method == "tm":
        snapshots = wandering(dataset, arguments["max_start"] + arguments["expert_epochs"])
        experts = trajectories.Trajectories([snapshots], CONVNET)
        # small steps on made-up experts: the time is the same, and nothing diverges
        arguments |= {"experts": 1, "architecture": CONVNET, "lr": 1e-3, "lr_step": 0.0}
        return Pair(
            lambda problem: tm.condense(replace(problem, trajectories=experts), **arguments),
            lambda: plain.tm(*common, snapshots, arguments),
            dataset,
        )
    few = dataset.train_images[:: max(1, len(dataset.train_images) // 4000)].cpu()
    fitted = whitening.fit(few, "zca_kip", dataset.mean, dataset.std)
    dataset = replace(dataset, whitening=fitted)

    def kernel_of(number: int) -> kernels.Kernel:
        if arguments["kernel"] == "fc_ntk":
            return kernels.exact(depth=arguments["depth"])
        generator = torch.Generator().manual_seed(number)
        return kernels.random_features(
            dataset.shape, generator, networks=arguments["networks"], width=arguments["width"]
        )

    return Pair(
        lambda problem: kip.condense(problem, **arguments),
        lambda: plain.kip(dataset, ipc, policies()["none"], device, kernel_of, arguments),
        dataset,
    )


def _expert(dataset: Any, device: torch.device, batches: int, epochs: int = 1) -> Pair:
    policy = policies()["dsa"]
    arguments = {"architecture": CONVNET, "epochs": epochs, "lr": 0.01, "momentum": 0.0}
    arguments |= {"batch_size": BATCH, "augmentation": policy}
    return Pair(
        lambda problem: trajectories.train(problem, [problem.seed], **arguments),
        lambda: plain.expert(dataset, policy, device, batches),
        dataset,
        batches,
    )


def wandering(dataset: Any, epochs: int) -> torch.Tensor:
    """Return parameters of a ConvNet that wander off, [epochs + 1, parameters], as an expert's."""
    network = networks.build(CONVNET, dataset.shape, len(dataset.classes), 0, "expert")
    first = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    generator = torch.Generator().manual_seed(0)
    moves = 0.01 * torch.randn(epochs + 1, len(first), generator=generator)
    return first + moves.cumsum(0)


def side_by_side(
    both: Pair, ipc: int, device: torch.device, compile: bool, precision: str, **limits: Any
) -> Turns:
    """Run ours and the plain loop in turns; ``limits`` are those of ``Turns``."""
    torch.compiler.reset()  # or the sizes of all cases add up to its limit
    compute.set_up(precision=precision)
    recorder = Turns(both.build_plain, device=device, group=both.group, **limits)
    problem = Problem(
        *(both.dataset, ipc, 0, device),
        **{"recorder": recorder, "compile": compile, "precision": precision},
    )
    if device.type == "cuda":  # as `compute: {device_memory_mb: ...}` declares it
        card = torch.cuda.get_device_properties(device).total_memory / 1e6
        problem = replace(problem, memory_mb=0.9 * card)
    both.ours(problem)
    return recorder


def operations(method: str, ipc: int, classes: int, forward: int) -> int | None:
    """Return the operations of an iteration that no implementation can leave out, where known."""
    ours = classes * ipc
    if method == "dm":
        return forward * (classes * BATCH + 2 * ours)
    if method == "expert":
        return forward * 3 * BATCH * EXPERT_BATCHES
    if method in ("dc", "dsa"):
        # a gradient is three forward passes; matching differentiates it once more: six at the least
        matching = OUTER * (3 * classes * BATCH + 9 * ours)
        return forward * (matching + (OUTER - 1) * INNER * 3 * ours)
    return None


CHANGES = {
    "dm": {},
    "dc": {"outer": OUTER, "inner": INNER},
    "dsa": {"outer": OUTER, "inner": INNER},
    "tm": {},
    "kip": {},
    "expert": {"batches": EXPERT_BATCHES},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="a prepared dataset.safetensors")
    usual = ["dm", "dc", "dsa", "expert"]
    parser.add_argument("--methods", nargs="+", choices=CHANGES, default=usual)
    parser.add_argument("--ipc", nargs="+", type=int, default=[1, 10, 50])
    parser.add_argument("--precision", nargs="+", default=["float32", "bf16"])
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--eager", action="store_true", help="ours without torch.compile")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cpu")
    dataset = datasets.load(arguments.dataset)
    with torch.device("meta"):
        network = networks.build(CONVNET, dataset.shape, len(dataset.classes), 0)
    forward = compute.operations(network, dataset.shape)
    tops = peaks(arguments.precision, device)
    announce(tops, device)
    print(
        "| method | IPC | precision | plain s | ours s | ratio (quartiles) | of matmul peak | "
        "of convolution peak |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in arguments.methods:
        for ipc in arguments.ipc if name != "expert" else [1]:
            for precision in arguments.precision:
                both = pair(name, dataset, ipc, device, CHANGES[name], outer_at_once=True)
                done = side_by_side(
                    both, ipc, device, not arguments.eager, precision, turns=arguments.turns
                )
                seconds = statistics.median(done.ours)
                counted = operations(name, ipc, len(dataset.classes), forward)
                shares = [
                    f"{counted / seconds / tops[precision][kind]:.0%}" if counted else "-"
                    for kind in ("matmul", "convolution")
                ]
                theirs = f"{statistics.median(done.theirs):.2f}" if done.theirs else "-"
                print(
                    f"| {name} | {'-' if name == 'expert' else ipc} | {precision} | {theirs} | "
                    f"{seconds:.2f} | {ratio(done.theirs, done.ours)} | {' | '.join(shares)} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
