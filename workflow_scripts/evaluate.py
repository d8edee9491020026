"""Rule evaluate: networks trained on one condensed set, a row per seed, and what they cost."""

import logging
import re
from dataclasses import replace

from condensation.core import compute, storage
from condensation.data import datasets, sets, whitening
from condensation.training import fitting
from job import job

log = logging.getLogger("condensation")
ABOUT = ("status", "cause", "algorithm", "options", "labels", "labels_option")
ABOUT += ("content", "iterations", "iteration", "source", "device", "precision")

with job(snakemake):
    wildcards, told = snakemake.wildcards, snakemake.params.job
    device = compute.device_named(snakemake.config["compute"]["device"])
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    about = storage.read_metadata(snakemake.input.condensed)
    ways = ("dataset", "method", "ipc", "architecture", "augmentation", "optimizer")
    cell = {name: wildcards[name] for name in ways}
    cell["condensation_seed"] = int(wildcards.condensation_seed)
    cell["iteration"] = (
        int(re.search(r"\d+", wildcards.snapshot)[0]) if wildcards.snapshot else None
    )
    label = " ".join(wildcards[name] for name in ways) + f", set {cell['condensation_seed']}"
    label += f", iteration {cell['iteration']}" if wildcards.snapshot else ""
    seeds = list(range(int(wildcards.first), int(wildcards.last) + 1))
    try:
        condensed, about = sets.load(snakemake.input.condensed, dataset)
        if condensed is None:  # its method failed, and that is the result
            rows, costs = fitting.no_networks(seeds, about["status"]), []
        else:
            rows, costs = fitting.evaluate(
                condensed,
                dataset,
                seeds,
                device=device,
                compile=snakemake.params.compile,
                stack=snakemake.params.stack,
                label=label,
                **told["options"],
            )
    except Exception as error:
        if not compute.is_out_of_memory(error):
            raise
        log.warning("out of memory: %s", error)
        rows, costs = fitting.no_networks(seeds, "oom"), []
    if rows[0]["status"] == "oom":  # outside `except`: the error held on to the memory
        compute.make_room()
    storage.write_json(
        snakemake.output.record,
        {
            "cell": cell,
            "status": next((row["status"] for row in rows if row["status"] != "ok"), "ok"),
            "rows": rows,
            "options": told["options"],
            "compile": snakemake.params.compile,
            "stack": snakemake.params.stack,
            "device": device.type,
            "precision": snakemake.params.precision,
            "source": told["source"],
            "set": {name: about.get(name) for name in ABOUT},
        },
    )
    total = compute.peak_memory_mb(device) | compute.description(device)
    storage.write_json(snakemake.output.cost, {"rows": costs} | total)
