"""The contract between the pipeline and a condensation method.

A method is one function, ``method(problem, *, option=...)``. It takes a ``Problem`` and returns a
``Condensed`` (or only the images, or the positions of selected training images). ``finish`` checks
the result of every method, built in or written by a user.
"""

import importlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from condensation.core import compute, factors, plugins, randomness
from condensation.core.errors import InputError
from condensation.core.memory import DECLARED_MB
from condensation.data.datasets import Dataset
from condensation.data.sets import Condensed, check_labels
from condensation.methods.recorder import Recorder

log = logging.getLogger("condensation")

CPU = torch.device("cpu")
_AT_ONCE = 5000  # images whitened in one matrix product
_ONE_HOT, _SHARES = 1e-4, 1e-2  # tolerances: rounding, and sums of learned rows of shares


@dataclass(frozen=True)
class Problem:
    """The input of a method.

    Attributes
    ----------
    dataset : the real images (uint8, on ``device``), labels and class names.
    ipc : images per class; None for ``whole`` and experts. ``images_per_class`` is never None.
    seed : the condensation seed; draw from ``problem.generator(purpose)``.
    device : where to compute.
    features : embedding of every training image, N x D, if the method reads one.
    scores : scores of every training image by name, [N] each, if the features have them
        (``condensation.training.scores``).
    teacher : a network trained on all real images, if the method reads one.
    trajectories : experts, if the method reads them (``condensation.methods.experts``).
    recorder : progress, checkpoints and cost; ``recorder.run`` drives an iterative method.
    compile : whether to compile networks with torch.compile: True, False, or ``auto``.
    precision : ``float32``, ``tf32``, ``bf16`` or ``auto``, which ``problem.mode`` resolves, of the
        passes that the option ``compute.precision`` names.
    memory_mb : memory of the device that the job may use, in MB.
    """

    dataset: Dataset
    ipc: int | None
    seed: int
    device: torch.device = CPU
    features: torch.Tensor | None = None
    scores: Mapping[str, torch.Tensor] = field(default_factory=dict)
    teacher: torch.nn.Module | None = None
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
    def images_per_class(self) -> int:
        """``ipc``; raises ValueError for ``whole`` and experts, which have none."""
        if self.ipc is None:
            raise ValueError("this problem has no IPC: it is for `whole` or for experts")
        return self.ipc

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.dataset.shape

    @property
    def labels(self) -> torch.Tensor:
        """Labels of a set in class order, int64 [classes * ipc]: 0 0 0 1 1 1 ..."""
        return torch.arange(self.classes).repeat_interleave(self.images_per_class)

    def generator(self, *purpose: object) -> torch.Generator:
        """Return a CPU generator for this seed and ``purpose``, independent of all others."""
        return randomness.generator(self.seed, *purpose)

    def real(self, indices: torch.Tensor) -> torch.Tensor:
        """Return training images at ``indices`` as network input, float32, on ``device``.

        The images are standardised, or whitened if the method's ``preprocessing`` says so.
        """
        images = self.dataset.train_images[indices.to(self.dataset.train_images.device)]
        return self.dataset.preprocess(images.to(self.device))

    def mode(self, network: torch.nn.Module, passes: float, steps: float) -> compute.Mode:
        """Return compilation and precision for ``network``; see ``compute.choose_mode``.

        Both are recorded in ``recorder.facts``.
        """
        mode = compute.choose_mode(
            self.compile, self.precision, network, self.shape, self.device, passes, steps
        )
        self.recorder.facts |= {"compile": mode.compile, "precision": mode.precision}
        return mode

    def reader(self, reads: float) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return a function like ``real`` for a job that reads ``reads`` images in total.

        Whitening an image is a product with a large matrix. If each image is read more than once
        on average and all fit into a quarter of ``memory_mb``, all are whitened in advance.
        """
        images = self.dataset.train_images
        floats = images.numel() * 4 / 1e6
        if self.dataset.whitening is None or reads < len(images) or floats > self.memory_mb / 4:
            return self.real
        whitened = torch.cat(
            [self.dataset.preprocess(part.to(self.device)) for part in images.split(_AT_ONCE)]
        )
        return lambda indices: whitened[indices.to(whitened.device)]

    def points(self, features: str, indices: torch.Tensor) -> torch.Tensor:
        """Return training images as points in space, float32 [n, d], on the CPU.

        Parameters
        ----------
        features : ``pixels`` for the flattened network input, else the name of the features that
            the problem holds.
        indices : positions of training images, int64 [n].

        Raises
        ------
        InputError
            If the problem holds no features.
        """
        if features == "pixels":
            return self.real(indices).flatten(1).cpu()
        if self.features is None:
            raise InputError(f"the features {features!r} are needed, but none are available")
        return self.features[indices]

    def require(self, per_class: int) -> None:
        """Raise InputError if a class has fewer than ``per_class`` training images."""
        for name, indices in zip(
            self.dataset.classes, self.dataset.indices_by_class(), strict=True
        ):
            if len(indices) < per_class:
                raise InputError(
                    f"{self.dataset.name}: {per_class} images of class {name!r} are needed, "
                    f"but it has {len(indices)}"
                )

    def draw_real(self, per_class: int, generator: torch.Generator) -> torch.Tensor:
        """Return positions [classes, per_class] of training images, without replacement.

        Raises
        ------
        InputError
            If a class has fewer images.
        """
        self.require(per_class)
        selected = [
            indices[torch.randperm(len(indices), generator=generator)[:per_class]]
            for indices in self.dataset.indices_by_class()
        ]
        return torch.stack(selected)


def resolve(module: str) -> Callable[..., Any]:
    """Return the method's function from ``condensation.methods.x`` or ``file.py:function``.

    Raises
    ------
    InputError
        If a user's file fails on import or lacks the function.
    """
    if ".py:" in module:
        return plugins.load(module)
    return importlib.import_module(module).condense


def finish(result: Any, problem: Problem, method: str, labels: str = "soft") -> Condensed:
    """Return ``result`` as a checked ``Condensed`` on the CPU, in class order.

    ``result`` may be a Condensed, images [classes * ipc, C, H, W] in class
    order, a pair (images, labels), or positions of training images: whole numbers of any
    integer dtype, each once.

    Labels are whole numbers [n], or a row of class scores per image. One-hot rows, and those
    minus their mean, become whole numbers. Of other rows, ``soft`` keeps float32 [n, classes] and
    ``hard`` the class of the largest score.

    Raises
    ------
    InputError
        That says what ``method`` returned and what it should return.
    """
    if isinstance(result, torch.Tensor) and result.dim() == 1 and _is_integer(result):
        result = result.long().cpu()
        _check_positions(result, problem, method)
        result = Condensed(
            problem.real(result), problem.dataset.train_labels[result], indices=result
        )
    elif isinstance(result, torch.Tensor):
        _refuse_odd_positions(result, problem, method)
        result = Condensed(result, problem.labels)
    elif isinstance(result, tuple) and len(result) == 2:
        result = Condensed(*result)
    elif not isinstance(result, Condensed):
        raise InputError(
            f"{method}: returned {type(result).__name__}; expected images, (images, labels), "
            "positions of training images, or a Condensed"
        )
    result = replace(
        result,
        indices=_normalized_indices(result, method),
        step_size=_normalized_step_size(result.step_size, method),
    )
    if result.images is not None:
        result = replace(result, labels=_normalized_labels(result.labels, problem, method, labels))
    _check(result, problem, method)
    if result.images is None:
        return result
    images, image_labels = result.images.detach().cpu(), result.labels.detach().cpu()
    indices = None if result.indices is None else result.indices.cpu()
    hard = image_labels if image_labels.dim() == 1 else image_labels.argmax(1)
    if bool((hard.bincount(minlength=problem.classes) == problem.ipc).all()):
        order = torch.argsort(hard, stable=True)  # all sets are in class order
        images, image_labels = images[order], image_labels[order]
        indices = None if indices is None else indices[order]
    tensors = images.contiguous(), image_labels.contiguous(), indices
    return Condensed(*tensors, result.step_size, result.factor)


def _is_integer(tensor: torch.Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _normalized_indices(condensed: Condensed, method: str) -> torch.Tensor | None:
    """Return the positions of a Condensed as int64 [n], or None."""
    indices, images = condensed.indices, condensed.images
    if indices is None:
        return None
    if not isinstance(indices, torch.Tensor) or not _is_integer(indices):
        kind = getattr(indices, "dtype", type(indices).__name__)
        raise InputError(
            f"{method}: returned indices of type {kind}; expected a tensor of integers"
        )
    if indices.dim() != 1 or (images is not None and len(indices) != len(images)):
        raise InputError(
            f"{method}: returned indices of shape {tuple(indices.shape)}; expected "
            f"({'n' if images is None else len(images)},): the position of each image in the "
            "training set"
        )
    return indices.long()


def _normalized_step_size(step_size: Any, method: str) -> float | None:
    if step_size is None:
        return None
    plain = step_size.detach() if isinstance(step_size, torch.Tensor) else step_size
    try:
        value = float(plain)
    except (TypeError, ValueError, RuntimeError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{method}: returned step_size {step_size!r}; expected a finite number")
    return value


def _refuse_odd_positions(tensor: torch.Tensor, problem: Problem, method: str) -> None:
    """Refuse positions of another type or shape, which would be taken for images."""
    if tensor.dim() == 1:
        remedy = "nonzero().flatten()" if tensor.dtype == torch.bool else "long()"
    elif tensor.dim() == 2 and _is_integer(tensor):
        remedy = "flatten()"
    else:
        return
    size = f"({len(problem.labels)},)" if problem.ipc else "(n,)"
    raise InputError(
        f"{method}: returned {tensor.dtype} of shape {tuple(tensor.shape)}; positions of training "
        f"images are whole numbers of shape {size}: {remedy} gives them. Images are float32 of "
        f"shape {(len(problem.labels) if problem.ipc else 'n', *problem.shape)}"
    )


def _check_positions(positions: torch.Tensor, problem: Problem, method: str) -> None:
    real = len(problem.dataset.train_labels)
    if not len(positions) or not 0 <= int(positions.min()) <= int(positions.max()) < real:
        raise InputError(f"{method}: returned positions outside the training set")
    values, counts = positions.unique(return_counts=True)
    if repeated := values[counts > 1].tolist():
        raise InputError(
            f"{method}: returned {len(repeated)} positions more than once, {repeated[0]} among "
            "them; with repeated images the set is smaller than its IPC"
        )


def _normalized_labels(labels: Any, problem: Problem, method: str, option: str) -> Any:
    """Return labels as int64 [n] or float32 [n, classes]; other shapes are left to ``_check``."""
    if not isinstance(labels, torch.Tensor) or labels.is_complex():
        raise InputError(
            f"{method}: returned labels of type {type(labels).__name__}; expected a tensor of "
            "whole numbers, or of one row of class scores per image"
        )
    if labels.dim() == 1 and _is_integer(labels):
        return labels.long()
    if labels.dim() != 2 or labels.shape[1] != problem.classes:
        return labels
    rows = labels.float()
    if not torch.isfinite(rows).all():
        return rows
    largest, classes = rows.max(1)
    others = rows.clone()
    others.scatter_(1, classes[:, None], (largest - 1)[:, None])
    # all others are equal and lower by 1: 1 and 0, or 1 - 1/C and -1/C
    if bool(((others - (largest - 1)[:, None]).abs() <= _ONE_HOT).all()):
        return classes
    if option == "hard":
        log.info("%s: soft labels become hard: the class of the largest score", method)
        return classes
    sums = rows.sum(1)
    if bool((sums <= 0).any()):
        raise InputError(
            f"{method}: soft labels whose rows sum to {float(sums.min()):.4g} or more; cross-"
            "entropy needs shares of classes, with a sum of 1. `labels: hard` takes the class of "
            "the largest score instead"
        )
    log.info("%s: soft labels are kept", method)
    if float((sums - 1).abs().max()) > _SHARES or float(rows.min()) < -_SHARES:
        log.warning(
            "%s: soft labels are not shares of classes: from %.4g to %.4g, with sums of %.4g to "
            "%.4g an image, where 0 to 1 and a sum of 1 are usual. If they are scores before a "
            "softmax, store their softmax, or set `labels: hard`",
            *(method, float(rows.min()), float(rows.max())),
            *(float(sums.min()), float(sums.max())),
        )
    return rows


def _check(condensed: Condensed, problem: Problem, method: str) -> None:
    images, labels = condensed.images, condensed.labels
    if condensed.indices is not None:
        _check_positions(condensed.indices, problem, method)
    if images is None:  # a reference to real images: `whole`
        if condensed.indices is None or problem.ipc is not None:
            raise InputError(f"{method}: returned no images")
        return
    if not isinstance(condensed.factor, int) or condensed.factor < 1:
        raise InputError(
            f"{method}: returned factor {condensed.factor!r}; expected a whole number from 1"
        )
    if refused := factors.problem(condensed.factor, problem.shape):
        raise InputError(f"{method}: {refused}")
    ipc = problem.images_per_class
    expected = (problem.classes * ipc, *problem.shape)
    if tuple(images.shape) != expected:
        raise InputError(
            f"{method}: returned images of shape {tuple(images.shape)}; expected {expected}: "
            f"{ipc} per class, {problem.classes} classes"
        )
    if images.dtype != torch.float32:
        raise InputError(f"{method}: returned {images.dtype} images; expected float32")
    if not torch.isfinite(images).all():
        raise InputError(f"{method}: returned images with NaN or infinite pixels")
    check_labels(labels, len(images), problem.classes, method)
    if labels.dim() == 2:  # soft: an image may belong to several classes
        return
    counts = torch.bincount(labels.cpu(), minlength=problem.classes)
    if not bool((counts == ipc).all()):
        wrong = int((counts != ipc).nonzero()[0])
        raise InputError(
            f"{method}: returned {int(counts[wrong])} images of class "
            f"{problem.dataset.classes[wrong]!r}; expected {ipc}"
        )
