"""What a GPU does with this code: is it right, and how fast is it. For a card lent for minutes.

    python benchmarks/gpu.py --minutes 9 --output gpu.json [--dataset cifar10/dataset.safetensors]
    python benchmarks/gpu.py --device cpu --quick --minutes 5 --output small.json

Parts, the most important first:

    correctness   each operator, gradient and step on the device, against float64 on the CPU; and
                  five iterations by CUDA graphs against five without
    speed         seconds and peak memory of an iteration of each method, ours beside the plain loop
                  (``plain.py``) in turns, eager, beside the paper's Table 8
    stacking      five networks as one, against one after the other
    expert        an epoch of an expert
    compiled      as ``speed``, through torch.compile
    launches      as ``speed``, without CUDA graphs

The output holds every case that was done; run again, only the others are. No case begins when the
minutes are over, and one that is running then is broken off. Without a dataset, random images of
CIFAR-10's shape stand in: no time depends on what they show. `--quick` does all in small. Seconds
are by CUDA's events, after a warm-up; memory is what the tensors of one side take.
"""

import argparse
import contextlib
import csv
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import plain
import torch
import torch.nn.functional as F
from beside import CONVNET, Clock, Memory, machine, options, peaks, policies, quartiles, ratio
from methods import Pair, pair, side_by_side, wandering

from condensation import augmentation, networks
from condensation.core import capture, compute, randomness, storage
from condensation.data import datasets
from condensation.methods import dc, dm, kernels, kip, tm
from condensation.methods import experts as trajectories
from condensation.methods.contract import Problem
from condensation.methods.derivatives import Flat
from condensation.methods.trajectory_gradients import GRADIENTS, Step
from condensation.training import fitting, stacking

PARTS = ("correctness", "speed", "stacking", "expert", "compiled", "launches")
METHODS = ("dm", "dc", "dsa", "tm", "kip")
RECORDED = ("dm", "dc", "dsa", "tm")  # as CUDA graphs
CPU = torch.device("cpu")
# The largest error that is taken for rounding: the norm of the difference over that of the value in
# float64. That of float32 is small enough to find TF32 in its place (5e-4 to 1e-3). A slope of
# slopes jumps where a ReLU of the float32 network falls on the other side of zero.
ROUNDING = {"float32": 2e-4, "tf32": 2e-2, "bf16": 1e-1}
OF_JUMPS = 5e-3
SGD = {"algorithm": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "decay": True}
NETWORKS = {
    "convnet": CONVNET,
    "mlp": {"network": "mlp", "width": 128},
    "resnet18": {"network": "resnet", "depth": 18, "width": 64, "stem": None},
}
DONE = ("ok", "oom", "wrong")


class OutOfTime(BaseException):
    """The minutes are over. Not an Exception, so that no case catches it."""


@dataclass(frozen=True)
class Scale:
    """How large the cases are.

    Attributes
    ----------
    dataset : the real images, on the device.
    device : where ours computes.
    ipc : images per class of the timed cases.
    turns : most turns of a case, and ``seconds``: after which no turn begins.
    changes : of each method's options.
    batches : of an expert's epoch; None for all.
    epochs : that five networks are trained for, by IPC.
    networks : that are stacked.
    precision : of the timed cases.
    """

    dataset: datasets.Dataset
    device: torch.device
    ipc: tuple[int, ...]
    turns: int
    seconds: float
    changes: dict[str, dict[str, Any]]
    batches: int | None
    epochs: dict[int, int]
    networks: dict[str, dict[str, Any]]
    precision: tuple[str, ...]


Result = dict[str, Any]
Case = tuple[str, Callable[[], Result]]


# --- correctness ----------------------------------------------------------------------------------


def error(actual: torch.Tensor, exact: torch.Tensor) -> float:
    """Return the norm of the difference over that of the exact value, float64."""
    exact = exact.detach().double().cpu()
    return float((actual.detach().double().cpu() - exact).norm() / exact.norm())


