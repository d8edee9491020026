"""The command `condensation`: work on sets and results without Snakemake."""

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

import condensation
from condensation.core import allocator
from condensation.core.errors import InputError

# subcommand: its module, imported only when it runs, and its line in the help
COMMANDS = {
    "condense": ("condensation.commands.condense", "make a small set of a dataset"),
    "evaluate": ("condensation.commands.evaluate", "train networks on one condensed set"),
    "export": ("condensation.commands.export", "write a condensed set as pictures or arrays"),
    "publish": ("condensation.commands.publish", "add a set to the published ones"),
    "verify": ("condensation.commands.verify", "check result files against their checksums"),
    "join-evidence": (
        "condensation.commands.join_evidence",
        "make tables and figures from records alone",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line without the program's name; by default that of this process.

    Returns
    -------
    int
        0 on success; 1 for bad input, or if `verify` finds a broken file. An unknown option exits
        with 2, as argparse does.
    """
    parser = argparse.ArgumentParser(
        prog="condensation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "\n".join(f"  {name:<14} {line}" for name, (_, line) in COMMANDS.items())
        + "\n\n`condensation COMMAND --help` lists the options of a command.",
    )
    parser.add_argument("--version", action="version", version=condensation.__version__)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    allocator.keep_freed_memory()
    module, _ = COMMANDS[options.command]
    try:
        return importlib.import_module(module).main(options.arguments) or 0
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
