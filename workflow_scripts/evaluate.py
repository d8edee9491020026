"""Rule evaluate: networks trained on one condensed set, a row per seed, and what they cost."""

from condensation import compute, datasets, sets, storage, training
from job import job

with job(snakemake):
    wildcards, told = snakemake.wildcards, snakemake.params.job
    device = compute.device_named(snakemake.config["compute"]["device"])
    dataset = datasets.load(snakemake.input.dataset)
    condensed, about = sets.load(snakemake.input.condensed, dataset)
    cell = {
        name: wildcards[name]
        for name in ("dataset", "method", "ipc", "architecture", "augmentation", "optimizer")
    } | {"condensation_seed": int(wildcards.condensation_seed)}
    seeds = list(range(int(wildcards.first), int(wildcards.last) + 1))
    rows, costs = training.evaluate(
        condensed,
        dataset,
        seeds,
        device=device,
        compile=snakemake.params.compile,
        label=" ".join(map(str, cell.values())),
        **told["options"],
    )
    storage.write_json(
        snakemake.output.record,
        {
            "cell": cell,
            "status": "ok" if all(row["status"] == "ok" for row in rows) else "diverged",
            "rows": rows,
            "options": told["options"],
            "compile": snakemake.params.compile,
            "source": told["source"],
            "set": {name: about[name] for name in ("algorithm", "content", "iterations", "source")},
        },
    )
    total = compute.peak_memory_mb(device) | compute.description(device)
    storage.write_json(snakemake.output.cost, {"rows": costs} | total)
