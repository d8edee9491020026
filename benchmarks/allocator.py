"""What keeping freed memory saves a method on a CPU (``condensation.core.allocator``).

    python benchmarks/allocator.py results/cifar10/dataset.safetensors --methods dm dc

Steps with and without it take turns in one process. The table counts seconds of the processor, so
that a busy machine disturbs less, and page faults.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import methods
import torch
from beside import Recorder, quartiles, usual_allocator

from condensation.core import allocator
from condensation.data import datasets
from condensation.methods.contract import Problem

STEPS_PER_TURN = 2


class Steps(Recorder):
    """Runs steps in turns instead of a method's iterations; ``kept`` and ``usual`` hold both.

    Parameters
    ----------
    turns : number of pairs of (seconds, page faults) in each.
    """

    def __init__(self, turns: int):
        super().__init__()
        self.turns, self.kept, self.usual = turns, [], []

    def run(
        self,
        state: dict[str, torch.Tensor],
        step: Callable[[int], None],
        iterations: int,
        parts: int = 1,
        check: Callable[[], None] | None = None,
        labels: Callable[[], torch.Tensor] | None = None,
    ) -> None:
        """Run one step to warm up, and the turns; see ``Recorder.run``."""
        step(0)
        numbers = iter(range(1, 1 + 2 * self.turns * STEPS_PER_TURN))
        for _ in range(self.turns):
            for prepare, costs in (
                (usual_allocator, self.usual),
                (allocator.keep_freed_memory, self.kept),
            ):
                prepare()
                costs.append(_cost(lambda: [step(next(numbers)) for _ in range(STEPS_PER_TURN)]))


def _cost(function: Callable[[], object]) -> tuple[float, int]:
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    function()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return time.process_time() - began, faults


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="a prepared dataset.safetensors")
    parser.add_argument("--methods", nargs="+", choices=methods.CHANGES, default=["dm", "dc"])
    parser.add_argument("--ipc", nargs="+", type=int, default=[1])
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device("cpu")
    dataset = datasets.load(arguments.dataset)
    print("| method | IPC | usual s | kept s | kept / usual (quartiles) | faults usual | kept |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in arguments.methods:
        for ipc in arguments.ipc:
            both = methods.pair(name, dataset, ipc, device, methods.CHANGES[name])
            recorder = Steps(arguments.turns)
            both.ours(Problem(both.dataset, ipc, 0, device, recorder=recorder))
            usual, kept = (
                list(zip(*costs, strict=True)) for costs in (recorder.usual, recorder.kept)
            )
            ratios = [ours / theirs for ours, theirs in zip(kept[0], usual[0], strict=True)]
            low, middle, high = quartiles(ratios)
            print(
                f"| {name} | {ipc} | {statistics.median(usual[0]) / STEPS_PER_TURN:.2f} | "
                f"{statistics.median(kept[0]) / STEPS_PER_TURN:.2f} | "
                f"{middle:.2f} ({low:.2f} to {high:.2f}) | "
                f"{statistics.median(usual[1]) // STEPS_PER_TURN:,.0f} | "
                f"{statistics.median(kept[1]) // STEPS_PER_TURN:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
