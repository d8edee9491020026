"""Rule condense: one condensed set by one method, its snapshots, and what it cost."""

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
    """Make the condensed set; a checkpoint beside it is continued from.

    Running out of memory and divergence are results: the file then says so.
    """
    wildcards, told = snakemake.wildcards, snakemake.params.job
    device = compute.device_named(snakemake.config["compute"]["device"])
    recorder, inputs = recorder_of(snakemake, device)
    facts = {
        "method": wildcards.method,
        "algorithm": told["function"],
        "options": told["options"],
        "ipc": None if wildcards.ipc == "all" else int(wildcards.ipc),
        "seed": int(wildcards.condensation_seed),
        "device": device.type,
        "precision": "float32",
        "labels_option": told["labels"],
        "source": told["source"],
        "inputs": inputs,
    }
    output = snakemake.output.condensed
    began = time.monotonic()
    failed = None
    try:
        dataset = dataset_of(snakemake)
        problem = contract.Problem(
            dataset=replace(dataset, train_images=dataset.train_images.to(device)),
            ipc=facts["ipc"],
            seed=facts["seed"],
            device=device,
            recorder=recorder,
            compile=snakemake.params.compile,
            precision=snakemake.params.precision,
            memory_mb=declared_mb(snakemake.config["compute"], device),
        )
        problem = replace(problem, **read(snakemake, problem, told["options"]))
        result = contract.resolve(told["function"])(problem, **told["options"])
        condensed = contract.finish(result, problem, told["function"], told["labels"])
        facts |= recorder.facts
        sets.write(condensed, dataset, output, iterations=recorder.iterations, **facts)
    except Exception as error:
        status = failure(error)
        if status is None:
            raise
        log.warning("%s at iteration %d: %s", status, recorder.iteration, error)
        failed = status, (str(error) or repr(error)).splitlines()[0], recorder.iteration
    if failed:  # outside `except`: the error held on to what had filled the memory
        compute.make_room()
        facts |= recorder.facts
        sets.write_failure(dataset_of(snakemake), output, *failed, **facts)
    # of a method that failed, those up to there
    images = {str(number): images for number, images in sorted(recorder.snapshots.items())}
    storage.write_tensors(snakemake.output.snapshots, images, facts | {"kind": "snapshots"})
    outside = time.monotonic() - began - recorder.seconds_here  # the start, the choice of images
    cost = recorder.cost() | {"seconds": recorder.seconds + outside}
    cost |= compute.peak_memory_mb(device) | compute.description(device)
    storage.write_json(snakemake.output.cost, cost)
    recorder.discard_checkpoint()


def declared_mb(options, device):
    """Return the memory that the job may count on, in MB: of the device, as the config says."""
    given = options["device_memory_mb"] if device.type == "cuda" else options["memory_limit_mb"]
    return given or memory.DECLARED_MB


def dataset_of(snakemake):
    """Return the dataset, whitened where the method wants it."""
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        return replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    return dataset


def recorder_of(snakemake, device):
    """Return the recorder, and the checksums of the inputs."""
    wildcards, told = snakemake.wildcards, snakemake.params.job
    inputs = {
        name: storage.read_metadata(getattr(snakemake.input, name))["checksum"]
        for name in ("dataset", "features", "whitening")
        if hasattr(snakemake.input, name)
    }
    if paths := experts_of(snakemake):
        inputs["experts"] = [storage.read_metadata(path)["checksum"] for path in paths]
    belongs_to = [told, inputs, snakemake.params.compile, snakemake.params.precision]
    belongs_to += [str(device), dict(wildcards.items())]
    output = Path(snakemake.output.condensed)
    recorder = loop.Recorder(
        label=f"{wildcards.method} {wildcards.dataset} ipc{wildcards.ipc} "
        f"set{wildcards.condensation_seed}",
        checkpoint=output.with_name("checkpoint.safetensors"),
        identity=hashlib.sha256(json.dumps(belongs_to, sort_keys=True).encode()).hexdigest(),
        snapshots=told["snapshots"],
        interval=snakemake.config["compute"]["checkpoint_seconds"],
    )
    return recorder, inputs


def experts_of(snakemake):
    """Return the paths of the experts that the method reads."""
    paths = getattr(snakemake.input, "experts", [])
    return [paths] if isinstance(paths, str) else list(paths)


def read(snakemake, problem, options):
    """Return the fields of the problem that are read from other files."""
    fields = {}
    if features := getattr(snakemake.input, "features", None):
        fields["features"] = storage.read_tensors(features)[0]["features"]
    if paths := experts_of(snakemake):
        # by name: a digest of other methods does not cover it
        trajectories = importlib.import_module("condensation.methods.experts")
        fields["trajectories"] = trajectories.load(paths, problem, options["architecture"])
    return fields


def failure(error):
    """Return the status that an error amounts to as a result, or None if it is no result."""
    if compute.is_out_of_memory(error):
        return "oom"
    if isinstance(error, (FloatingPointError, torch.linalg.LinAlgError)):
        return "diverged"
    return None


with job(snakemake):
    main(snakemake)
