"""How fast networks are trained on a condensed set and tested, beside a plain loop.

    python benchmarks/evaluation.py results/cifar10/dataset.safetensors --threads 1

Ours and the plain loop take turns in one process, so that both see the same
machine; a ratio is that of two neighbours in time, its median and quartiles are
over the turns. The plain loop (``plain.py``) trains one network after the other. ConvNet, SGD, DSA,
real images.

    python benchmarks/evaluation.py DATASET --stacking     five networks as one, or in turn
    python benchmarks/evaluation.py DATASET --machine      all cores: the plain loop's threads,
                                                           against our jobs of one thread each
    python benchmarks/evaluation.py DATASET --start-up     from starting python to the first step
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

import plain
import torch
from beside import CONVNET, announce, peaks, policies, ratio

from condensation import augmentation, networks
from condensation.core import compute, randomness
from condensation.data import datasets
from condensation.methods.contract import Problem
from condensation.training import fitting, metrics, stacking

SGD = {"algorithm": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "decay": True}
EPOCHS = {1: 40, 10: 4, 50: 1}  # of a turn, by IPC
CPU = torch.device("cpu")
SMALL = {
    "mlp": {"network": "mlp", "width": 128},
    "convnet": {"network": "convnet", "width": 32, "depth": None},
    "resnet18": {"network": "resnet", "depth": 18, "width": 8, "stem": None},
    "convnet, full width": CONVNET,
}


def chosen(dataset, ipc):
    """Random images of every class, standardised, and their labels."""
    problem = Problem(dataset, ipc, 0)
    images = problem.real(problem.draw_real(ipc, problem.generator("random")).flatten())
    return images, problem.labels


def plain_epochs(network, images, labels, augment, epochs):
    """Train as the field writes it."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    plain.train(
        network, optimizer, images, labels, augment, torch.Generator().manual_seed(0), epochs
    )


def fit(forward, parameters, images, labels, augment, epochs, seeds, at_once):
    """Train as we do."""
    fitting.fit(
        *(forward, parameters, lambda positions: images[positions], labels),
        epochs=epochs,
        batch_size=256,
        optimizer=SGD,
        decay_after=None,
        augment=augment,
        generators=[randomness.generator(seed, "benchmark") for seed in range(seeds)],
        at_once=at_once,
    )


def timed(function, *arguments):
    """Seconds of one call."""
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def take_turns(turns, theirs, ours):
    """Seconds of either, turn by turn, after one that compiles and does not count."""
    both = [(timed(*theirs), timed(*ours)) for _ in range(turns + 1)][1:]
    return tuple(zip(*both, strict=True))


def beside_the_plain_loop(dataset, turns):
    """Print a row per IPC, and one for the test pass."""
    augment = augmentation.build(policies()["dsa"], dataset)
    network = networks.build(CONVNET, dataset.shape, len(dataset.classes), 0)
    beside = plain.network_of(dataset, CPU)
    forward = compute.compiled(network, True, CPU)
    at_once = compute.images_at_once(network, dataset.shape, CPU)
    operations = compute.operations(network, dataset.shape)
    tops = peaks(["float32"], CPU)
    announce(tops, CPU)
    print(
        "| job | plain ms an image | ours ms an image | ratio (quartiles) | of matmul peak | "
        "of convolution peak |"
    )
    print("|---|---|---|---|---|---|", flush=True)

    def row(name, images, theirs, ours, per_image):
        middle = statistics.median(ours)
        rate = per_image * operations * images / middle
        shares = [f"{rate / tops['float32'][kind]:.0%}" for kind in ("matmul", "convolution")]
        print(
            f"| {name} | {1e3 * statistics.median(theirs) / images:.2f} | "
            f"{1e3 * middle / images:.2f} | {ratio(theirs, ours)} | {' | '.join(shares)} |",
            flush=True,
        )

    for ipc, epochs in EPOCHS.items():
        images, labels = chosen(dataset, ipc)
        inputs = (images, labels, augment, epochs)
        times = take_turns(
            turns,
            (plain_epochs, beside, *inputs),
            (fit, stacking.alone(forward), list(network.parameters()), *inputs, 1, at_once),
        )
        row(f"training, IPC {ipc}", epochs * len(labels), *times, 3)
    images, labels = dataset.standardize(dataset.test_images), dataset.test_labels
    times = take_turns(
        turns,
        (plain.test, beside, images, labels),
        (metrics.measure, stacking.alone(forward), 1, dataset, CPU, at_once),
    )
    row(f"test on {len(labels)} images", len(labels), *times, 1)


