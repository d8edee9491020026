"""Rule evaluate: train and test networks on one condensed set; a row and a cost per seed."""

import importlib
import re
from dataclasses import replace

from condensation.core import compute, storage
from condensation.data import datasets, sets, whitening
from condensation.training import evaluation
from job import job

CELL = ("dataset", "method", "ipc", "architecture", "augmentation", "optimizer")
SET_METADATA = ("status", "cause", "algorithm", "options", "labels", "labels_option")
SET_METADATA += ("content", "iterations", "iteration", "source", "device", "precision")

with job(snakemake):
    wildcards, job_params = snakemake.wildcards, snakemake.params.job
    device = compute.device_named(snakemake.config["compute"]["device"])
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    cell = {name: wildcards[name] for name in CELL}
    label = " ".join(cell.values()) + f", set {wildcards.condensation_seed}"
    cell["condensation_seed"] = int(wildcards.condensation_seed)
    cell["iteration"] = None
    if wildcards.snapshot:
        cell["iteration"] = int(re.search(r"\d+", wildcards.snapshot)[0])
        label += f", iteration {cell['iteration']}"
    options, facts = dict(job_params["options"]), {}
    if "labels" in options:
        cell["labels"] = options["labels"]
        label += f", labels {options['labels']}"
    if teacher := options.pop("teacher", None):
        # by name, so that the digests of other evaluations do not cover it
        stored = importlib.import_module("condensation.networks.stored")
        options["temperature"] = teacher["temperature"]
        options["teacher"], _ = stored.load(snakemake.input.teacher, dataset, device)
        teacher_metadata = storage.read_metadata(snakemake.input.teacher)
        facts["teacher"] = {name: teacher_metadata[name] for name in ("checksum", "test_accuracy")}
    seeds = list(range(int(wildcards.first), int(wildcards.last) + 1))
    metadata = storage.read_metadata(snakemake.input.condensed)
    rows, costs = evaluation.outcome(
        lambda: sets.load(snakemake.input.condensed, dataset)[0],
        *(metadata.get("status", "ok"), dataset, seeds),
        device=device,
        compile=snakemake.params.compile,
        stack=snakemake.params.stack,
        label=label,
        **options,
    )
    storage.write_json(
        snakemake.output.record,
        {
            "cell": cell,
            "status": next((row["status"] for row in rows if row["status"] != "ok"), "ok"),
            "rows": rows,
            "options": job_params["options"],
            "compile": snakemake.params.compile,
            "stack": snakemake.params.stack,
            "device": device.type,
            "precision": snakemake.params.precision,
            "source": job_params["source"],
            "set": {name: metadata.get(name) for name in SET_METADATA},
            **facts,
        },
    )
    total = compute.peak_memory_mb(device) | compute.description(device)
    storage.write_json(snakemake.output.cost, {"rows": costs} | total)
