"""Rule condense: one condensed set of one method, its snapshots, and its cost."""

import hashlib
import importlib
import json
import logging
import time
from dataclasses import replace
from pathlib import Path

import torch

from condensation.core import compute, memory, storage
from condensation.data import datasets, sets, whitening
from condensation.methods import contract
from condensation.methods import recorder as loop
from job import job

log = logging.getLogger("condensation")


def main(snakemake):
    """Condense; continue from a checkpoint if there is one.

    Running out of memory and divergence are results, which the output file records.
    """
    wildcards, job_params = snakemake.wildcards, snakemake.params.job
    device = compute.device_named(snakemake.config["compute"]["device"])
    recorder, inputs = recorder_of(snakemake, device)
    metadata = {
        "method": wildcards.method,
        "algorithm": job_params["function"],
        "options": job_params["options"],
        "ipc": None if wildcards.ipc == "all" else int(wildcards.ipc),
        "seed": int(wildcards.condensation_seed),
        "device": device.type,
        "precision": "float32",
        "labels_option": job_params["labels"],
        "source": job_params["source"],
        "inputs": inputs,
    }
    output = snakemake.output.condensed
    start = time.monotonic()
    failure = None
    try:
        dataset = dataset_of(snakemake)
        problem = contract.Problem(
            dataset=replace(dataset, train_images=dataset.train_images.to(device)),
            ipc=metadata["ipc"],
            seed=metadata["seed"],
            device=device,
            recorder=recorder,
            compile=snakemake.params.compile,
            precision=snakemake.params.precision,
            memory_mb=declared_mb(snakemake.config["compute"], device),
        )
        problem = replace(problem, **read_inputs(snakemake, problem, job_params["options"]))
        result = contract.resolve(job_params["function"])(problem, **job_params["options"])
        condensed = contract.finish(result, problem, job_params["function"], job_params["labels"])
        metadata |= recorder.facts
        sets.write(condensed, dataset, output, iterations=recorder.iterations, **metadata)
    except Exception as error:
        status = status_of(error)
        if status is None:
            raise
        log.warning("%s at iteration %d: %s", status, recorder.iteration, error)
        failure = status, (str(error) or repr(error)).splitlines()[0], recorder.iteration
    if failure:  # outside `except`: the error keeps the tensors that filled the memory alive
        compute.make_room()
        metadata |= recorder.facts
        sets.write_failure(dataset_of(snakemake), output, *failure, **metadata)
    # a failed method keeps the snapshots up to its last iteration
    images = {str(number): images for number, images in sorted(recorder.snapshots.items())}
    storage.write_tensors(snakemake.output.snapshots, images, metadata | {"kind": "snapshots"})
    # outside the recorder's loop: initial images and selection
    outside = time.monotonic() - start - recorder.seconds_here
    cost = recorder.cost() | {"seconds": recorder.seconds + outside}
    cost |= compute.peak_memory_mb(device) | compute.description(device)
    storage.write_json(snakemake.output.cost, cost)
    recorder.discard_checkpoint()


def declared_mb(options, device):
    """Return the memory of the device that the job may use, in MB, as the config declares it."""
    declared = options["device_memory_mb"] if device.type == "cuda" else options["memory_limit_mb"]
    return declared or memory.DECLARED_MB


def dataset_of(snakemake):
    """Return the dataset, with its whitening if the method uses one."""
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        return replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    return dataset


def recorder_of(snakemake, device):
    """Return the recorder, and the checksums of the inputs."""
    wildcards, job_params = snakemake.wildcards, snakemake.params.job
    inputs = {
        name: storage.read_metadata(getattr(snakemake.input, name))["checksum"]
        for name in ("dataset", "features", "whitening")
        if hasattr(snakemake.input, name)
    }
    if paths := experts_of(snakemake):
        inputs["experts"] = [storage.read_metadata(path)["checksum"] for path in paths]
    identity = [job_params, inputs, snakemake.params.compile, snakemake.params.precision]
    identity += [str(device), dict(wildcards.items())]
    output = Path(snakemake.output.condensed)
    recorder = loop.Recorder(
        label=f"{wildcards.method} {wildcards.dataset} ipc{wildcards.ipc} "
        f"set{wildcards.condensation_seed}",
        checkpoint=output.with_name("checkpoint.safetensors"),
        identity=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
        snapshots=job_params["snapshots"],
        interval=snakemake.config["compute"]["checkpoint_seconds"],
    )
    return recorder, inputs


def experts_of(snakemake):
    """Return the paths of the experts that the method reads."""
    paths = getattr(snakemake.input, "experts", [])
    return [paths] if isinstance(paths, str) else list(paths)


def read_inputs(snakemake, problem, options):
    """Return the fields of the problem that come from other jobs: features and trajectories."""
    fields = {}
    if features := getattr(snakemake.input, "features", None):
        fields["features"] = storage.read_tensors(features)[0]["features"]
    if paths := experts_of(snakemake):
        # by name, so that the digests of other methods do not cover it
        trajectories = importlib.import_module("condensation.methods.experts")
        fields["trajectories"] = trajectories.load(paths, problem, options["architecture"])
    return fields


def status_of(error):
    """Return the status of a result that ended with this error; None if it is no result."""
    if compute.is_out_of_memory(error):
        return "oom"
    if isinstance(error, (FloatingPointError, torch.linalg.LinAlgError)):
        return "diverged"
    return None


with job(snakemake):
    main(snakemake)