def stacked(dataset, turns, seeds=5):
    """Print, per network and IPC, how much faster five networks are as one; all eager."""
    augment = augmentation.build(policies()["dsa"], dataset)
    print("| network | IPC | in turn ms a step | as one ms a step | ratio (quartiles) | auto |")
    print("|---|---|---|---|---|---|", flush=True)
    for name, entry in SMALL.items():
        for ipc in (1, 10):
            images, labels = chosen(dataset, ipc)
            members = [
                networks.build(entry, dataset.shape, len(dataset.classes), s) for s in range(seeds)
            ]
            together = stacking.Stack(members, False, CPU)
            at_once = compute.images_at_once(members[0], dataset.shape, CPU)
            epochs = 2

            def in_turn(members=members, arguments=(images, labels, augment, epochs, 1, at_once)):
                for member in members:
                    fit(stacking.alone(member), list(member.parameters()), *arguments)

            arguments = (images, labels, augment, epochs, seeds, max(1, at_once // seeds))
            times = take_turns(turns, (in_turn,), (fit, together, together.parameters, *arguments))
            steps = epochs * -(-len(labels) // 256)
            pays = stacking.pays(members[0], dataset.shape, min(len(labels), 256), CPU)
            theirs, ours = (1e3 * statistics.median(seconds) / steps for seconds in times)
            print(
                f"| {name} | {ipc} | {theirs:.1f} | {ours:.1f} | {ratio(*times)} | "
                f"{'as one' if pays else 'in turn'} |",
                flush=True,
            )


def rate(dataset, name, ipc, start, seconds):
    """Print the images a second of one loop, from the time ``start`` on."""
    images, labels = chosen(dataset, ipc)
    augment = augmentation.build(policies()["dsa"], dataset)
    network = networks.build(CONVNET, dataset.shape, len(dataset.classes), 0)
    inputs = (images, labels, augment)
    if name == "ours":
        at_once = compute.images_at_once(network, dataset.shape, CPU)
        forward = stacking.alone(compute.compiled(network, True, CPU))
        parameters = list(network.parameters())

        def epochs(count):
            fit(forward, parameters, *inputs, count, 1, at_once)
    else:
        plain.in_place(network)

        def epochs(count):
            plain_epochs(network, *inputs, count)

    epochs(2)
    time.sleep(max(0.0, start - time.time()))
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        epochs(EPOCHS[ipc])
        done += EPOCHS[ipc] * len(labels)
    print(done / (time.perf_counter() - began))


def of_the_machine(path, turns, cores, warm_up=40, seconds=12):
    """Print, per IPC, the images a second of all cores: plain with threads, ours with jobs."""
    print("| IPC | plain, images a second | ours | ratio (quartiles) |")
    print("|---|---|---|---|", flush=True)

    def together(name, ipc, jobs, threads):
        start = time.time() + (warm_up if name == "ours" else 15)
        command = [sys.executable, __file__, path, "--rate", name, str(ipc), str(start)]
        command += [str(seconds), "--threads", str(threads)]
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for _ in range(jobs)
        ]
        return sum(float(process.communicate()[0]) for process in running)

    for ipc in EPOCHS:
        both = [
            (together("ours", ipc, cores, 1), together("plain", ipc, 1, cores))
            for _ in range(turns)
        ]
        ours, theirs = zip(*both, strict=True)
        print(
            f"| {ipc} | {statistics.median(theirs):.0f} | {statistics.median(ours):.0f} | "
            f"{ratio(ours, theirs)} |",
            flush=True,
        )


def first_step(dataset):
    """Take one step, eager: what a job does before it trains in earnest."""
    images, labels = chosen(dataset, 1)
    augment = augmentation.build(policies()["dsa"], dataset)
    network = networks.build(CONVNET, dataset.shape, len(dataset.classes), 0)
    arguments = (images, labels, augment, 1, 1, None)
    fit(stacking.alone(network), list(network.parameters()), *arguments)


def start_up(path, turns):
    """Print the seconds of a process that imports what a job does and takes one step."""
    command = [sys.executable, __file__, path, "--first-step"]
    times = [timed(lambda: subprocess.run(command, check=True)) for _ in range(turns + 1)][1:]
    low, middle, high = statistics.quantiles(times, n=4)
    print(f"from starting python to the first step taken: {middle:.2f} s ({low:.2f} to {high:.2f})")


def main():
    """Print the table that the arguments choose."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="a prepared dataset.safetensors")
    parser.add_argument("--stacking", action="store_true", help="five networks as one, or in turn")
    parser.add_argument("--machine", action="store_true", help="all cores of the machine")
    parser.add_argument("--rate", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--start-up", action="store_true", help="seconds before the first step")
    parser.add_argument("--first-step", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.first_step:
        first_step(datasets.load(arguments.dataset))
    elif arguments.rate:
        name, ipc, start, seconds = arguments.rate
        rate(datasets.load(arguments.dataset), name, int(ipc), float(start), float(seconds))
    elif arguments.machine:
        of_the_machine(arguments.dataset, arguments.turns, os.cpu_count())
    elif arguments.start_up:
        start_up(arguments.dataset, arguments.turns)
    elif arguments.stacking:
        stacked(datasets.load(arguments.dataset), arguments.turns)
    else:
        beside_the_plain_loop(datasets.load(arguments.dataset), arguments.turns)


if __name__ == "__main__":
    main()
