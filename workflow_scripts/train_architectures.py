"""Rule train_architectures: train networks of some architectures on one set and validate them."""

from dataclasses import replace

import torch

from condensation.core import compute, storage
from condensation.core.progress import Progress
from condensation.data import datasets, sets, splits, whitening
from condensation.nas import proxies
from condensation.training import jobs
from job import job

SET_METADATA = ("status", "cause", "algorithm", "labels", "content", "iterations", "iteration")
SET_METADATA += ("source",)


def main(snakemake):
    """Train and validate the networks of the job; write their rows and costs."""
    wildcards, job_params = snakemake.wildcards, snakemake.params.job
    options = job_params["options"]
    device = compute.device_named(snakemake.config["compute"]["device"])
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    sample = storage.read_json(snakemake.input.architectures)["architectures"]
    architectures = sample[int(wildcards.first) : int(wildcards.last) + 1]
    kept, held = splits.hold_out(dataset, options["validation"], options["seed"])
    if options["validation_images"]:
        count = options["validation_images"]
        held = splits.subset(dataset, held, count, options["seed"], "validation images")
    if hasattr(snakemake.input, "condensed"):
        condensed, metadata = sets.load(snakemake.input.condensed, dataset)
        condensed = condensed and condensed.formed()
        set_record = {name: metadata.get(name) for name in SET_METADATA}
    else:
        if options["images"]:
            kept = splits.subset(dataset, kept, options["images"], options["seed"], "reference")
        condensed = sets.Condensed(None, dataset.train_labels[kept], kept)
        set_record = {"status": "ok", "content": sets.content_digest(condensed)}
    rows, costs = [], []
    seeds = list(range(options["evaluation_seeds"]))
    if condensed is None:  # the method failed, so its networks have no results
        status = set_record["status"]
        rows = [row for cell in architectures for row in proxies.no_networks(cell, seeds, status)]
    else:
        validation = replace(
            dataset,
            test_images=dataset.train_images[held],
            test_labels=dataset.train_labels[held],
        )
        batch = sets.by_position(condensed, dataset, device)
        labels = condensed.labels.to(device)
        if condensed.indices is not None:
            set_record["also_held_out"] = int(torch.isin(condensed.indices, held).sum())
        set_record["images"] = len(labels)
        label = f"{wildcards.dataset}/{wildcards.ranked}"
        progress = Progress(f"architectures on {label}", len(architectures))
        for architecture in architectures:
            results = jobs.unless_out_of_memory(
                lambda architecture=architecture: proxies.accuracies(
                    *(architecture, seeds, batch, labels, validation),
                    network=options["network"],
                    training=options["training"],
                    epochs=options["epochs"],
                    device=device,
                    stack=snakemake.params.stack,
                )
            )
            architecture_rows, architecture_costs = results or (
                proxies.no_networks(architecture, seeds, "oom"),
                [],
            )
            rows += architecture_rows
            costs += architecture_costs
            progress.step()
    if any(row["status"] == "oom" for row in rows):
        compute.make_room()
    storage.write_json(
        snakemake.output.record,
        {
            "trained_on": job_params["trained_on"],
            "validated_on": len(held),
            "rows": rows,
            "options": options,
            "stack": snakemake.params.stack,
            "device": device.type,
            "source": job_params["source"],
            "set": set_record,
        },
    )
    total = compute.peak_memory_mb(device) | compute.description(device)
    storage.write_json(snakemake.output.cost, {"rows": costs} | total)


with job(snakemake):
    main(snakemake)
