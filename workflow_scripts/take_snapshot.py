"""Rule take_snapshot: what a condensed set was after some iterations, as a set of its own."""

from dataclasses import replace

import torch

from condensation import datasets, sets, storage, whitening
from job import job

with job(snakemake, torch_threads=False):
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    condensed, about = sets.load(snakemake.input.condensed, dataset)
    images, _ = storage.read_tensors(snakemake.input.snapshots)
    iteration = snakemake.wildcards.iteration
    names = ("method", "algorithm", "options", "ipc", "seed", "source", "inputs")
    names += ("device", "precision")
    facts = {name: about[name] for name in names}
    if iteration in images:
        labels = torch.arange(len(dataset.classes)).repeat_interleave(about["ipc"])
        taken = sets.Condensed(images[iteration], labels if condensed is None else condensed.labels)
        sets.write(taken, dataset, snakemake.output.condensed, iterations=int(iteration), **facts)
    else:  # the method failed before
        status, cause, at = about["status"], about["cause"], about["iteration"]
        sets.write_failure(dataset, snakemake.output.condensed, status, cause, at, **facts)
