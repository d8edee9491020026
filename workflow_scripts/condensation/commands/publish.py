"""Add condensed sets to those that the repository publishes, in half precision.

    condensation publish results/cifar10/dsa/ipc1/set0/condensed.safetensors

`condensation.load_set("cifar10/dsa/ipc1")` then reads the set by its name.
"""

import argparse

from condensation.commands import arguments as shared
from condensation.data import published


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        prog="condensation publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "sets", nargs="+", type=shared.path, help="files condensed.safetensors of this pipeline"
    )
    parser.add_argument(
        "--into",
        type=shared.path,
        help="the folder with the index; by default docs/reproduction/sets",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Publish the sets and print a line for each; raises InputError for bad input."""
    options = parse_arguments(arguments)
    for path in options.sets:
        name, row = published.publish(path, options.into)
        error = row["largest_error"]
        print(f"{name}: {row['bytes']:,} bytes, half precision changes values by up to {error:.2g}")
