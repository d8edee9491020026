"""Rule condense: one condensed set by one method, and beside it what it cost."""

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

from condensation import compute, contract, datasets, loop, sets, storage
from job import job


def main(snakemake):
    """Make the condensed set; a checkpoint beside it is continued from."""
    wildcards, told = snakemake.wildcards, snakemake.params.job
    device = compute.device_named(snakemake.config["compute"]["device"])
    dataset = datasets.load(snakemake.input.dataset)
    on_device = replace(dataset, train_images=dataset.train_images.to(device))
    features = getattr(snakemake.input, "features", None)
    inputs = {
        name: storage.read_metadata(getattr(snakemake.input, name))["checksum"]
        for name in ("dataset", "features")
        if hasattr(snakemake.input, name)
    }
    belongs_to = [told, inputs, snakemake.params.compile, str(device), dict(wildcards.items())]
    output = Path(snakemake.output.condensed)
    recorder = loop.Recorder(
        label=f"{wildcards.method} {wildcards.dataset} ipc{wildcards.ipc} "
        f"set{wildcards.condensation_seed}",
        checkpoint=output.with_name("checkpoint.safetensors"),
        identity=hashlib.sha256(json.dumps(belongs_to, sort_keys=True).encode()).hexdigest(),
    )
    problem = contract.Problem(
        dataset=on_device,
        ipc=None if wildcards.ipc == "all" else int(wildcards.ipc),
        seed=int(wildcards.condensation_seed),
        device=device,
        features=storage.read_tensors(features)[0]["features"] if features else None,
        recorder=recorder,
        compile=snakemake.params.compile,
    )
    began = time.monotonic()
    result = contract.resolve(told["function"])(problem, **told["options"])
    condensed = contract.finish(result, problem, told["function"])
    sets.write(
        condensed,
        dataset,
        output,
        method=wildcards.method,
        algorithm=told["function"],
        options=told["options"],
        ipc=problem.ipc,
        seed=problem.seed,
        iterations=recorder.iterations,
        source=told["source"],
        inputs=inputs,
    )
    outside = time.monotonic() - began - recorder.seconds_here  # the start, the choice of images
    cost = recorder.cost() | {"seconds": recorder.seconds + outside}
    cost |= compute.peak_memory_mb(device) | compute.description(device)
    storage.write_json(snakemake.output.cost, cost)
    recorder.discard_checkpoint()


with job(snakemake):
    main(snakemake)
