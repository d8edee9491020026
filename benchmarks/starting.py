"""Seconds that a process takes to start: Python, torch, a job's modules, torch's compiler.

    python benchmarks/starting.py --turns 5

The cases take turns. CPU seconds suffer less from other work on the machine than wall time.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

MODULES = "import condensation.data.sets, condensation.training.evaluation"
CASES = {
    "Python": "pass",
    "torch": "import torch",
    "the modules of an evaluation": MODULES,
    "these and torch's compiler": f"{MODULES}, torch._dynamo",
    "these and torchvision": f"{MODULES}, torchvision",
}


def seconds(code: str) -> tuple[float, float]:
    """Return wall and CPU seconds of a process that runs ``code``."""
    scripts = str(Path(__file__).parents[1] / "workflow_scripts")
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": scripts}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    for _ in range(options.turns + 1):
        for name, code in CASES.items():
            taken[name].append(seconds(code))
    print("| a process loads | wall s | CPU s |\n|---|---|---|")
    for name, values in taken.items():
        columns = []
        for numbers in zip(*values[1:], strict=True):  # the first turn warms the file cache
            low, high = min(numbers), max(numbers)
            columns.append(f"{statistics.median(numbers):.2f} ({low:.2f} to {high:.2f})")
        print(f"| {name} | {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
