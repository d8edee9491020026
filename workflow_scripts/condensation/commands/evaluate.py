"""Evaluate one condensed set without Snakemake.

    condensation evaluate my_set.pt --dataset digits --augmentations none dsa
    condensation evaluate pictures/ --dataset cifar10 --path archives/ --json accuracies.json

trains networks on the set as the rule `evaluate` does and prints a table. The set is a file of this
pipeline, or any file or folder of pictures that `algorithm: imported` reads.
"""

import argparse
import itertools
from typing import Any

from condensation import api, networks
from condensation.commands import arguments as shared
from condensation.config.built_in import BUILT_IN
from condensation.core import storage
from condensation.core.errors import InputError, unknown


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        prog="condensation evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "set", help="the set: safetensors, npz, npy, pt, or a folder of pictures <class>/*"
    )
    parser.add_argument(
        "--dataset",
        required=True,
        help="digits, cifar10, cifar100, fashion_mnist, tinyimagenet, a prepared "
        "dataset.safetensors, or a folder, tar or zip of images",
    )
    shared.add_dataset_options(parser)
    group = parser.add_argument_group("a set made elsewhere")
    group.add_argument("--labels", help="a second file with the labels")
    group.add_argument("--scale", help="standardized (usual), unit, or uint8 (of pictures)")
    group.add_argument("--mean", nargs="+", type=float, help="mean of the standardisation")
    group.add_argument("--std", nargs="+", type=float, help="standard deviation, with --mean")
    group.add_argument("--run", type=int, help="which of several runs in the file, from 0")
    group.add_argument("--classes", nargs="+", help="the classes in the order of its labels")
    group.add_argument("--label-kind", help="soft (usual) or hard, where they are scores")
    group.add_argument(
        "--preprocessing", help="standardize (usual), zca or zca_kip: how its images were made"
    )
    shared.add_training_options(parser)
    parser.add_argument("--augmentations", nargs="+", default=["dsa"], metavar="NAME")
    parser.add_argument("--architectures", nargs="+", default=["convnet"], metavar="NAME")
    parser.add_argument("--optimizers", nargs="+", default=["sgd"], metavar="NAME")
    parser.add_argument(
        "--json", type=shared.path, metavar="FILE", help="also write all accuracies to a file"
    )
    shared.add_compute_options(parser)
    return parser.parse_args(arguments)


def set_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of ``load_set`` that the command line names."""
    names = ("scale", "mean", "std", "run", "classes", "preprocessing")
    values = {name: getattr(options, name) for name in names}
    values |= {"labels_path": options.labels, "labels": options.label_kind}
    values["restandardize"] = True if options.mean is not None else None
    return {name: value for name, value in values.items() if value is not None}


def main(arguments: list[str]) -> None:
    """Print the table and write the file; raises InputError for bad input."""
    options = parse_arguments(arguments)
    for axis in ("architectures", "augmentations", "optimizers"):  # all before the first training
        for name in getattr(options, axis):
            if name not in BUILT_IN[axis]:
                raise InputError(f"--{axis}: {unknown(axis[:-1], name, BUILT_IN[axis])}")
    if options.json:  # before the first training
        options.json.parent.mkdir(parents=True, exist_ok=True)
        if options.json.is_dir():
            raise InputError(f"--json {options.json}: a folder; name a file")
    shared.show_progress()
    dataset = api.load_dataset(options.dataset, **shared.dataset_options(options))
    condensed = api.load_set(options.set, dataset, **set_options(options))
    for name in options.architectures:  # all before the first training
        try:
            networks.build(BUILT_IN["architectures"][name], dataset.shape, len(dataset.classes), 0)
        except InputError as error:
            raise InputError(f"--architectures {name}: {error}") from error
    print(f"{condensed.summary()}; test accuracy in percent", flush=True)
    rows = []
    for cell in itertools.product(options.architectures, options.augmentations, options.optimizers):
        result = api.evaluate(
            condensed,
            dataset,
            *(*cell, options.networks, options.epochs),
            compute=shared.compute_options(options),
        )
        architecture, augmentation, optimizer = cell
        print(f"{architecture:<12} {augmentation:<14} {optimizer:<8} {result}", flush=True)
        row = {"architecture": architecture, "augmentation": augmentation, "optimizer": optimizer}
        mean, std = (result.mean, result.std) if result.accuracies else (None, None)
        row |= {"mean": mean, "std": std, "networks": result.rows, "options": result.options}
        rows.append(row)
        if options.json:  # after each line: an interrupted table keeps what is there
            facts = {
                "set": options.set,
                "dataset": options.dataset,
                "content": condensed.metadata["content"],
            }
            storage.write_json(options.json, facts | {"evaluations": rows})
