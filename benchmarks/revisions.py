"""How fast two revisions of this repository are, beside each other, on the CPU.

    git clone . ../before && git -C ../before checkout -q v0.9.0
    python benchmarks/revisions.py results/cifar10/dataset.safetensors --before ../before

Each revision runs in a process of its own, and the two take turns, iteration by iteration, so that
both see the same machine. A ratio is that of two neighbours, in seconds of the processor; its
median and quartiles are over the turns. Each runs its own ``methods.py`` and ``evaluation.py`` of
this folder, which must have the functions used below.
"""

import argparse
import inspect
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
CASES = ("dm", "dc", "dsa", "tm", "kip", "expert", "evaluation")


def work(folder: Path, dataset_file: str, case: str, ipc: int, turns: int) -> None:
    """Run the turns of one revision: one for each line of stdin; print the seconds of each."""
    sys.path.insert(0, str(folder / "benchmarks"))
    import beside
    import methods
    import torch

    from condensation.core import allocator, compute
    from condensation.data import datasets

    assert Path(compute.__file__).is_relative_to(folder), compute.__file__
    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    dataset = datasets.load(dataset_file)
    began = 0.0

    def hand_over(_: int = 0) -> None:
        nonlocal began
        print(time.process_time() - began, flush=True)
        sys.stdin.readline()
        began = time.process_time()

    if case == "evaluation":
        import evaluation

        from condensation import augmentation, networks
        from condensation.training import stacking

        compute.set_up(precision="float32")
        allocator.keep_freed_memory()
        augment = augmentation.build(beside.policies()["dsa"], dataset)
        network = networks.build(beside.CONVNET, dataset.shape, len(dataset.classes), 0)
        forward = stacking.alone(compute.compiled(network, True, cpu))
        inputs = (*evaluation.chosen(dataset, ipc), augment, evaluation.EPOCHS[ipc])
        at_once = compute.images_at_once(network, dataset.shape, cpu)
        for _ in range(turns + 2):
            evaluation.fit(forward, list(network.parameters()), *inputs, 1, at_once)
            hand_over()
        return
    both = methods.pair(case, dataset, ipc, cpu, methods.CHANGES[case], outer_at_once=True)
    both = methods.Pair(both.ours, lambda: hand_over, both.dataset, both.group)
    methods.side_by_side(both, ipc, cpu, True, "float32", turns=turns, warm_up=2)


def compare(before: Path, dataset_file: str, case: str, ipc: int, turns: int) -> list[list[float]]:
    """Return the seconds of both revisions, turn by turn, without the first two, which compile."""
    script = inspect.getsourcefile(work)
    workers = [
        subprocess.Popen(
            [sys.executable, script, dataset_file, "--work", folder, case, str(ipc), str(turns)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for folder in (before, HERE)
    ]
    seconds: list[list[float]] = [[], []]
    try:
        for turn in range(turns + 2):
            for number, worker in enumerate(workers):
                if turn:  # the first turn begins by itself, and both compile at once
                    worker.stdin.write("\n")
                    worker.stdin.flush()
                line = worker.stdout.readline()
                if not line:
                    sys.exit(f"{(before, HERE)[number]} stopped")
                seconds[number].append(float(line))
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    return [values[2:] for values in seconds]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="a prepared dataset.safetensors")
    parser.add_argument("--before", type=Path, help="a clone with the other revision")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--ipc", nargs="+", type=int, default=[1, 10])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        folder, case, *numbers = arguments.work
        work(Path(folder), arguments.dataset, case, *map(int, numbers))
        return
    sys.path.insert(0, str(HERE / "benchmarks"))
    from beside import ratio

    print("| case | IPC | before, s | after, s | before / after (quartiles) |")
    print("|---|---|---|---|---|", flush=True)
    for case in arguments.cases:
        for ipc in arguments.ipc if case != "expert" else [1]:
            both = compare(
                arguments.before.resolve(), arguments.dataset, case, ipc, arguments.turns
            )
            middles = " | ".join(f"{statistics.median(values):.3f}" for values in both)
            print(f"| {case} | {ipc} | {middles} | {ratio(*both)} |", flush=True)


if __name__ == "__main__":
    main()
