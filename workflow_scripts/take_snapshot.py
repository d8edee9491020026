"""Rule take_snapshot: write the state of a condensed set after some iterations as a set."""

from dataclasses import replace

import torch

from condensation.core import storage
from condensation.data import datasets, sets, whitening
from condensation.methods import contract
from job import job

with job(snakemake, torch_threads=False):
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    _, metadata = sets.load(snakemake.input.condensed, dataset)
    snapshots, _ = storage.read_tensors(snakemake.input.snapshots)
    iteration = snakemake.wildcards.iteration
    names = ("method", "algorithm", "options", "labels_option", "ipc", "seed", "precision")
    names += ("device", "source", "inputs")
    facts = {name: metadata[name] for name in names if name in metadata}
    if iteration in snapshots:
        labels = snapshots.get(f"{iteration}-labels")
        if labels is None:
            labels = torch.arange(len(dataset.classes)).repeat_interleave(metadata["ipc"])
        taken = contract.finish(
            sets.Condensed(
                snapshots[iteration], labels, factor=metadata["options"].get("factor", 1)
            ),
            contract.Problem(dataset, metadata["ipc"], metadata["seed"]),
            metadata["method"],
            metadata["labels_option"],
        )
        sets.write(taken, dataset, snakemake.output.condensed, iterations=int(iteration), **facts)
    else:  # the method failed before this iteration
        status, cause, at = metadata["status"], metadata["cause"], metadata["iteration"]
        sets.write_failure(dataset, snakemake.output.condensed, status, cause, at, **facts)
