"""Evaluate one condensed set without Snakemake.

    condensation evaluate my_set.pt --dataset digits --augmentations none dsa

trains networks on the set as the rule `evaluate` does and prints a table. The set is a file of this
pipeline, or any file that `algorithm: imported` reads.
"""

import argparse
import statistics

from condensation.config import loading, schema
from condensation.core import compute, progress
from condensation.data import datasets, readers, reading_report
from condensation.methods import contract, imported
from condensation.training import evaluation
from condensation.workflow import jobs
from condensation.workflow.grid import SetId


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        prog="condensation evaluate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("set", help="the set: safetensors, npz, npy, pt, or a folder of pictures")
    parser.add_argument(
        "--dataset",
        required=True,
        help="`digits`, a prepared dataset.safetensors, or a folder, tar or zip of images",
    )
    parser.add_argument("--labels", help="a second file with the labels")
    parser.add_argument("--scale", help="standardized (usual), unit, or uint8 (of pictures)")
    parser.add_argument("--mean", nargs="+", type=float, help="mean of the standardisation")
    parser.add_argument("--std", nargs="+", type=float, help="standard deviation, with --mean")
    parser.add_argument("--run", type=int, help="which of several runs in the file, from 0")
    parser.add_argument("--classes", nargs="+", help="the classes in the order of its labels")
    parser.add_argument("--label-kind", default="soft", help="soft or hard, where they are scores")
    parser.add_argument("--augmentations", nargs="+", default=["dsa"], metavar="NAME")
    parser.add_argument("--architectures", nargs="+", default=["convnet"], metavar="NAME")
    parser.add_argument("--optimizers", nargs="+", default=["sgd"], metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5, help="networks per line of the table")
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--device", default="auto")
    return parser.parse_args(arguments)


def as_config(options: argparse.Namespace) -> schema.Config:
    """Return the command line as a config: the same checks, the same built-in names."""
    dataset = {"source": "digits"}
    if options.dataset != "digits":
        dataset = {"source": "image_folder", "path": options.dataset}
    method = {"algorithm": "imported", "path": options.set, "labels_path": options.labels}
    method |= {name: getattr(options, name) for name in ("scale", "mean", "std", "run", "classes")}
    method |= {"labels": options.label_kind, "restandardize": options.mean is not None}
    axes = {
        name: getattr(options, name) for name in ("augmentations", "architectures", "optimizers")
    }
    return loading.parse(
        {
            "datasets": {"dataset": dataset},
            "methods": {"set": method},
            "evaluation": {"epochs": options.epochs},
            "compute": {"device": options.device},
            "experiments": {
                "table": {"datasets": ["dataset"], "methods": ["set"], "ipc": [1]}
                | axes
                | {"evaluation_seeds": options.seeds}
            },
        },
        "condensation evaluate",
    )


def main(arguments: list[str]) -> None:
    """Print the table; raises InputError for bad input."""
    options = parse_arguments(arguments)
    config = as_config(options)
    device = compute.device_named(config.compute.device)
    compute.set_up(precision=config.compute.precision)
    if options.dataset.endswith(".safetensors"):
        dataset = datasets.load(options.dataset)
    else:
        entry = config.datasets["dataset"].model_dump()
        dataset = readers.read("dataset", entry, [options.dataset])
        if line := reading_report.summary(options.dataset, dataset.report):
            progress.say(line)
    ipc = imported.images_per_class(options.set, dataset, options.run)
    problem = contract.Problem(dataset, ipc, seed=0)
    job = jobs.condense(config, SetId("dataset", "set", str(ipc), 0))
    raw = imported.condense(problem, **job["options"])
    condensed = contract.finish(raw, problem, options.set, job["labels"])
    labels = "soft" if condensed.labels.dim() == 2 else "hard"
    print(
        f"{ipc} images per class, {len(dataset.classes)} classes, {labels} labels; "
        "test accuracy in percent"
    )
    (axes,) = config.experiments["table"]
    for architecture in axes.architectures:
        for augmentation in axes.augmentations:
            for optimizer in axes.optimizers:
                job = jobs.evaluate(config, architecture, augmentation, optimizer)
                rows, _ = evaluation.evaluate(
                    *(condensed, dataset, list(range(options.seeds))),
                    **job["options"],
                    device=device,
                    compile=config.compute.compile,
                    label=f"{architecture} {augmentation} {optimizer}",
                )
                values = [row["accuracy"] for row in rows if row["status"] == "ok"]
                cell = "all diverged"
                if values:
                    spread = statistics.pstdev(values)
                    cell = f"{statistics.fmean(values):6.2f} ± {spread:.2f}"
                    cell += f"  ({len(values)} networks)"
                print(f"{architecture:<12} {augmentation:<14} {optimizer:<8} {cell}", flush=True)
