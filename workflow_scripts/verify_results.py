"""Check every file that the workflow made against its checksum.

    python workflow_scripts/verify_results.py results figures

Broken files go to standard output, one a line, and what is wrong with each to standard error; the
exit status is 1 if there are any. To make them anew, and what was made from them:

    snakemake --cores all --forcerun $(python workflow_scripts/verify_results.py results figures)
"""

import argparse
import sys
from pathlib import Path

from condensation.core import checksums


def main(given: list[str]) -> int:
    """Print the broken files; return how many there are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folders", nargs="+", help="`results_dir` and `figures_dir` as the config has them"
    )
    folders = parser.parse_args(given).folders
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
    return broken


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
