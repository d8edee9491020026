"""Run a method and write its condensed set, snapshots and cost: the work of rule condense."""

import hashlib
import importlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from condensation.core import compute, storage
from condensation.data import datasets, sets, whitening
from condensation.data.datasets import Dataset
from condensation.methods import contract
from condensation.methods import recorder as loop

log = logging.getLogger("condensation")

Paths = Mapping[str, Any]  # name -> path; for `experts` one path or several


def condense(
    wildcards: Mapping[str, str],
    job: Mapping[str, Any],
    inputs: Paths,
    outputs: Paths,
    *,
    device: torch.device,
    compile: bool | str,
    precision: str,
    memory_mb: float,
    checkpoint_seconds: float | None = None,
) -> None:
    """Condense; continue from the checkpoint beside the output if there is one.

    Running out of memory and divergence are results, which the output file records.

    Parameters
    ----------
    wildcards : names of the set: dataset, method, ipc (``all`` for the whole training set) and
        condensation_seed.
    job : function, options, labels, snapshots and source digest (``workflow.jobs.condense``).
    inputs : the file ``dataset`` and, if the method reads them, ``whitening``, ``features`` and
        ``experts``.
    outputs : the files ``condensed``, ``snapshots`` and ``cost`` to write.
    device, compile, precision, memory_mb : as in ``contract.Problem``.
    checkpoint_seconds : longest time between two checkpoints; None for the recorder's default.

    Raises
    ------
    InputError
        For a damaged input, or if the method refuses its options or returns no set.
    """
    recorder, checksums = _recorder(
        wildcards, job, inputs, outputs, [compile, precision, str(device)], checkpoint_seconds
    )
    metadata = {
        "method": wildcards["method"],
        "algorithm": job["function"],
        "options": job["options"],
        "ipc": None if wildcards["ipc"] == "all" else int(wildcards["ipc"]),
        "seed": int(wildcards["condensation_seed"]),
        "device": device.type,
        "precision": "float32",
        "labels_option": job["labels"],
        "source": job["source"],
        "inputs": checksums,
    }
    output = outputs["condensed"]
    start = time.monotonic()
    failure = None
    try:
        dataset = _dataset(inputs)
        problem = contract.Problem(
            dataset=replace(dataset, train_images=dataset.train_images.to(device)),
            ipc=metadata["ipc"],
            seed=metadata["seed"],
            device=device,
            recorder=recorder,
            compile=compile,
            precision=precision,
            memory_mb=memory_mb,
        )
        problem = replace(problem, **_read(inputs, problem, job["options"]))
        result = contract.resolve(job["function"])(problem, **job["options"])
        condensed = contract.finish(result, problem, job["function"], job["labels"])
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
        sets.write_failure(_dataset(inputs), output, *failure, **metadata)
    # a failed method keeps the snapshots up to its last iteration
    snapshots = {
        str(number) if name == "images" else f"{number}-{name}": tensor
        for number, kept in sorted(recorder.snapshots.items())
        for name, tensor in kept.items()
    }
    storage.write_tensors(outputs["snapshots"], snapshots, metadata | {"kind": "snapshots"})
    # outside the recorder's loop: initial images and selection
    outside = time.monotonic() - start - recorder.seconds_here
    cost = recorder.cost() | {"seconds": recorder.seconds + outside}
    cost |= compute.peak_memory_mb(device) | compute.description(device)
    storage.write_json(outputs["cost"], cost)
    recorder.discard_checkpoint()


def status_of(error: BaseException) -> str | None:
    """Return the status of a result that ended with this error; None if it is no result."""
    if compute.is_out_of_memory(error):
        return "oom"
    if isinstance(error, (FloatingPointError, torch.linalg.LinAlgError)):
        return "diverged"
    return None


def _dataset(inputs: Paths) -> Dataset:
    """Return the dataset, with its whitening if the method uses one."""
    dataset = datasets.load(inputs["dataset"])
    if "whitening" in inputs:
        return replace(dataset, whitening=whitening.load(inputs["whitening"]))
    return dataset


def _recorder(
    wildcards: Mapping[str, str],
    job: Mapping[str, Any],
    inputs: Paths,
    outputs: Paths,
    settings: list[Any],
    interval: float | None,
) -> tuple[loop.Recorder, dict[str, Any]]:
    """Return the recorder, and the checksums of the inputs."""
    checksums = {
        name: storage.read_metadata(inputs[name])["checksum"]
        for name in ("dataset", "features", "whitening", "teacher")
        if name in inputs
    }
    if paths := _experts(inputs):
        checksums["experts"] = [storage.read_metadata(path)["checksum"] for path in paths]
    identity = [job, checksums, *settings, dict(wildcards)]
    output = Path(outputs["condensed"])
    recorder = loop.Recorder(
        label=f"{wildcards['method']} {wildcards['dataset']} ipc{wildcards['ipc']} "
        f"set{wildcards['condensation_seed']}",
        checkpoint=output.with_name("checkpoint.safetensors"),
        identity=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
        snapshots=job["snapshots"],
        interval=interval,
    )
    return recorder, checksums


def _experts(inputs: Paths) -> list[str]:
    """Return the paths of the experts that the method reads."""
    paths = inputs.get("experts", [])
    return [paths] if isinstance(paths, str) else list(paths)


def _read(inputs: Paths, problem: contract.Problem, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the problem that come from other jobs: features, networks, experts."""
    fields: dict[str, Any] = {}
    if "features" in inputs:
        scores = dict(storage.read_tensors(inputs["features"])[0])
        fields |= {"features": scores.pop("features"), "scores": scores}
    if "teacher" in inputs:
        stored = importlib.import_module("condensation.networks.stored")
        fields["teacher"], _ = stored.load(inputs["teacher"], problem.dataset, problem.device)
    if paths := _experts(inputs):
        # by name, so that the digests of other methods do not cover it
        trajectories = importlib.import_module("condensation.methods.experts")
        fields["trajectories"] = trajectories.load(paths, problem, options["architecture"])
    return fields
