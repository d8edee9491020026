"""Checks whether pixels and labels of an imported set match their declaration.

**Pixels.** A form says what the numbers of a file mean: standardised, on [0, 1], on [-1, 1], or
0 to 255. Each form turns the numbers into network input by a scale and an offset per channel. The
distance of a form compares that input with the real images: per channel, the difference of the
means in standard deviations of the real images, squared, plus the squared logarithm of the ratio of
the standard deviations; then the root of the mean over channels.

Another form than the declared one is a candidate if it is nearer and possible. Standardised images
and images on [-1, 1] need at least one negative pixel in 200; images on [-1, 1] also reach 0.9 on
both sides and have 80 % of their pixels in the range widened by a twentieth; images of 0 to 255
span at least a fifth of the range.

The data contradict the declared form if standardised images lack those negative pixels, or if in
another form less than 95 % of the pixels lie in the range widened by a twentieth (learned images
leave the range of a picture in places), or they span less than a fifth of it. An error is raised

* if the data contradict the form, and a candidate exists or the distance is above 3;
* if the distance is above 3, and a candidate has at most half of it.

A warning is logged if the distance is 0.3 or more and a candidate has at most 0.7 times it.

**Labels.** Each image is assigned to the class whose mean real image it correlates with most. A
warning is logged if the labels agree with these classes in fewer images than real images would in
999 of 1000 sets, and another order of the classes would agree in more images, by four standard
errors, and in more than 95 % of random guesses reach, each in its own best order.
"""

import logging

import numpy as np
import torch
from scipy import stats
from scipy.optimize import linear_sum_assignment

from condensation.core.errors import InputError
from condensation.data.datasets import Dataset

log = logging.getLogger("condensation")

Channels = tuple[torch.Tensor, torch.Tensor]  # per channel, float64 [C]

_RANGES = {"unit": (0.0, 1.0), "[-1, 1]": (-1.0, 1.0), "uint8": (0.0, 255.0)}
_INSIDE, _INSIDE_OTHER, _WIDENED, _FILLED, _BOTH_ENDS = 0.95, 0.8, 0.05, 0.2, 0.9
_NEGATIVE, _NEGATIVE_SHARE = -0.02, 0.005
_FAR, _NOTABLE, _NEARER, _MUCH_NEARER = 3.0, 0.3, 0.7, 0.5
_SAMPLE, _SAMPLE_VALUES = 2000, 10**8  # most real images for statistics, and most of their values
_PER_CLASS = 500  # most real images for a class mean
_GUESSES, _RARE, _ERRORS = 200, 1e-3, 4.0


def check_pixels(
    images: torch.Tensor, declared: str, constants: Channels | None, dataset: Dataset, where: str
) -> None:
    """Warn or raise InputError if the pixels contradict their declared scale.

    Parameters
    ----------
    images : float [n, C, H, W], as stored in the file.
    declared : ``standardized``, ``unit`` or ``uint8``.
    constants : mean and std of the standardisation, if not those of the dataset; float64 [C].
    dataset : the real images, not whitened.
    where : the file, for messages.
    """
    if not torch.isfinite(images).all():  # another check raises for these
        return
    moments = _moments(images)
    forms = _forms(dataset)
    if constants is not None:
        forms["standardized"] = _affine(constants[1], constants[0], dataset)
    real = _moments(dataset.standardize(_sample(dataset)[0]))
    distance = {name: _distance(moments, form, real) for name, form in forms.items()}
    others = [name for name in forms if name != declared and _may_be(images, name)]
    nearest = min(others, key=distance.__getitem__, default=None)
    if nearest is not None and distance[nearest] >= distance[declared]:
        nearest = None
    closeness = distance[nearest] / distance[declared] if nearest is not None else 1.0
    far = distance[declared] > _FAR
    spread = (
        f"its pixels run from {float(images.min()):.4g} to {float(images.max()):.4g}, with mean "
        f"{_listed(moments[0])} and standard deviation {_listed(moments[1])} per channel"
    )
    expected = _expected(forms[declared], real)
    text = f"{where}: scale is `{declared}`, but {spread}; {expected} would be like {dataset.name}"
    if nearest is not None:
        advice = "set " + _advice(nearest, dataset)
        text += f". They look like {_described(nearest)}: {advice}"
    contradicted = _contradicted(images, declared) and (nearest is not None or far)
    if contradicted or (far and closeness <= _MUCH_NEARER):
        raise InputError(text)
    if closeness <= _NEARER and distance[declared] >= _NOTABLE:
        log.warning("%s, if so", text)
    elif declared in _RANGES:
        low, high = _RANGES[declared]
        outside = int(((images < low) | (images > high)).sum())
        if outside:
            log.info(
                "%s: %d of %d pixels lie outside the range of a picture, and are kept: %s",
                *(where, outside, images.numel(), spread),
            )