def judged(errors: dict[str, float], bound: float = ROUNDING["float32"]) -> Result:
    """Return the result of a comparison: ``ok`` if all errors are rounding."""
    right = all(value <= bound for value in errors.values())
    return {"status": "ok" if right else "wrong", "errors": errors, "bound": bound}


def exactly(network: torch.nn.Module) -> torch.nn.Module:
    """Return the network in float64 on the CPU, in evaluation mode."""
    return network.cpu().double().eval()


def in_float64(drawn: Any) -> Any:
    """Return what an augmentation drew, its parameters in float64."""
    return replace(drawn, parameters=drawn.parameters.double()) if drawn is not None else None


def correctness(scale: Scale) -> list[Case]:
    """Return the comparisons with float64."""
    operators = policies()["dsa"]["operators"]
    return [
        ("correctness/operators", lambda: judged(operator_errors(scale, operators))),
        *(
            (f"correctness/gradients/{name}", lambda name=name: gradient_errors(scale, name))
            for name in ("float32", *(name for name in scale.precision if name != "float32"))
        ),
        ("correctness/trajectories", lambda: judged(trajectory_errors(scale), OF_JUMPS)),
        ("correctness/kernels", lambda: judged(kernel_errors(scale))),
        ("correctness/stack", lambda: judged(stack_errors(scale))),
        *(
            (
                f"correctness/step/{name}",
                lambda name=name: judged(step_errors(scale, name), OF_JUMPS),
            )
            for name in METHODS
        ),
        *(
            (
                f"correctness/graphs/{name}",
                lambda name=name: judged(graph_errors(scale, name), OF_JUMPS),
            )
            for name in RECORDED
        ),
        ("correctness/graphs/training", lambda: judged(training_errors(scale), OF_JUMPS)),
    ]


@contextlib.contextmanager
def without_graphs() -> Iterator[None]:
    """Run all functions as usual, on any device."""
    recorders = dict(capture.RECORDERS)
    capture.RECORDERS.clear()
    try:
        yield
    finally:
        capture.RECORDERS.update(recorders)


def graph_errors(scale: Scale, method: str, iterations: int = 5) -> dict[str, float]:
    """Return how far a set made by graphs is from one made without, of the way from the start."""
    compute.set_up()
    changes = {"iterations": iterations} | scale.changes.get(method, {})

    def images() -> torch.Tensor:
        both = pair(method, scale.dataset, 1, scale.device, changes)
        return both.ours(Problem(both.dataset, 1, 0, scale.device)).images

    by_graphs = images()
    with without_graphs():
        usual = images()
        changes["iterations"] = 0
        start = images()
    return {"images": error(by_graphs - start, usual - start)}


def training_errors(scale: Scale) -> dict[str, float]:
    """Return how far a network trained by graphs is from one trained without, of its way."""
    compute.set_up()
    dataset, device = scale.dataset, scale.device
    images, labels = (part.to(device) for part in some_images(scale))
    images = images.float()

    def parameters(epochs: int) -> torch.Tensor:
        network = networks.build(CONVNET, dataset.shape, len(dataset.classes), 0).to(device)
        fitting.fit(
            *(stacking.alone(network), list(network.parameters())),
            *(lambda positions: images[positions], labels),
            **{"epochs": epochs, "batch_size": 8, "optimizer": SGD, "decay_after": None},
            augment=augmentation.build(policies()["dsa"], dataset),
            generators=[randomness.generator(0, "benchmark")],
        )
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    by_graphs = parameters(4)
    with without_graphs():
        usual, start = parameters(4), parameters(0)
    return {"parameters": error(by_graphs - start, usual - start)}


