"""Rule train_expert: one expert's trajectory on the real images, and what it cost."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from condensation.core import compute, storage
from condensation.data import datasets, whitening
from condensation.methods import contract, experts
from condensation.methods import recorder as loop
from job import job


def main(snakemake):
    """Train the expert; a checkpoint beside its file is continued from."""
    wildcards, job_params = snakemake.wildcards, snakemake.params.job
    device = compute.device_named(snakemake.config["compute"]["device"])
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    inputs = {"dataset": storage.read_metadata(snakemake.input.dataset)["checksum"]}
    output = Path(snakemake.output.expert)
    belongs_to = [job_params, inputs, snakemake.params.compile, snakemake.params.precision, str(device)]
    recorder = loop.Recorder(
        label=f"expert {wildcards.trajectories} {wildcards.dataset} {wildcards.expert}",
        checkpoint=output.with_name(f"{output.stem}-checkpoint.safetensors"),
        identity=hashlib.sha256(json.dumps(belongs_to, sort_keys=True).encode()).hexdigest(),
        interval=snakemake.config["compute"]["checkpoint_seconds"],
    )
    problem = contract.Problem(
        dataset=replace(dataset, train_images=dataset.train_images.to(device)),
        ipc=None,
        seed=int(wildcards.expert),
        device=device,
        recorder=recorder,
        compile=snakemake.params.compile,
        precision=snakemake.params.precision,
    )
    options = {name: value for name, value in job_params["options"].items() if name != "preprocessing"}
    snapshots = experts.train(problem, **options)
    experts.write(
        output,
        snapshots,
        problem,
        options=job_params["options"],
        seed=problem.seed,
        device=device.type,
        **recorder.facts,
        source=job_params["source"],
        inputs=inputs,
    )
    cost = recorder.cost() | compute.peak_memory_mb(device) | compute.description(device)
    storage.write_json(snakemake.output.cost, cost)
    recorder.discard_checkpoint()


with job(snakemake):
    main(snakemake)
