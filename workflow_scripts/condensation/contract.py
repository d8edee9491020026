"""The contract between the pipeline and a condensation method.

A method is one function, ``method(problem, *, option=...)``. It is given a
``Problem`` and returns a ``Condensed`` (or, shorter, the images, or the
positions of chosen training images). ``finish`` is the one door that the
result goes through, built-in and user-written alike.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from condensation import compute, plugins, randomness
from condensation.datasets import Dataset
from condensation.errors import InputError
from condensation.loop import Recorder
from condensation.sets import Condensed, check_labels
from condensation.sizes import DECLARED_MB

CPU = torch.device("cpu")
_AT_ONCE = 5000  # images whitened in one product


@dataclass(frozen=True)
class Problem:
    """What a method is given.

    Attributes
    ----------
    dataset : the real images (uint8, on ``device``), labels and class names.
    ipc : images per class; None for ``whole``.
    seed : the condensation seed; draw from ``problem.generator(purpose)``.
    device : where to compute.
    features : embedding of every training image, N x D, if the method asked for one.
    trajectories : experts, if the method asked for them (``condensation.trajectories``).
    recorder : progress, checkpoints and cost; ``recorder.run`` drives an iterative method.
    compile : whether networks go through torch.compile: yes, no, or ``auto``.
    precision : ``float32``, ``tf32``, ``bf16`` or ``auto``, of the passes over real images; ask
        ``problem.mode`` what ``auto`` comes to.
    memory_mb : memory that the job may count on, of the device.
    """

    dataset: Dataset
    ipc: int | None
    seed: int
    device: torch.device = CPU
    features: torch.Tensor | None = None
    trajectories: Any = None
    recorder: Recorder = field(default_factory=Recorder)
    compile: bool | str = False
    precision: str = "float32"
    memory_mb: float = DECLARED_MB

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.dataset.classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.dataset.shape

    @property
    def labels(self) -> torch.Tensor:
        """Labels of a set in class order, int64 [classes * ipc]: 0 0 0 1 1 1 ..."""
        return torch.arange(self.classes).repeat_interleave(self.ipc)

    def generator(self, *purpose: object) -> torch.Generator:
        """Return a CPU generator of its own for this seed and ``purpose``."""
        return randomness.generator(self.seed, *purpose)

    def real(self, indices: torch.Tensor) -> torch.Tensor:
        """Return training images at ``indices`` as network input, float32, on ``device``.

        That is standardised, or whitened where the method's ``preprocessing`` says so.
        """
        images = self.dataset.train_images[indices.to(self.dataset.train_images.device)]
        return self.dataset.preprocess(images.to(self.device))

    def mode(self, network: torch.nn.Module, passes: float, steps: float) -> compute.Mode:
        """Return how passes through ``network`` run; see ``compute.choose_mode``.

        The answer is kept in ``recorder.facts``.
        """
        mode = compute.choose_mode(
            self.compile, self.precision, network, self.shape, self.device, passes, steps
        )
        self.recorder.facts |= {"compile": mode.compile, "precision": mode.precision}
        return mode

    def reader(self, reads: float) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return a function like ``real`` for a job that reads ``reads`` images in all.

        Whitening an image is a product with a large matrix. Where each image is read more than
        once on average and all fit into a quarter of ``memory_mb``, all are whitened now.
        """
        images = self.dataset.train_images
        floats = images.numel() * 4 / 1e6
        if self.dataset.whitening is None or reads < len(images) or floats > self.memory_mb / 4:
            return self.real
        whitened = torch.cat(
            [self.dataset.preprocess(part.to(self.device)) for part in images.split(_AT_ONCE)]
        )
        return lambda indices: whitened[indices.to(whitened.device)]

    def draw_real(self, per_class: int, generator: torch.Generator) -> torch.Tensor:
        """Return positions [classes, per_class] of training images, without replacement.

        Raises InputError if a class has fewer images.
        """
        chosen = []
        for name, indices in zip(
            self.dataset.classes, self.dataset.indices_by_class(), strict=True
        ):
            if len(indices) < per_class:
                raise InputError(
                    f"{self.dataset.name}: {per_class} images of class {name!r} are asked for, "
                    f"but it has {len(indices)}"
                )
            chosen.append(indices[torch.randperm(len(indices), generator=generator)[:per_class]])
        return torch.stack(chosen)


def resolve(module: str) -> Callable[..., Any]:
    """Return the method's function from ``condensation.methods.x`` or ``file.py:function``.

    Raises InputError if a user's file fails on import or lacks the function.
    """
    if ".py:" in module:
        return plugins.load(module)
    return importlib.import_module(module).condense


def finish(result: Any, problem: Problem, method: str) -> Condensed:
    """Return ``result`` as a checked ``Condensed`` on the CPU, in class order.

    ``result`` may be a Condensed, images [classes * ipc, C, H, W] in class
    order, a pair (images, labels), or int64 positions of training images.

    Raises InputError that says what ``method`` returned and what would be right.
    """
    if isinstance(result, torch.Tensor) and result.dtype == torch.int64 and result.dim() == 1:
        in_range = len(result) and 0 <= int(result.min()) <= int(result.max())
        if not in_range or int(result.max()) >= len(problem.dataset.train_labels):
            raise InputError(f"{method}: returned positions outside the training set")
        labels = problem.dataset.train_labels[result]
        result = Condensed(problem.real(result), labels, indices=result)
    elif isinstance(result, torch.Tensor):
        result = Condensed(result, problem.labels)
    elif isinstance(result, tuple) and len(result) == 2:
        result = Condensed(*result)
    elif not isinstance(result, Condensed):
        raise InputError(
            f"{method}: returned {type(result).__name__}; expected images, (images, labels), "
            "positions of training images, or a Condensed"
        )
    _check(result, problem, method)
    if result.images is None:
        return result
    images, labels = result.images.detach().cpu(), result.labels.detach().cpu()
    indices = None if result.indices is None else result.indices.cpu()
    if labels.dim() == 1:  # class order, as every set has
        order = torch.argsort(labels, stable=True)
        images, labels = images[order], labels[order]
        indices = None if indices is None else indices[order]
    return Condensed(images, labels, indices, result.step_size)


def _check(condensed: Condensed, problem: Problem, method: str) -> None:
    images, labels = condensed.images, condensed.labels
    if images is None:  # a reference to real images: `whole`
        if condensed.indices is None or problem.ipc is not None:
            raise InputError(f"{method}: returned no images")
        return
    expected = (problem.classes * problem.ipc, *problem.shape)
    if tuple(images.shape) != expected:
        raise InputError(
            f"{method}: returned images of shape {tuple(images.shape)}; expected {expected}: "
            f"{problem.ipc} per class, {problem.classes} classes"
        )
    if images.dtype != torch.float32:
        raise InputError(f"{method}: returned {images.dtype} images; expected float32")
    if not torch.isfinite(images).all():
        raise InputError(f"{method}: returned images with NaN or infinite pixels")
    check_labels(labels, len(images), problem.classes, method)
    if labels.dim() == 2:  # soft: an image may belong to several classes
        return
    counts = torch.bincount(labels.cpu(), minlength=problem.classes)
    if not bool((counts == problem.ipc).all()):
        wrong = int((counts != problem.ipc).nonzero()[0])
        raise InputError(
            f"{method}: returned {int(counts[wrong])} images of class "
            f"{problem.dataset.classes[wrong]!r}; expected {problem.ipc}"
        )
