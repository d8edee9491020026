"""How long Snakemake takes to build the paper's grid, and larger ones.

    python benchmarks/planning.py                1, 3 and 10 times the grid of config/paper.yaml
    python benchmarks/planning.py --times 1 30

The grid grows by its condensation seeds: each makes another set and all its evaluations. Timed is
`snakemake -n --quiet all`, from starting Python to its end, in turns, in an empty results folder;
beside it the time of `snakemake --version`, which no workflow can go below.
"""

import argparse
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def larger(times: int, folder: Path) -> Path:
    """Write the paper's config with ``times`` condensation seeds in every block."""
    content = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    content["results_dir"] = str(folder / f"results{times}")
    for blocks in content["experiments"].values():
        for block in blocks if isinstance(blocks, list) else [blocks]:
            block["condensation_seeds"] = times
    content["nas"]["sets"]["condensation_seeds"] = times
    path = folder / f"paper{times}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def snakemake(*arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def timed(*arguments: str) -> float:
    began = time.perf_counter()
    snakemake(*arguments)
    return time.perf_counter() - began


def main() -> None:
    """Print a row per grid."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        configs = {times: larger(times, Path(name)) for times in arguments.times}
        options = {
            times: ("-n", "--quiet", "all", "--cores", "1", "--configfile", str(path))
            for times, path in configs.items()
        }
        seconds = {times: [] for times in arguments.times}
        floor = []
        for _ in range(arguments.turns):
            floor.append(timed("--version"))
            for times in arguments.times:
                seconds[times].append(timed(*options[times]))
        print(f"snakemake --version: {statistics.median(floor):.2f} s")
        print("| grid | jobs | seconds, median | least to most | ms a job |")
        print("|---|---|---|---|---|")
        for times in arguments.times:
            output = snakemake("-n", "--quiet", "rules", *options[times][3:])
            jobs = int(re.search(r"^total +(\d+)", output, re.M)[1])
            durations, middle = seconds[times], statistics.median(seconds[times])
            each = 1000 * (middle - statistics.median(floor)) / jobs
            print(
                f"| {times} x | {jobs} | {middle:.1f} | "
                f"{min(durations):.1f} to {max(durations):.1f} | {each:.2f} |"
            )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory of one: {peak:.0f} MB")


if __name__ == "__main__":
    main()
