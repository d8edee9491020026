"""Make a small set of a dataset without Snakemake.

    condensation condense digits --method dm --ipc 10 --to out --option iterations=200
    condensation condense my_images/ --image-size 32 --method kcenter --ipc 10 --to out --evaluate

writes condensed.safetensors and cost.json into the folder and, for selected real images, chosen.csv
with the position in the training set, class and file name of each. An interrupted command continues
if it is repeated.
"""

import argparse
import re

from condensation import api
from condensation.commands import arguments as shared
from condensation.config.methods import METHODS
from condensation.core.errors import InputError


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        prog="condensation condense",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "dataset",
        help="digits, cifar10, cifar100, fashion_mnist, tinyimagenet, a prepared "
        "dataset.safetensors, or a folder, tar or zip with train/<class>/* and test/<class>/*",
    )
    parser.add_argument(
        "--to", required=True, type=shared.path, metavar="FOLDER", help="where to write the set"
    )
    parser.add_argument(
        "--method",
        default="dm",
        help=f"{', '.join(sorted(METHODS.keys() - {'imported'}))}, or file.py:function (dm)",
    )
    parser.add_argument("--ipc", type=int, default=10, help="images per class (10)")
    parser.add_argument("--seed", type=int, default=0, help="condensation seed (0)")
    parser.add_argument(
        "--option",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="options of the method, as in a config (config/README.md)",
    )
    parser.add_argument(
        "--evaluate", action="store_true", help="also train networks on the set and test them"
    )
    shared.add_training_options(parser)
    shared.add_dataset_options(parser)
    shared.add_compute_options(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Write the set and print what it is; raises InputError for bad input and for a failure."""
    options = parse_arguments(arguments)
    method_options = shared.key_values(options.option, "--option")
    instead = {name: f"--{name}" for name in ("to", "like", "ipc", "seed", "method")}
    instead |= {"compute": "--device and --threads", "dataset": "the first argument"}
    if taken := sorted(set(instead) & set(method_options)):
        raise InputError(f"--option {taken[0]}=…: no option of a method; use {instead[taken[0]]}")
    shared.show_progress()
    reading = shared.dataset_options(options)
    if options.dataset.endswith(".safetensors"):  # `like` then gives hyper-parameters alone
        reading.pop("like", None)
    compute = shared.compute_options(options)
    what = options.method, options.ipc, options.seed
    how = {"to": options.to, "like": options.like, "compute": compute, **method_options}
    try:
        api.check_condense(options.dataset, *what, **how)  # before all images are read
        dataset = api.load_dataset(options.dataset, **reading)
        condensed = api.condense(dataset, *what, **how)
    except (MemoryError, FloatingPointError) as error:
        raise InputError(f"{error}. No set was written") from error
    except InputError as error:
        message, begin, names = str(error).partition("; set ")
        if re.fullmatch(r"\w+(, \w+)*", names):  # what has no published value
            message += f"{begin}--option {names.replace(', ', '=… ')}=…"
            raise InputError(message) from error
        raise
    print(f"{options.to / api.SET_FILE}: {condensed.summary()}", flush=True)
    if options.evaluate:
        training = {"networks": options.networks, "epochs": options.epochs}
        result = api.evaluate(condensed, dataset, **training, compute=compute)
        print(f"test accuracy in percent (convnet, dsa, {options.epochs} epochs): {result}")
