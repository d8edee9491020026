"""Rule evaluate: networks trained on one condensed set, a row per seed, and what they cost."""

import logging
import re
from dataclasses import replace

from condensation import compute, datasets, sets, storage, training, whitening
from job import job

log = logging.getLogger("condensation")
ABOUT = ("status", "cause", "algorithm", "options")
ABOUT += ("content", "iterations", "iteration", "source", "device", "precision")

with job(snakemake):
    wildcards, told = snakemake.wildcards, snakemake.params.job
    device = compute.device_named(snakemake.config["compute"]["device"])
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    condensed, about = sets.load(snakemake.input.condensed, dataset)
    cell = {
        name: wildcards[name]
        for name in ("dataset", "method", "ipc", "architecture", "augmentation", "optimizer")
    } | {"condensation_seed": int(wildcards.condensation_seed)}
    cell["iteration"] = (
        int(re.search(r"\d+", wildcards.snapshot)[0]) if wildcards.snapshot else None
    )
    seeds = list(range(int(wildcards.first), int(wildcards.last) + 1))
    try:
        if condensed is None:  # its method failed, and that is the result
            rows, costs = training.no_networks(seeds, about["status"]), []
        else:
            rows, costs = training.evaluate(
                condensed,
                dataset,
                seeds,
                device=device,
                compile=snakemake.params.compile,
                stack=snakemake.params.stack,
                label=" ".join(map(str, cell.values())),
                **told["options"],
            )
    except Exception as error:
        if not compute.is_out_of_memory(error):
            raise
        log.warning("out of memory: %s", error)
        rows, costs = training.no_networks(seeds, "oom"), []
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
