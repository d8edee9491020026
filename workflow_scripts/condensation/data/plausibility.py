"""Whether the pixels and labels of a set made elsewhere are what they are said to be.

**Pixels.** A form says what a file's numbers mean: standardised, on [0, 1],
on [-1, 1], or 0 to 255. Each turns the numbers into network input by a scale
and an offset per channel. For each channel, how far the mean of that input
lies from the real images' (in their standard deviations) and the logarithm of
the ratio of the standard deviations are squared and added; the distance of
the form is the root of the mean over channels.

A set is taken for another form than the declared one where that is nearer.
Standardised images and those on [-1, 1] must have negative pixels, one in 200
or more; on [-1, 1] they reach nine tenths on both sides, as pictures do, and
80 % lie within a twentieth around it; 0 to 255 is filled to a fifth.

The declared form is contradicted where standardised images have no such
negative pixels, or where less than 95 % of the others' lie in their range,
widened by a twentieth, or fill less than a fifth of it: learned images leave
the range of a picture here and there. It is refused

* if it is contradicted, and another form is nearer or it is 3 away itself;
* if it is 3 away, and another form is at half its distance or less.

It is warned of if it is 0.3 away or more, and another form is at seven tenths
of that or less.

**Labels.** Each image is given to the class whose real images' mean it
correlates with most. Labels are warned of if they agree with that in fewer
images than real images would in 999 of 1000 sets, and if in another order of
the classes they would agree in more images, by four standard errors, and in
more than random guesses would in 95 % of cases, each in its own best order.
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
_SAMPLE, _SAMPLE_VALUES = 2000, 10**8  # real images that statistics are taken of, their pixels
_PER_CLASS = 500  # real images behind a class mean
_GUESSES, _RARE, _ERRORS = 200, 1e-3, 4.0


def check_pixels(
    images: torch.Tensor, declared: str, constants: Channels | None, dataset: Dataset, where: str
) -> None:
    """Warn or raise InputError if ``images`` are not what they are declared to be.

    Parameters
    ----------
    images : float [n, C, H, W], the numbers of the file.
    declared : ``standardized``, ``unit`` or ``uint8``.
    given : mean and std that they were standardised with, where not the dataset's own.
    dataset : the real images, not whitened.
    where : the file, for the message.
    """
    if not torch.isfinite(images).all():  # refused elsewhere, with its own reason
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
        log.warning("%s, if that is what they are", text)
    elif declared in _RANGES:
        low, high = _RANGES[declared]
        outside = int(((images < low) | (images > high)).sum())
        if outside:
            log.info(
                "%s: %d of %d pixels lie outside the range of a picture, and are kept: %s",
                *(where, outside, images.numel(), spread),
            )


def _forms(dataset: Dataset) -> dict[str, Channels]:
    """Return, by name, the scale and the offset per channel that lead to network input."""
    ones = torch.ones(len(dataset.mean), dtype=torch.float64)
    zeros = torch.zeros_like(ones)
    return {
        "standardized": (ones, zeros),
        "unit": _affine(ones, zeros, dataset),
        "[-1, 1]": _affine(ones / 2, ones / 2, dataset),
        "uint8": _affine(ones / 255, zeros, dataset),
    }


def _affine(std: torch.Tensor, mean: torch.Tensor, dataset: Dataset) -> Channels:
    """Numbers x that stand for pixels x * std + mean on [0, 1]."""
    own_mean, own_std = (
        torch.tensor(values, dtype=torch.float64) for values in (dataset.mean, dataset.std)
    )
    return std / own_std, (mean - own_mean) / own_std


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
    """Return the share of pixels in the range of a form, widened."""
    low, high = _RANGES[form]
    margin = (high - low) * _WIDENED
    inside = (images >= low - margin) & (images <= high + margin)
    return int(inside.sum()) / images.numel()


def _filled(images: torch.Tensor, form: str) -> float:
    """Return how much of the range of a form the pixels span."""
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
    """Training images drawn at random, uint8, and their labels; fewer where they are large."""
    count = min(_SAMPLE, max(200, _SAMPLE_VALUES // dataset.train_images[0].numel()))
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(dataset.train_labels), generator=generator)[:count]
    return dataset.train_images[chosen], dataset.train_labels[chosen]


def check_class_order(
    images: torch.Tensor, labels: torch.Tensor, order: list[int], dataset: Dataset, where: str
) -> None:
    """Warn if the labels look like those of classes in another order.

    Parameters
    ----------
    images : float32 [n, C, H, W], network input.
    labels : int64 [n], classes of ``dataset``.
    order : the class of ``dataset`` that each label number of the file stands for.
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
    """Return the agreement that 95 % of random guesses stay within, each in its best order."""
    random = np.random.default_rng(0)
    reached = []
    for _ in range(_GUESSES):
        table = np.zeros((classes, classes), int)
        np.add.at(table, (labels, random.integers(classes, size=len(labels))), 1)
        reached.append(table[linear_sum_assignment(table, maximize=True)].sum())
    return int(np.quantile(reached, 0.95))
