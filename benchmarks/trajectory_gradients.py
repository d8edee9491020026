"""TM's gradient three ways: how exact, how fast, how much memory, by the number of steps N.

    python benchmarks/trajectory_gradients.py results/cifar10/dataset.safetensors \\
        results/cifar10/trajectories/experts/expert0.safetensors --ipc 1 --steps 2 8 30

Each case runs in a process of its own, with a limit on its memory. `error` is
|g - g_unroll| / |g_unroll| over the images, `cosine` the angle between them;
the memory is the peak of the process above what it had before the gradient
(compiled code left out: everything is eager, so that the three compare).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow_scripts"))

from condensation import augmentation, networks
from condensation.core import compute, storage
from condensation.data import datasets
from condensation.methods.contract import Problem
from condensation.methods.derivatives import Flat
from condensation.methods.trajectory_gradients import GRADIENTS, Step

CONVNET = {"network": "convnet", "width": 128, "depth": None}
DSA = {
    "policy": "dsa",
    "operators": ["color", "crop", "cutout", "flip", "scale", "rotate"],
    "align_corners": False,
}


def peak_mb():
    """Peak resident memory of this process in MiB."""
    return compute.peak_memory_mb(torch.device("cpu"))["peak_rss_mb"]


def case(arguments):
    """Compute one gradient; its numbers go to standard output, the gradient to a file."""
    torch.set_num_threads(arguments.threads)
    compute.limit_memory(arguments.limit_mb)
    dataset = datasets.load(arguments.dataset)
    problem = Problem(dataset, arguments.ipc, 0)
    snapshots = storage.read_tensors(arguments.expert)[0]["snapshots"][0]
    images = problem.real(problem.draw_real(arguments.ipc, problem.generator("random")).flatten())
    augment = augmentation.build(DSA, dataset)
    stream = problem.generator("plan")
    everything = torch.arange(len(images))
    plan = [Step(everything, augment.draw(stream, len(images))) for _ in range(arguments.steps[0])]
    structure = networks.build(CONVNET, dataset.shape, len(dataset.classes), 0)
    network = Flat(
        structure,
        *(dataset.shape, problem.device, compute.Mode(arguments.compile, "float32")),
        chunk=arguments.chunk,
    )
    a = torch.tensor(0.01)
    before, times = peak_mb(), []
    for _ in range(arguments.repeats):
        began = time.perf_counter()
        _, of_images, of_a = GRADIENTS[arguments.gradient](
            *(network, snapshots[0], snapshots[arguments.epochs], images, problem.labels),
            *(a, plan, augment.apply),
        )
        times.append(time.perf_counter() - began)
    torch.save([of_images, of_a], arguments.output)
    print(json.dumps({"seconds": min(times), "memory": peak_mb() - before, "peak": peak_mb()}))


def main():
    """Print the table, or run one case of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("expert")
    parser.add_argument("--ipc", type=int, default=1)
    parser.add_argument("--steps", nargs="+", type=int, default=[2, 8, 30])
    parser.add_argument("--epochs", type=int, default=2, help="expert epochs from start to target")
    parser.add_argument("--chunk", type=int)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--compile", action="store_true", help="`exact` and `tesla` compiled")
    parser.add_argument("--limit-mb", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gradient", choices=GRADIENTS, help="run this one case")
    parser.add_argument("--output")
    arguments = parser.parse_args()
    if arguments.gradient:
        case(arguments)
        return
    print("| N | gradient | error | cosine | seconds | of unroll's | memory MiB | of unroll's |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for steps in arguments.steps:
        reference = None
        for name in ("unroll", "exact", "tesla"):
            result = run(arguments, name, steps)
            if result is None:
                print(
                    f"| {steps} | {name} | - | - | - | - | above {arguments.limit_mb} | - |",
                    flush=True,
                )
                continue
            numbers, gradient = result
            if name == "unroll":
                reference = (numbers, gradient)
            row = [f"{steps}", name, "-", "-", f"{numbers['seconds']:.2f}", "-"]
            row += [f"{numbers['memory']:.0f}", "-"]
            if reference:
                base, expected = reference
                error = (gradient - expected).norm() / expected.norm()
                cosine = torch.cosine_similarity(gradient.flatten(), expected.flatten(), dim=0)
                row[2:4] = f"{error:.1e}", f"{cosine:.4f}"
                row[5] = f"{numbers['seconds'] / base['seconds']:.2f}"
                row[7] = f"{numbers['memory'] / base['memory']:.2f}"
            print(f"| {' | '.join(row)} |", flush=True)


def run(arguments, name, steps):
    """Return the numbers and the image gradient of one case, or None if it ran out of memory."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "gradient.pt")
        options = [arguments.dataset, arguments.expert, "--gradient", name, "--output", str(output)]
        options += ["--ipc", str(arguments.ipc), "--steps", str(steps)]
        options += ["--epochs", str(arguments.epochs)]
        options += ["--repeats", str(arguments.repeats), "--threads", str(arguments.threads)]
        options += ["--limit-mb", str(arguments.limit_mb)]
        if arguments.chunk:
            options += ["--chunk", str(arguments.chunk)]
        if arguments.compile:
            options += ["--compile"]
        # memory that is freed goes back to the system, so that the peak is what was needed
        environment = os.environ | {
            "MALLOC_MMAP_THRESHOLD_": "65536",
            "MALLOC_TRIM_THRESHOLD_": "0",
        }
        done = subprocess.run(
            [sys.executable, __file__, *options], capture_output=True, text=True, env=environment
        )
        if done.returncode:
            if "allocate" in done.stderr or "bad_alloc" in done.stderr:
                return None
            sys.exit(done.stderr)
        return json.loads(done.stdout.splitlines()[-1]), torch.load(output)[0]


if __name__ == "__main__":
    main()
