"""Expert trajectories: the parameters of a network after each epoch on the real images."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from condensation import augmentation as augmentations
from condensation import networks
from condensation.augmentation import packing
from condensation.core import capture, compute, storage
from condensation.core.errors import InputError
from condensation.core.randomness import generator
from condensation.data import datasets, whitening
from condensation.methods import recorder as loop
from condensation.methods.contract import Problem
from condensation.methods.derivatives import Flat, values

KIND = "trajectory"


@dataclass(frozen=True)
class Trajectories:
    """Experts of one kind: one dataset, network and training.

    Attributes
    ----------
    snapshots : float32 [epochs + 1, parameters] per expert: before training and after each epoch.
        There may be more experts than a method asked for, as several are trained at once.
    architecture : the config entry of their network.
    """

    snapshots: list[torch.Tensor]
    architecture: dict[str, Any]

    @property
    def epochs(self) -> int:
        """Fewest epochs that an expert was trained for."""
        return min(len(trajectory) for trajectory in self.snapshots) - 1


def make(
    wildcards: Mapping[str, str],
    job: Mapping[str, Any],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    *,
    device: torch.device,
    compile: bool | str,
    precision: str,
    memory_mb: float,
    checkpoint_seconds: float | None = None,
) -> None:
    """Train experts and write their trajectories and cost: the work of rule train_expert.

    A checkpoint beside the output is continued.

    Parameters
    ----------
    wildcards : dataset, trajectories, and ``expert``: a number, which is the seed, or the first and
        the last of several (``0-7``), which are trained in one computation.
    job : options and source digest (``workflow.jobs.train_expert``).
    inputs : the file ``dataset`` and, if the images are whitened, ``whitening``.
    outputs : the files ``expert`` and ``cost`` to write.
    device, compile, precision, memory_mb : as in ``Problem``.
    checkpoint_seconds : longest time between two checkpoints; None for the recorder's default.

    Raises
    ------
    InputError
        For a damaged input.
    FloatingPointError
        If the parameters are no longer finite.
    """
    dataset = datasets.load(inputs["dataset"])
    if "whitening" in inputs:
        dataset = replace(dataset, whitening=whitening.load(inputs["whitening"]))
    checksums = {"dataset": storage.read_metadata(inputs["dataset"])["checksum"]}
    output = Path(outputs["expert"])
    settings = [compile, precision, str(device)]
    identity = [job, checksums, dataset.preprocessing, *settings]
    recorder = loop.Recorder(
        label=f"expert {wildcards['trajectories']} {wildcards['dataset']} {wildcards['expert']}",
        checkpoint=output.with_name(f"{output.stem}-checkpoint.safetensors"),
        identity=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
        interval=checkpoint_seconds,
    )
    first, _, last = wildcards["expert"].partition("-")
    seeds = list(range(int(first), int(last or first) + 1))
    problem = Problem(
        dataset=replace(dataset, train_images=dataset.train_images.to(device)),
        ipc=None,
        seed=seeds[0],
        device=device,
        recorder=recorder,
        compile=compile,
        precision=precision,
        memory_mb=memory_mb,
    )
    handled = ("preprocessing", "together")
    options = {name: value for name, value in job["options"].items() if name not in handled}
    snapshots = train(problem, seeds, **options)
    write(
        output,
        snapshots,
        problem,
        options=job["options"],
        seeds=seeds,
        device=device.type,
        settings=settings,
        **recorder.facts,
        source=job["source"],
        inputs=checksums,
    )
    cost = recorder.cost() | compute.peak_memory_mb(device) | compute.description(device)
    storage.write_json(outputs["cost"], cost)
    recorder.discard_checkpoint()


def train(
    problem: Problem,
    seeds: Sequence[int],
    *,
    architecture: dict[str, Any],
    epochs: int,
    lr: float,
    momentum: float,
    batch_size: int,
    augmentation: dict[str, Any],
) -> torch.Tensor:
    """Train an expert per seed; return snapshots [seeds, epochs + 1, parameters], on the CPU.

    As in the released code of TM (arXiv:2203.11932): SGD without decay on shuffled batches, with a
    new augmentation draw for each batch. Several experts are one computation; each has the start,
    the order of images and the draws that it has alone. Checkpoints hold the snapshots so far.
    """
    dataset, together = problem.dataset, len(seeds)
    starts = [
        networks.build(architecture, problem.shape, problem.classes, seed, "expert network")
        for seed in seeds
    ]
    count = len(dataset.train_labels)
    passes = 3.0 * epochs * count * together
    batches = math.ceil(count / batch_size)
    first = torch.stack([values(start) for start in starts])  # before a network leaves the CPU
    mode = problem.mode(starts[0], passes, epochs * batches)
    network = Flat(starts[0], problem.shape, problem.device, mode, min(batch_size, count))
    read = problem.reader(epochs * count * together)
    parameters = first.to(problem.device, copy=True)
    velocity = torch.zeros_like(parameters)
    snapshots = torch.zeros(together, epochs + 1, first.shape[1])
    snapshots[:, 0] = first
    augment = augmentations.build(augmentation, dataset)
    labels = dataset.train_labels.to(problem.device)
    epoch_data: list[Any] = []  # positions and draws of the batches of an epoch, on the device

    def load_epoch(epoch: int) -> list[Any]:
        orders = [
            torch.randperm(count, generator=generator(seed, "expert order", epoch)).split(
                batch_size
            )
            for seed in seeds
        ]
        data: list[Any] = []
        for batch, positions in enumerate(zip(*orders, strict=True)):
            sizes = [len(part) for part in positions]
            draws = [
                augment.draw(generator(seed, "expert", epoch, batch), size)
                for seed, size in zip(seeds, sizes, strict=True)
            ]
            packed = packing.for_steps(augment, draws, sizes, problem.device)
            data += [torch.cat(positions), packed]
        return capture.to_device(data, problem.device)

    def update(positions: torch.Tensor, draws: Any) -> None:
        size = len(positions) // together
        images = packing.apply_to_steps(augment, read(positions), draws, [size] * together)
        slopes = network.gradients_of_each(
            parameters,
            images.view(together, size, *problem.shape),
            labels[positions].view(together, size),
        )
        velocity.mul_(momentum).add_(slopes)
        parameters.sub_(velocity, alpha=lr)

    captured = capture.Captured(update, problem.device, possible=packing.static(augment))

    def step(number: int) -> None:
        nonlocal epoch_data
        epoch, batch = divmod(number, batches)
        if batch == 0 or not epoch_data:
            epoch_data = load_epoch(epoch)
        captured(*epoch_data[2 * batch : 2 * batch + 2])
        if batch == batches - 1:
            snapshots[:, epoch + 1] = parameters

    state = {"parameters": parameters, "velocity": velocity, "snapshots": snapshots}
    problem.recorder.run(state, step, epochs, parts=batches)
    return snapshots


def write(path: str | Path, snapshots: torch.Tensor, problem: Problem, **facts: Any) -> None:
    """Write the snapshots of ``train``; the metadata includes ``facts`` (options, source, ...)."""
    metadata = {
        "dataset": problem.dataset.name,
        "classes": list(problem.dataset.classes),
        "shape": list(problem.shape),
        "preprocessing": problem.dataset.preprocessing,
    }
    storage.write_tensors(path, {"snapshots": snapshots}, {"kind": KIND, **metadata, **facts})


def load(paths: Iterable[str | Path], problem: Problem, architecture: dict) -> Trajectories:
    """Return the experts in files; their snapshots stay memory-mapped.

    Raises
    ------
    InputError
        If a file is damaged or not a trajectory, or its expert has another dataset, preprocessing
        or network.
    """
    snapshots: list[torch.Tensor] = []
    expected = sum(
        p.numel()
        for p in networks.build(architecture, problem.shape, problem.classes, 0).parameters()
    )
    for path in paths:
        tensors, metadata = storage.read_tensors(path)
        if metadata.get("kind") != KIND:
            raise InputError(
                f"{path}: holds a {metadata.get('kind')}, not a trajectory of an expert"
            )
        for key, current in (
            ("classes", list(problem.dataset.classes)),
            ("shape", list(problem.shape)),
            ("preprocessing", problem.dataset.preprocessing),
        ):
            if metadata[key] != current:
                raise InputError(
                    f"{path}: the expert was trained on {metadata['dataset']} with {key} "
                    f"{_short(metadata[key])}; this run is on {problem.dataset.name} with "
                    f"{_short(current)}"
                )
        trained = metadata["options"]["architecture"]
        parameters = tensors["snapshots"].shape[-1]
        if trained != architecture or parameters != expected:
            raise InputError(
                f"{path}: the expert is a {trained} of {parameters} parameters; expected "
                f"{architecture}, {expected} parameters"
            )
        snapshots += tensors["snapshots"].unbind()
    return Trajectories(snapshots, architecture)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
