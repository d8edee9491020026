"""DATM: trajectories of a difficulty that suits the size of the set, with learned soft labels.

Guo et al., 2024, arXiv:2310.05773. TM, with four changes:

- students start in a window of expert epochs, early ones for small sets and late ones for large;
  its upper end grows during the first iterations, so that the easy ones come first;
- the labels are soft, the softmax of logits, and SGD learns the logits with the images;
- images start from real ones that an expert classifies correctly, and logits from the mean over
  those experts that do;
- an iteration whose loss is above a threshold changes nothing.
"""

import logging
from typing import Any

import torch

from condensation import networks
from condensation.core import compute
from condensation.core.errors import InputError
from condensation.data.sets import Condensed
from condensation.methods import tm
from condensation.methods.contract import Problem
from condensation.methods.derivatives import Flat
from condensation.methods.experts import Trajectories
from condensation.methods.start import initial_images

log = logging.getLogger("condensation")

_AT_ONCE = 256  # real images in memory while an expert judges them


def condense(
    problem: Problem,
    *,
    init: str,
    features: str,
    min_start: int,
    first_max_start: int,
    max_start: int,
    growth: int,
    label_epoch: int,
    lr_labels: float,
    momentum_labels: float,
    threshold: float,
    **matching: Any,
) -> Condensed:
    """Return images [classes * ipc, C, H, W] in class order, soft labels, and the step size.

    Parameters
    ----------
    init, features : ``correct`` for real images that an expert classifies correctly, else see
        ``methods.start``.
    min_start, first_max_start, max_start, growth : students start after one of the epochs
        min_start .. end - 1; the end grows from ``first_max_start`` to ``max_start`` in ``growth``
        iterations.
    label_epoch : epoch after which the experts give the initial labels.
    lr_labels, momentum_labels : of SGD on the logits of the labels.
    threshold : an iteration whose loss is larger changes nothing.
    matching : the other options of ``tm.match``.

    Raises
    ------
    InputError
        If there are too few experts or epochs.
    FloatingPointError
        If the step size falls to zero or below, where the student would ascend.
    """
    loaded = tm.available(problem, max_start=max_start, **matching)
    if label_epoch > loaded.epochs:
        raise InputError(
            f"datm: label_epoch {label_epoch}, but the experts {matching['trajectories']!r} were "
            f"trained for {loaded.epochs} epochs"
        )
    classifiers = _Classifiers(
        problem, loaded, matching["architecture"], matching["experts"], label_epoch
    )
    if init == "correct":
        images = problem.real(classifiers.correct_images())
    else:
        images = initial_images(problem, init, features)
    labels = tm.LearnedLabels(classifiers.mean_logits(images), lr_labels, momentum_labels)

    def starts(iteration: int) -> range:
        return range(min_start, _end(iteration, first_max_start, max_start, growth))

    a = tm.match(problem, images, labels, starts, threshold=threshold, **matching)
    return Condensed(images, labels.shares(), step_size=a)


def _end(iteration: int, first: int, last: int, growth: int) -> int:
    """Return the first epoch behind the window, which grows from ``first`` to ``last``."""
    if iteration >= growth:
        return last
    return first + (last - first) * iteration // growth


class _Classifiers:
    """The experts of a problem as they were after one epoch."""

    def __init__(
        self,
        problem: Problem,
        loaded: Trajectories,
        architecture: dict[str, Any],
        experts: int,
        epoch: int,
    ):
        self.problem = problem
        structure = networks.build(architecture, problem.shape, problem.classes, problem.seed)
        self.at_once = compute.shown_at_once(structure, problem.shape, problem.device)
        self.network = Flat(structure, problem.shape, problem.device)
        self.vectors = [snapshots[epoch] for snapshots in loaded.snapshots[:experts]]

    def logits(self, expert: int, images: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, classes] of an expert."""
        vector = self.vectors[expert].to(self.problem.device)
        with torch.no_grad():
            return compute.in_parts(
                lambda part: self.network.forward(vector, part), images, self.at_once
            )

    def correct_images(self) -> torch.Tensor:
        """Return positions of IPC training images per class, in class order.

        Those are the first of a random order that expert 0 classifies correctly; where they are
        too few, those of expert 1 follow, and so on.
        """
        dataset, needed = self.problem.dataset, self.problem.images_per_class
        stream = self.problem.generator("datm images")
        self.problem.draw_real(needed, stream)  # refuses a class that is too small
        selected = []
        for label, indices in enumerate(dataset.indices_by_class()):
            order = indices[torch.randperm(len(indices), generator=stream)]
            correct = self._first_correct(label, order, needed)
            if len(correct) < needed:
                log.warning(
                    "%s: the experts classify %d images of class %r correctly, and %d are needed; "
                    "the others are random",
                    *(dataset.name, len(correct), dataset.classes[label], needed),
                )
                others = order[~torch.isin(order, correct)]
                correct = torch.cat([correct, others[: needed - len(correct)]])
            selected.append(correct)
        return torch.cat(selected)

    def _first_correct(self, label: int, order: torch.Tensor, needed: int) -> torch.Tensor:
        correct = order[:0]
        for expert in range(len(self.vectors)):
            for positions in order[~torch.isin(order, correct)].split(_AT_ONCE):
                predicted = self.logits(expert, self.problem.real(positions)).argmax(1).cpu()
                correct = torch.cat([correct, positions[predicted == label]])
                if len(correct) >= needed:
                    return correct[:needed]
        return correct

    def mean_logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits of images in class order, float32 [n, classes].

        Each row is the mean over the experts that classify the image correctly, or over all if
        none does.
        """
        labels = self.problem.labels.to(images.device)
        total = of_correct = torch.zeros(len(labels), self.problem.classes, device=images.device)
        count = torch.zeros(len(labels), 1, device=images.device)
        for expert in range(len(self.vectors)):
            logits = self.logits(expert, images)
            correct = (logits.argmax(1) == labels).unsqueeze(1)
            total = total + logits
            of_correct = of_correct + logits * correct
            count += correct
        return torch.where(count > 0, of_correct / count, total / len(self.vectors))