def _forms(dataset: Dataset) -> dict[str, Channels]:
    """Return the scale and offset per channel that turn each form into network input."""
    ones = torch.ones(len(dataset.mean), dtype=torch.float64)
    zeros = torch.zeros_like(ones)
    return {
        "standardized": (ones, zeros),
        "unit": _affine(ones, zeros, dataset),
        "[-1, 1]": _affine(ones / 2, ones / 2, dataset),
        "uint8": _affine(ones / 255, zeros, dataset),
    }


def _affine(std: torch.Tensor, mean: torch.Tensor, dataset: Dataset) -> Channels:
    """Return scale and offset for numbers x that mean pixels x * std + mean on [0, 1]."""
    dataset_mean, dataset_std = (
        torch.tensor(values, dtype=torch.float64) for values in (dataset.mean, dataset.std)
    )
    return std / dataset_std, (mean - dataset_mean) / dataset_std


def _moments(images: torch.Tensor) -> Channels:
    std, mean = torch.std_mean(images, dim=(0, 2, 3), correction=0)
    return mean.double().cpu(), std.double().cpu()


def _distance(moments: Channels, form: Channels, real: Channels) -> float:
    floor = 1e-6
    mean, std = form[0] * moments[0] + form[1], form[0] * moments[1]
    scale = real[1].clamp_min(floor)
    shifts = (mean - real[0]) / scale
    ratios = (std.clamp_min(floor) / scale).log()
    return float((shifts.square() + ratios.square()).mean().sqrt())


def _contradicted(images: torch.Tensor, declared: str) -> bool:
    if declared == "standardized":
        return not _has_negatives(images)
    return _inside(images, declared) < _INSIDE or _filled(images, declared) < _FILLED


def _may_be(images: torch.Tensor, form: str) -> bool:
    if form == "unit":
        return True
    if form == "uint8":
        return _filled(images, form) >= _FILLED
    if form == "[-1, 1]" and (
        max(float(images.min()), -float(images.max())) > -_BOTH_ENDS
        or _inside(images, form) < _INSIDE_OTHER
    ):
        return False
    return _has_negatives(images)


def _has_negatives(images: torch.Tensor) -> bool:
    return int((images < _NEGATIVE).sum()) >= _NEGATIVE_SHARE * images.numel()


def _inside(images: torch.Tensor, form: str) -> float:
    """Return the share of pixels in the widened range of a form."""
    low, high = _RANGES[form]
    margin = (high - low) * _WIDENED
    inside = (images >= low - margin) & (images <= high + margin)
    return int(inside.sum()) / images.numel()


def _filled(images: torch.Tensor, form: str) -> float:
    """Return the share of the range of a form that the pixels span."""
    low, high = _RANGES[form]
    return float(images.max() - images.min()) / (high - low)


def _expected(form: Channels, real: Channels) -> str:
    means, stds = (real[0] - form[1]) / form[0], real[1] / form[0]
    return f"mean {_listed(means)} and standard deviation {_listed(stds)}"


def _listed(values: torch.Tensor) -> str:
    return ", ".join(f"{round(float(value), 3):.3g}" for value in values)