def some_images(scale: Scale, count: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Return standardised images in float64 on the CPU, and their labels."""
    dataset = scale.dataset
    return (
        dataset.standardize(dataset.train_images[:count].cpu()).double(),
        dataset.train_labels[:count].cpu(),
    )


def operator_errors(scale: Scale, operators: list[str]) -> dict[str, float]:
    """Return the error of each operator of DSA, drawn once for all images and for each, and its
    gradient's."""
    images, _ = some_images(scale)
    errors = {}
    for operator in operators:
        augment = augmentation.build(policies()["dsa"] | {"operators": [operator]}, scale.dataset)
        for count, use in ((1, "siamese"), (len(images), "each")):
            drawn = augment.draw(randomness.generator(0, "gpu", operator), count)
            leaf = images.clone().requires_grad_()
            shown = augment.apply(leaf, in_float64(drawn))
            weights = torch.randn(shown.shape, generator=randomness.generator(0, "weights"))
            (slope,) = torch.autograd.grad((shown * weights).sum(), leaf)
            ours = images.float().to(scale.device).requires_grad_()
            actual = augment.apply(ours, drawn)
            (actual_slope,) = torch.autograd.grad((actual * weights.to(scale.device)).sum(), ours)
            errors[f"{operator} {use}"] = error(actual, shown)
            errors[f"{operator} {use} gradient"] = error(actual_slope, slope)
            packed = augment.packed(drawn).to(scale.device)
            errors[f"{operator} {use} packed"] = error(augment.apply(ours, packed), shown)
    return errors


def gradient_errors(scale: Scale, precision: str) -> Result:
    """Return the errors of ``derivatives.Flat``: the gradient, and its derivatives.

    Exact values come from autograd, through the graph of a graph.
    """
    compute.set_up(precision=precision)
    dataset, device = scale.dataset, scale.device
    images, labels = some_images(scale)
    structure = networks.build(CONVNET, dataset.shape, len(dataset.classes), 0)
    mode = compute.Mode(compile=False, precision=precision)
    flat = Flat(
        networks.build(CONVNET, dataset.shape, len(dataset.classes), 0), dataset.shape, device, mode
    )
    vector = flat.vector(structure)
    direction = torch.randn(len(vector), generator=randomness.generator(0, "direction"))
    batch = (images.float().to(device), labels.to(device))
    slope = flat.gradient(vector, *batch)
    product, of_vector, of_images = flat.rates(vector, direction.to(device), *batch)
    alone = flat.rates_of_images(vector, direction.to(device), *batch)
    structure = exactly(structure)
    weights = list(structure.parameters())
    leaf = images.clone().requires_grad_()
    value = F.cross_entropy(structure(leaf), labels)
    slopes = torch.autograd.grad(value, weights, create_graph=True)
    exact_slope = torch.cat([part.flatten() for part in slopes])
    exact_product = exact_slope @ direction.double()
    *rates, exact_images = torch.autograd.grad(exact_product, [*weights, leaf])
    return judged(
        {
            "gradient": error(slope, exact_slope),
            "product": error(product, exact_product) if precision == "float32" else 0.0,
            "rates of the vector": error(of_vector, torch.cat([part.flatten() for part in rates])),
            "rates of the images": error(of_images, exact_images),
            "rates of the images alone": error(alone, exact_images),
        },
        ROUNDING[precision],
    )


def trajectory_errors(scale: Scale) -> dict[str, float]:
    """Return the errors of TM's gradients against the graph of all steps in float64.

    TESLA's is an approximation unless there is one step, so it is compared for one.
    """
    compute.set_up()
    dataset, device = scale.dataset, scale.device
    images, labels = some_images(scale, 12)
    augment = augmentation.build(policies()["dsa"], dataset)
    snapshots = wandering(dataset, 1)
    errors = {}
    for name, steps in (("exact", 3), ("unroll", 3), ("tesla", 1)):
        stream = randomness.generator(0, "gpu", "plan")
        drawn = [augment.draw(stream, len(images)) for _ in range(steps)]
        leaf, size = images.clone().requires_grad_(), torch.tensor(0.01).double().requires_grad_()
        network = exactly(networks.build(CONVNET, dataset.shape, len(dataset.classes), 0))
        batches = [(augment.apply(leaf, in_float64(draw)), labels) for draw in drawn]
        loss = plain.trajectory_loss(network, *snapshots.double(), batches, size)
        slopes = torch.autograd.grad(loss, (leaf, size))
        structure = networks.build(CONVNET, dataset.shape, len(dataset.classes), 0)
        flat = Flat(structure, dataset.shape, device)
        everything = torch.arange(len(images), device=device)
        actual = GRADIENTS[name](
            *(flat, snapshots[0].to(device), snapshots[1].to(device)),
            *(images.float().to(device), labels.to(device), torch.tensor(0.01, device=device)),
            *([Step(everything, draw) for draw in drawn], augment.apply),
        )
        for kind, ours, exact in zip(
            ("loss", "images", "step"), actual, (loss, *slopes), strict=True
        ):
            errors[f"{name} {kind}"] = error(ours, exact)
    return errors


def kernel_errors(scale: Scale) -> dict[str, float]:
    """Return the errors of KIP's kernels."""
    compute.set_up()
    images, _ = some_images(scale)
    errors = {}
    for name in ("fc_ntk", "conv_features"):
        matrices = []
        for where, batch in ((scale.device, images.float()), (CPU, images)):
            kernel = kernels.exact(depth=1)
            if name == "conv_features":
                drawn = randomness.generator(0, "gpu", "kernel")
                kernel = kernels.random_features(scale.dataset.shape, drawn, networks=2, width=32)
            embedded = kernel.embed(batch.to(where))
            matrices.append(kernel.between(embedded, embedded))
        errors[name] = error(*matrices)
    return errors


def stack_errors(scale: Scale) -> dict[str, float]:
    """Return the errors of the gradients of five networks as one, each against its own."""
    compute.set_up()
    images, labels = some_images(scale)
    dataset, device = scale.dataset, scale.device
    members = [networks.build(CONVNET, dataset.shape, len(dataset.classes), n) for n in range(5)]
    stack = stacking.Stack([member.to(device) for member in members], False, device)
    shown = images.float().to(device).expand(5, *images.shape)
    logits = stack(shown)
    losses = [F.cross_entropy(outputs, labels.to(device)) for outputs in logits]
    gradients = torch.autograd.grad(sum(losses), stack.parameters)
    errors = {}
    for number, member in enumerate(members):
        member = exactly(member)
        value = F.cross_entropy(member(images), labels)
        exact = torch.autograd.grad(value, list(member.parameters()))
        ours = torch.cat([part[number].flatten() for part in gradients])
        errors[f"network {number}"] = error(ours, torch.cat([part.flatten() for part in exact]))
    return errors


def step_errors(scale: Scale, method: str) -> dict[str, float]:
    """Return the error of the first step that a method takes on the images.

    The exact step is the slope of the plain loss in float64, on the same draws. Its size is set so
    that little of it is lost when it is added to the images.
    """
    compute.set_up()
    arguments = options(method, 1, init="random", iterations=1) | scale.changes.get(method, {})
    if method == "kip":
        return _kip_step(scale, arguments)
    # few, because float64 on the CPU is slow; what is right for these is right for more
    few = {"batch_real": 16, "steps": 10}
    arguments |= {
        name: min(most, arguments[name]) for name, most in few.items() if name in arguments
    }
    dataset = replace(scale.dataset, train_images=scale.dataset.train_images.cpu())
    problem, exact = Problem(scale.dataset, 1, 0, scale.device), Problem(dataset, 1, 0)
    first = exact.real(exact.draw_real(1, exact.generator("random")).flatten())
    leaf = first.double().requires_grad_()
    augment = augmentation.build(arguments["augmentation"], dataset)

    def fresh(*purpose: object) -> torch.nn.Module:
        return exactly(networks.build(CONVNET, dataset.shape, len(dataset.classes), 0, *purpose))

    def pairs(*purpose: object) -> list[plain.Pair]:
        shown = []
        for label, indices in enumerate(dataset.indices_by_class()):
            stream = exact.generator(*purpose, label)
            chosen = indices[
                torch.randperm(len(indices), generator=stream)[: arguments["batch_real"]]
            ]
            drawn = in_float64(augment.draw(stream, 1))
            real = augment.apply(exact.real(chosen).double(), drawn)
            shown.append((real, augment.apply(leaf[label : label + 1], drawn), label))
        return shown

    if method == "dm":
        loss = plain.dm_loss(fresh("dm network", 0).requires_grad_(False), pairs("dm", 0))
        condense = dm.condense
    elif method in ("dc", "dsa"):
        loss = plain.matching_loss(fresh("dc network", 0), pairs("dc", 0, 0))
        arguments["outer"] = 1
        condense = dc.condense
    else:
        snapshots = wandering(dataset, arguments["max_start"] + arguments["expert_epochs"])
        arguments |= {"experts": 1, "architecture": CONVNET, "lr_step": 0.0}
        experts = trajectories.Trajectories([snapshots], CONVNET)
        problem = replace(problem, trajectories=experts)
        condense = tm.condense
        stream = exact.generator("tm", 0)
        torch.randint(1, (1,), generator=stream)  # which expert: there is one
        start = int(torch.randint(arguments["max_start"], (1,), generator=stream))
        batches = []
        for _ in range(arguments["steps"]):
            order = torch.randperm(len(leaf), generator=stream)
            drawn = in_float64(augment.draw(stream, len(leaf)))
            batches.append((augment.apply(leaf[order], drawn), exact.labels[order]))
        loss = plain.trajectory_loss(
            *(fresh("tm"), snapshots[start].double()),
            *(snapshots[start + arguments["expert_epochs"]].double(), batches),
            torch.tensor(arguments["step_size"]).double(),
        )
    (slope,) = torch.autograd.grad(loss, leaf)
    arguments["lr"] = float(1 / slope.square().mean().sqrt())
    images = condense(problem, **arguments).images.cpu()
    return {"step": error(first - images, arguments["lr"] * slope)}


def _kip_step(scale: Scale, arguments: dict[str, Any]) -> dict[str, float]:
    """Return the error of the slope of KIP's loss; Adam's first step hides its size."""
    images, labels = some_images(scale, 20)
    dataset = scale.dataset
    real, targets = some_images(scale, 200)
    classes = len(dataset.classes)
    kernel = kernels.exact(depth=arguments["depth"])
    slopes = []
    for where, dtype, loss in (
        (scale.device, torch.float32, kip.loss),
        (CPU, torch.float64, plain.kernel_loss),
    ):
        leaf = images.to(where, dtype).requires_grad_()
        value = loss(
            *(kernel, leaf, kip.centred(labels, classes).to(where), real.to(where, dtype)),
            *(kip.centred(targets, classes).to(where), 1e-3),
        )
        slopes.append(torch.autograd.grad(value, leaf)[0])
    return {"slope": error(*slopes)}


# --- speed ----------------------------------------------------------------------------------------


def timed(scale: Scale, both: Pair, ipc: int, compiled: bool, precision: str) -> Result:
    """Return seconds and memory of ours and the plain loop in turns; a step of each is a turn."""
    done = side_by_side(
        *(both, ipc, scale.device, compiled, precision),
        # the first turn compiles, the second records a graph
        **{"turns": scale.turns, "limit": scale.seconds, "warm_up": 2 if compiled else 3},
    )
    result = {
        "status": "ok",
        "ours": quartiles(done.ours),
        "plain": quartiles(done.theirs) if done.theirs else "OOM",
        "ratio": ratio(done.theirs, done.ours),
        "turns": len(done.ours),
        "first_turn": done.first,
    }
    if scale.device.type == "cuda":
        result |= {"ours_mb": done.ours_mb, "plain_mb": done.theirs_mb}
    return result


def speed(scale: Scale, part: str = "speed") -> list[Case]:
    """Return a case of a part for each method, IPC and precision."""
    compiled = part == "compiled"

    def case(method: str, ipc: int, precision: str) -> Result:
        changes = scale.changes.get(method, {})
        steps = (options(method, ipc) | changes).get("outer") or 1
        both = pair(method, scale.dataset, ipc, scale.device, changes)
        with without_graphs() if part == "launches" else contextlib.nullcontext():
            # of DC and DSA a turn is one matching step with the training after it
            result = timed(scale, both, ipc, compiled, precision)
        return result | {"turns_of_an_iteration": steps}

    return [
        (
            f"{part}/{method}/ipc{ipc}/{precision}",
            lambda arguments=(method, ipc, precision): case(*arguments),
        )
        for precision in scale.precision
        for ipc in scale.ipc
        for method in METHODS
        if not (method in ("tm", "kip") and precision != "float32")  # always in float32
        and not (part != "speed" and method == "kip")  # never compiled, never recorded
    ]


def expert(scale: Scale, compiled: bool = False) -> list[Case]:
    """Return a case per precision: an epoch of an expert."""

    def case(precision: str) -> Result:
        batches = scale.batches or -(-len(scale.dataset.train_labels) // plain.BATCH)
        changes = {"batches": batches, "epochs": scale.turns + 4}
        return timed(
            scale, pair("expert", scale.dataset, 1, scale.device, changes), 1, compiled, precision
        )

    part = "compiled" if compiled else "expert"
    return [
        (f"{part}/expert/{precision}", lambda precision=precision: case(precision))
        for precision in scale.precision
    ]


def stacks(scale: Scale, seeds: int = 5) -> list[Case]:
    """Return a case per network and IPC: five networks as one, and one after the other."""
    dataset, device = scale.dataset, scale.device
    augment = augmentation.build(policies()["dsa"], dataset)

    def case(name: str, ipc: int) -> Result:
        compute.set_up()
        problem = Problem(dataset, ipc, 0, device)
        images = problem.real(problem.draw_real(ipc, problem.generator("random")).flatten())
        labels = problem.labels.to(device)
        epochs = scale.epochs[ipc]
        members = [
            networks.build(NETWORKS[name], dataset.shape, len(dataset.classes), seed).to(device)
            for seed in range(seeds)
        ]
        together = stacking.Stack(members, False, device)
        at_once = compute.images_at_once(members[0], dataset.shape, device)

        def fit(forward: Callable, parameters: list, count: int) -> None:
            fitting.fit(
                *(forward, parameters, lambda positions: images[positions], labels),
                **{"epochs": epochs, "batch_size": 256, "optimizer": SGD, "decay_after": None},
                augment=augment,
                generators=[randomness.generator(seed, "benchmark") for seed in range(count)],
                at_once=at_once and max(1, at_once // count),
            )

        def in_turn() -> None:
            for member in members:
                fit(stacking.alone(member), list(member.parameters()), 1)

        ways = {"in turn": in_turn, "as one": lambda: fit(together, together.parameters, seeds)}
        clock, memory = Clock(device), Memory(device)
        times: dict[str, list[float]] = {way: [] for way in ways}
        peaks_mb = dict.fromkeys(ways, 0.0)
        began = time.monotonic()
        for turn in range(scale.turns + 1):
            for way, function in ways.items():
                memory.reset()
                clock.start()
                function()
                seconds = clock.stop()
                if turn:
                    times[way].append(seconds)
                    peaks_mb[way] = max(peaks_mb[way], memory.peak())
            if turn >= 3 and time.monotonic() - began > scale.seconds:
                break
        steps = epochs * -(-len(labels) // 256)
        per_step = {
            way: [1e3 * value / steps for value in quartiles(seconds)]
            for way, seconds in times.items()
        }
        return {
            "status": "ok",
            "ms_a_step": per_step,
            "ratio": ratio(times["in turn"], times["as one"]),
            "peak_mb": peaks_mb,
        }

    return [
        (f"stacking/{name}/ipc{ipc}", lambda arguments=(name, ipc): case(*arguments))
        for name in scale.networks
        for ipc in scale.ipc
    ]


# --- the run --------------------------------------------------------------------------------------


def cases(scale: Scale, parts: list[str]) -> list[Case]:
    """Return all cases of these parts, the most important first."""
    of_part = {
        "correctness": lambda: correctness(scale),
        "speed": lambda: speed(scale),
        "stacking": lambda: stacks(scale),
        "expert": lambda: expert(scale),
        "compiled": lambda: expert(scale, True) + speed(scale, "compiled"),
        "launches": lambda: speed(scale, "launches"),
    }
    return [case for part in PARTS if part in parts for case in of_part[part]()]


def run(todo: list[Case], results: dict[str, Result], save: Callable[[], None]) -> None:
    """Run the cases that have no result; each is saved when it is done."""
    for name, case in todo:
        if results.get(name, {}).get("status") in DONE:
            continue
        began = time.monotonic()
        try:
            results[name] = case()
        except Exception as raised:
            status = "oom" if compute.is_out_of_memory(raised) else "failed"
            results[name] = {"status": status, "error": traceback.format_exc(limit=-4)}
        compute.free_memory()
        results[name]["seconds_of_the_case"] = time.monotonic() - began
        save()
        print(f"{name}: {results[name]['status']}", file=sys.stderr, flush=True)


def synthetic(shape: tuple[int, int, int], per_class: int) -> datasets.Dataset:
    """Return random images of ten classes, standardised as CIFAR-10 is."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(10).repeat(per_class)
    images = torch.randint(0, 256, (len(labels), *shape), generator=generator).to(torch.uint8)
    return datasets.Dataset(
        *("random images", tuple("0123456789"), images, labels, images[:100], labels[:100]),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
    )


def scale_of(arguments: argparse.Namespace, device: torch.device) -> Scale:
    """Return the size of the cases that the arguments ask for."""
    if arguments.dataset:
        dataset = datasets.load(arguments.dataset)
    else:
        dataset = synthetic((3, 8, 8), 30) if arguments.quick else synthetic((3, 32, 32), 5000)
    dataset = replace(dataset, train_images=dataset.train_images.to(device))
    precision = tuple(arguments.precision)
    if not arguments.quick:
        return Scale(
            *(dataset, device, (1, 10, 50), arguments.turns, arguments.seconds, {}, None),
            *({1: 40, 10: 20, 50: 10}, NETWORKS, precision),
        )
    few = {"batch_real": 8, "outer": 2, "inner": 1}
    changes = {"dc": few, "dsa": few, "dm": {"batch_real": 8}, "kip": {"batch_real": 50}}
    changes["tm"] = {"steps": 2, "expert_epochs": 1, "max_start": 2}
    return Scale(
        *(dataset, device, (1,), 2, 1.0, changes, 2, {1: 2}, {"mlp": NETWORKS["mlp"]}, precision),
    )


# --- the table ------------------------------------------------------------------------------------


def printed(path: Path) -> dict[tuple[str, int, str], str]:
    """Return the paper's Table 8: (method, IPC, metric) -> number or OOM, CIFAR-10."""
    with path.open(newline="") as file:
        return {
            (row["method"].lower(), int(row["ipc"]), row["metric"]): row["mean"]
            for row in csv.DictReader(file)
        }


def report(results: dict[str, Result], paper: dict[tuple[str, int, str], str]) -> str:
    """Return the tables, as Markdown."""
    lines = ["| correctness | status | largest error | of | bound |", "|---|---|---|---|---|"]
    for name, result in results.items():
        if name.startswith("correctness/") and "errors" in result:
            worst = max(result["errors"], key=result["errors"].get)
            lines.append(
                f"| {name.partition('/')[2]} | {result['status']} | "
                f"{result['errors'][worst]:.1e} | {worst} | {result['bound']:g} |"
            )
    lines += [
        "",
        "| case | ours s an iteration | plain s | ratio (quartiles) | first turn s | ours MiB | "
        "plain MiB | printed s | printed MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        if "ours" not in result:
            continue
        _, method, *rest = name.split("/")
        ipc = int(rest[0][3:]) if rest[0].startswith("ipc") else 0
        turns = result.get("turns_of_an_iteration", 1)
        theirs = (
            result["plain"] if result["plain"] == "OOM" else f"{turns * result['plain'][1]:.4g}"
        )
        memory = [f"{result[key]:.0f}" if key in result else "-" for key in ("ours_mb", "plain_mb")]
        of_paper = [
            paper.get((method, ipc, metric), "-")
            for metric in ("seconds_per_iteration", "gpu_memory_mb")
        ]
        cells = [name, f"{turns * result['ours'][1]:.4g}", theirs, result["ratio"]]
        cells += [f"{result['first_turn']:.3g}", *memory, *of_paper]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| five networks | in turn ms a step | as one ms a step | ratio (quartiles) |",
        "|---|---|---|---|",
    ]
    for name, result in results.items():
        if "ms_a_step" in result:
            apart, together = (result["ms_a_step"][way][1] for way in ("in turn", "as one"))
            lines.append(f"| {name} | {apart:.3g} | {together:.3g} | {result['ratio']} |")
    lines += [
        f"\n{name}: {result['status']}\n{result['error']}"
        for name, result in results.items()
        if "error" in result
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the cases that have no result, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True, help="the deadline")
    parser.add_argument("--output", type=Path, required=True, help="JSON, continued where it is")
    parser.add_argument("--dataset", help="a prepared dataset.safetensors; else random images")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="all parts in small")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--precision", nargs="+", default=["float32", "bf16"])
    parser.add_argument("--turns", type=int, default=9, help="most turns of a case")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a case, about")
    arguments = parser.parse_args()
    deadline = time.monotonic() + 60 * arguments.minutes

    def over(*_: Any) -> None:
        raise OutOfTime

    device = compute.device_named(arguments.device)
    state: dict[str, Any] = {"runs": [], "results": {}}
    if arguments.output.is_file():
        state = storage.read_json(arguments.output)
    here = machine(device)
    for earlier in state["runs"]:
        known = ("device_name", "torch", "quick")
        differing = [
            key for key in known if earlier[key] != (here | {"quick": arguments.quick})[key]
        ]
        if differing:
            sys.exit(
                f"{arguments.output}: was begun with another {', '.join(differing)}; "
                "name a new file"
            )
    description = here | {"quick": arguments.quick, "dataset": arguments.dataset or "random images"}
    state["runs"].append(description)

    def save() -> None:
        storage.write_json(arguments.output, state)

    signal.signal(signal.SIGALRM, over)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(0.001, deadline - time.monotonic()))
        if "peaks" not in state:
            state["peaks"] = peaks(arguments.precision, device, small=arguments.quick)
        todo = cases(scale_of(arguments, device), arguments.parts)
        run(todo, state["results"], save)
    except OutOfTime:
        print("the minutes are over", file=sys.stderr)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    save()
    for key, value in description.items():
        print(f"{key}: {value}")
    print(f"operations a second at their peak: {state.get('peaks')}\n")
    table = Path(__file__).parents[1] / "config/paper/table8.csv"
    print(report(state["results"], printed(table)))
    failed = [
        name for name, result in state["results"].items() if result["status"] in ("wrong", "failed")
    ]
    if failed:
        sys.exit(f"not right: {', '.join(failed)}")


if __name__ == "__main__":
    main()
