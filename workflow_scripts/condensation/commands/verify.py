"""Check every file that the workflow made against its checksum.

    condensation verify results figures

Prints the broken files to standard output, one a line, and what is wrong with each to standard
error; the exit status is 1 if any file is broken. Recompute them, and what was made from them:

    snakemake --cores all --forcerun $(condensation verify results figures)
"""

import argparse
import sys
from pathlib import Path

from condensation.core import checksums


def main(arguments: list[str]) -> int:
    """Print the broken files; return 1 if there are any, else 0."""
    parser = argparse.ArgumentParser(
        prog="condensation verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders", nargs="+", help="`results_dir` and `figures_dir` as the config has them"
    )
    folders = parser.parse_args(arguments).folders
    for folder in folders:
        if not Path(folder).is_dir():
            parser.error(f"{folder}: no such folder")
    count, broken = 0, 0
    for path, problem in checksums.verify(folders):
        count += 1
        if problem:
            broken += 1
            print(path)
            print(problem, file=sys.stderr)
    print(f"{count} files checked, {broken} broken", file=sys.stderr)
    return min(broken, 1)
