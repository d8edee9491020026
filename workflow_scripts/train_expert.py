"""Rule train_expert: the trajectory of one expert on the real images, and its cost."""

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
    """Train the expert; resume from the checkpoint beside its file if there is one."""
    wildcards, job_params = snakemake.wildcards, snakemake.params.job
    device = compute.device_named(snakemake.config["compute"]["device"])
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    inputs = {"dataset": storage.read_metadata(snakemake.input.dataset)["checksum"]}
    output = Path(snakemake.output.expert)
    compile, precision = snakemake.params.compile, snakemake.params.precision
    checkpoint_params = [job_params, inputs, compile, precision, str(device)]
    recorder = loop.Recorder(
        label=f"expert {wildcards.trajectories} {wildcards.dataset} {wildcards.expert}",
        checkpoint=output.with_name(f"{output.stem}-checkpoint.safetensors"),
        identity=hashlib.sha256(json.dumps(checkpoint_params, sort_keys=True).encode()).hexdigest(),
        interval=snakemake.config["compute"]["checkpoint_seconds"],
    )
    problem = contract.Problem(
        dataset=replace(dataset, train_images=dataset.train_images.to(device)),
        ipc=None,
        seed=int(wildcards.expert),
        device=device,
        recorder=recorder,
        compile=compile,
        precision=precision,
    )
    options = dict(job_params["options"])
    options.pop("preprocessing", None)
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
