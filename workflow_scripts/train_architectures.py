"""Rule train_architectures: networks of some architectures, trained on one set and validated."""

import logging
from dataclasses import replace

import torch

from condensation.core import compute, storage
from condensation.core.progress import Progress
from condensation.data import datasets, sets, splits, whitening
from condensation.nas import proxies
from job import job

log = logging.getLogger("condensation")
ABOUT = ("status", "cause", "algorithm", "labels", "content", "iterations", "iteration", "source")


def main(snakemake):
    """Train and judge the networks of the job; write the rows and what they cost."""
    wildcards, told = snakemake.wildcards, snakemake.params.job
    options = told["options"]
    device = compute.device_named(snakemake.config["compute"]["device"])
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    sample = storage.read_json(snakemake.input.architectures)["architectures"]
    chosen = sample[int(wildcards.first) : int(wildcards.last) + 1]
    kept, held = splits.hold_out(dataset, options["validation"], options["seed"])
    if options["validation_images"]:
        count = options["validation_images"]
        held = splits.subset(dataset, held, count, options["seed"], "validation images")
    if hasattr(snakemake.input, "condensed"):
        condensed, about = sets.load(snakemake.input.condensed, dataset)
        about = {name: about.get(name) for name in ABOUT}
    else:
        if options["images"]:
            kept = splits.subset(dataset, kept, options["images"], options["seed"], "reference")
        condensed = sets.Condensed(None, dataset.train_labels[kept], kept)
        about = {"status": "ok", "content": sets.content_digest(condensed)}
    rows, costs = [], []
    seeds = list(range(options["evaluation_seeds"]))
    if condensed is None:  # its method failed, and that is the result
        rows = [row for one in chosen for row in proxies.no_networks(one, seeds, about["status"])]
    else:
        judged = replace(
            dataset,
            test_images=dataset.train_images[held],
            test_labels=dataset.train_labels[held],
        )
        batch = sets.by_position(condensed, dataset, device)
        labels = condensed.labels.to(device)
        if condensed.indices is not None:
            about["also_held_out"] = int(torch.isin(condensed.indices, held).sum())
        about["images"] = len(labels)
        label = f"{wildcards.dataset}/{wildcards.ranked}"
        progress = Progress(f"architectures on {label}", len(chosen))
        for architecture in chosen:
            found = None
            try:
                found, cost = proxies.accuracies(
                    *(architecture, seeds, batch, labels, judged),
                    network=options["network"],
                    training=options["training"],
                    epochs=options["epochs"],
                    device=device,
                    stack=snakemake.params.stack,
                )
                costs += cost
            except Exception as error:
                if not compute.is_out_of_memory(error):
                    raise
                log.warning("out of memory: %s", error)
            # outside `except`: the error held on to the memory
            rows += found or proxies.no_networks(architecture, seeds, "oom")
            progress.step()
    if any(row["status"] == "oom" for row in rows):
        compute.make_room()
    storage.write_json(
        snakemake.output.record,
        {
            "trained_on": told["trained_on"],
            "validated_on": len(held),
            "rows": rows,
            "options": options,
            "stack": snakemake.params.stack,
            "device": device.type,
            "source": told["source"],
            "set": about,
        },
    )
    total = compute.peak_memory_mb(device) | compute.description(device)
    storage.write_json(snakemake.output.cost, {"rows": costs} | total)


with job(snakemake):
    main(snakemake)