def _described(form: str) -> str:
    return {
        "standardized": "standardised images",
        "unit": "images on [0, 1]",
        "[-1, 1]": "images on [-1, 1]",
        "uint8": "images of 0 to 255",
    }[form]


def _advice(form: str, dataset: Dataset) -> str:
    if form != "[-1, 1]":
        return f"scale: {form}"
    halves = [0.5] * len(dataset.mean)
    return f"mean: {halves}, std: {halves} and restandardize: true"


def _sample(dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random training images, uint8, and their labels; fewer if they are large."""
    count = min(_SAMPLE, max(200, _SAMPLE_VALUES // dataset.train_images[0].numel()))
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(dataset.train_labels), generator=generator)[:count]
    return dataset.train_images[chosen], dataset.train_labels[chosen]


def check_class_order(
    images: torch.Tensor, labels: torch.Tensor, order: list[int], dataset: Dataset, where: str
) -> None:
    """Warn if the labels seem to number the classes in another order.

    Parameters
    ----------
    images : float32 [n, C, H, W], network input.
    labels : int64 [n], classes of ``dataset``.
    order : class of ``dataset`` for each label of the file.
    """
    classes = len(dataset.classes)
    centres = _centres(dataset)
    grand = centres.mean(0)
    known, known_labels = _sample(dataset)
    usual = _nearest(dataset.preprocess(known), centres, grand) == known_labels.cpu()
    usual_rate = float(usual.double().mean())
    guesses = _nearest(images, centres, grand)
    agreeing = int((guesses == labels).sum())
    if stats.binom.cdf(agreeing, len(labels), usual_rate) >= _RARE:
        return
    table = np.zeros((classes, classes), int)
    np.add.at(table, (labels.numpy(), guesses.numpy()), 1)
    rows, better = linear_sum_assignment(table, maximize=True)
    best = int(table[rows, better].sum())
    error = np.sqrt(len(labels) * usual_rate * (1 - usual_rate))
    if best - agreeing < _ERRORS * max(error, 0.5) or best <= _guessed(labels.numpy(), classes):
        return
    names = [dataset.classes[better[position]] for position in order]
    shown = f": `classes: [{', '.join(names)}]`" if classes <= 20 else ""
    log.warning(
        "%s: its labels are the nearest class mean of %s in %d of %d images, where %.0f %% of real "
        "images have that; in another order of the classes it would be %d%s. If its classes are "
        "in another order, set `classes`",
        *(where, dataset.name, agreeing, len(labels), 100 * usual_rate, best, shown),
    )


def _centres(dataset: Dataset) -> torch.Tensor:
    """Return the mean of each class as network input, float32 [classes, C * H * W]."""
    means = []
    for indices in dataset.indices_by_class():
        chosen = indices[:: max(1, len(indices) // _PER_CLASS)]
        total = torch.zeros(dataset.train_images[0].numel(), device=dataset.train_images.device)
        for part in chosen.split(100):
            total += dataset.preprocess(dataset.train_images[part]).flatten(1).sum(0)
        means.append(total / len(chosen))
    return torch.stack(means).cpu()


def _nearest(images: torch.Tensor, centres: torch.Tensor, grand: torch.Tensor) -> torch.Tensor:
    """Return the class whose mean each image correlates with most, int64 [n].

    Correlation, as learned images have more contrast than real ones.
    """
    directions = torch.nn.functional.normalize(centres - grand)
    parts = [part.flatten(1).cpu() - grand for part in images.split(500)]
    return torch.cat([(part @ directions.T).argmax(1) for part in parts])


def _guessed(labels: np.ndarray, classes: int) -> int:
    """Return the 95 % quantile of the agreement of random guesses, each in its best order."""
    random = np.random.default_rng(0)
    reached = []
    for _ in range(_GUESSES):
        table = np.zeros((classes, classes), int)
        np.add.at(table, (labels, random.integers(classes, size=len(labels))), 1)
        reached.append(table[linear_sum_assignment(table, maximize=True)].sum())
    return int(np.quantile(reached, 0.95))
