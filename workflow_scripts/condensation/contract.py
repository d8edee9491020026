"""The contract between the pipeline and a condensation method.

A method is one function, ``method(problem, *, option=...)``. It is given a
``Problem`` and returns a ``Condensed`` (or, shorter, the images, or the
positions of chosen training images). ``finish`` is the one door that the
result goes through, built-in and user-written alike.
"""

import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from condensation import randomness
from condensation.datasets import Dataset
from condensation.errors import InputError
from condensation.loop import Recorder

CPU = torch.device("cpu")


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
    recorder : progress, checkpoints and cost; ``recorder.run`` drives an iterative method.
    compile : whether networks may go through torch.compile.
    """

    dataset: Dataset
    ipc: int | None
    seed: int
    device: torch.device = CPU
    features: torch.Tensor | None = None
    recorder: Recorder = field(default_factory=Recorder)
    compile: bool = False

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
        """Return standardised float32 training images at ``indices``, on ``device``."""
        images = self.dataset.train_images[indices.to(self.dataset.train_images.device)]
        return self.dataset.standardize(images.to(self.device))

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


@dataclass(frozen=True)
class Condensed:
    """A condensed set.

    Attributes
    ----------
    images : float32 [n, C, H, W], standardised; None for chosen images, which are read from the
        dataset by their positions.
    labels : int64 [n], or float32 [n, classes] for soft labels.
    indices : int64 [n], positions in the training set, where the images are real ones.
    step_size : a learned learning rate, if the method has one.
    """

    images: torch.Tensor | None
    labels: torch.Tensor
    indices: torch.Tensor | None = None
    step_size: float | None = None


def resolve(module: str) -> Callable[..., Any]:
    """Return the method's function from ``condensation.methods.x`` or ``file.py:function``.

    Raises InputError if a user's file fails on import or lacks the function.
    """
    file, separator, name = module.rpartition(":")
    if not separator:
        return importlib.import_module(module).condense
    path = Path(file).resolve()
    specification = importlib.util.spec_from_file_location(f"user_method_{path.stem}", path)
    loaded = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(loaded)
    except Exception as error:
        raise InputError(f"{file}: the file fails on import: {error!r}") from error
    if not callable(getattr(loaded, name, None)):
        raise InputError(f"{file}: has no function {name!r}")
    return getattr(loaded, name)


def finish(result: Any, problem: Problem, method: str) -> Condensed:
    """Return ``result`` as a checked ``Condensed``.

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
    return result


def _check(condensed: Condensed, problem: Problem, method: str) -> None:
    images, labels = condensed.images, condensed.labels
    if images is None:  # a reference to real images: `whole`
        if condensed.indices is None:
            raise InputError(f"{method}: returned neither images nor positions of real ones")
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
    counts = torch.bincount(hard(labels).cpu(), minlength=problem.classes)
    if labels.dtype == torch.int64 and not bool((counts == problem.ipc).all()):
        wrong = int((counts != problem.ipc).nonzero()[0])
        raise InputError(
            f"{method}: returned {int(counts[wrong])} images of class "
            f"{problem.dataset.classes[wrong]!r}; expected {problem.ipc}"
        )


def check_labels(labels: torch.Tensor, count: int, classes: int, where: str) -> None:
    """Raise InputError unless labels are int64 [count] in range, or float [count, classes]."""
    if labels.dim() == 2 and labels.is_floating_point():
        if tuple(labels.shape) != (count, classes) or not torch.isfinite(labels).all():
            raise InputError(
                f"{where}: soft labels of shape {tuple(labels.shape)}; expected finite numbers of "
                f"shape {(count, classes)}"
            )
    elif labels.dtype != torch.int64 or tuple(labels.shape) != (count,):
        raise InputError(
            f"{where}: labels are {labels.dtype} of shape {tuple(labels.shape)}; expected int64 of "
            f"shape {(count,)}, or float32 of shape {(count, classes)}"
        )
    elif count and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(
            f"{where}: labels from {int(labels.min())} to {int(labels.max())}; "
            f"the dataset has classes 0 to {classes - 1}"
        )


def hard(labels: torch.Tensor) -> torch.Tensor:
    """Return class numbers of hard or soft labels."""
    return labels.argmax(1) if labels.dim() == 2 else labels


def content_digest(condensed: Condensed) -> str:
    """Return 16 hex digits of the images (or positions) and labels."""
    digest = hashlib.sha256()
    for tensor in (condensed.images, condensed.labels, condensed.indices):
        if tensor is not None:
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
