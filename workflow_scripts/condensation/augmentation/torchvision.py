"""Pipelines of torchvision transforms on uint8 images, as the released evaluator applies them.

Standardised images are brought back to [0, 1], clipped, multiplied by 255 and truncated to uint8,
transformed, divided by 255 and standardised again. The evaluator passes the batch as one tensor, so
that random choices are made once per batch; ``per_image`` makes them for each image. It also treats
whitened images as standardised, which clips them; ``inverted`` inverts the whitening instead.
"""

import inspect
import logging
from typing import Any

import torch
from torchvision.transforms import v2

from condensation.core import randomness
from condensation.core.errors import InputError, unknown
from condensation.data.datasets import Dataset

log = logging.getLogger("condensation")

_TRIALS = 10  # trial draws before training: some transforms change the size only sometimes


class Pipeline:
    """A sequence of transforms; a draw is a seed for their random choices."""

    def __init__(
        self, transforms: list[torch.nn.Module], per_image: bool, inverted: bool, dataset: Dataset
    ):
        self.transform = v2.Compose(transforms)
        self.per_image = per_image
        self.whitening = dataset.whitening if inverted else None
        self.dataset = dataset

    def draw(self, generator: torch.Generator, count: int) -> int:
        """Draw a seed; the transforms draw from torch's global state, seeded with it."""
        return int(torch.randint(2**62, (1,), generator=generator))

    def apply(self, images: torch.Tensor, drawn: int) -> torch.Tensor:
        """Return the transformed images [n, C, H, W], standardised or whitened."""
        if self.whitening is not None:
            return self.whitening.through_pixels(
                images, lambda pixels: self._transformed(pixels, drawn)
            )
        pixels = (self.dataset.unstandardize(images).clamp(0, 1) * 255).to(torch.uint8)
        return self.dataset.standardize(self._transformed(pixels, drawn))

    def _transformed(self, pixels: torch.Tensor, drawn: int) -> torch.Tensor:
        with randomness.seeded(drawn):
            if self.per_image:
                return torch.stack([self._checked(image) for image in pixels])
            return self._checked(pixels)

    def _checked(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return transformed pixels; raises InputError if shape or dtype changed."""
        changed = self.transform(pixels)
        if not isinstance(changed, torch.Tensor) or changed.dtype != torch.uint8:
            kind = getattr(changed, "dtype", type(changed).__name__)
            raise InputError(f"{self._words} turns uint8 images into {kind}; they must stay uint8")
        if changed.shape != pixels.shape:
            before, after = (tuple(each.shape[-3:]) for each in (pixels, changed))
            raise InputError(
                f"{self._words} turns images of shape {before} into {after}; they must keep their "
                "shape at every draw"
            )
        return changed

    @property
    def _words(self) -> str:
        names = (type(step).__name__ for step in self.transform.transforms)
        return f"augmentation by {', '.join(names)}"


def build(
    dataset: Dataset,
    transforms: list[dict[str, dict[str, Any]]],
    draw: str,
    whitened: str = "as_standardized",
) -> Pipeline:
    """Return the pipeline for images of ``dataset``.

    Raises
    ------
    InputError
        If torchvision does not have a transform or refuses its arguments, or the pipeline changes
        the shape or dtype of images.
    """
    steps = [
        step
        for entry in transforms
        for name, arguments in entry.items()
        if (step := _step(name, dict(arguments), dataset)) is not None
    ]
    pipeline = Pipeline(steps, draw == "per_image", whitened == "inverted", dataset)
    if dataset.whitening is not None and whitened == "as_standardized":
        log.warning(
            "whitened images are clipped on their way to pixels, as in the released evaluator; "
            "`whitened: inverted` does not"
        )
    sample = dataset.preprocess(dataset.train_images[:2])
    try:
        for drawn in range(_TRIALS):
            pipeline.apply(sample, drawn)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"augmentation {transforms} fails on {dataset.name}: {error}") from error
    return pipeline


def _step(name: str, arguments: dict[str, Any], dataset: Dataset) -> torch.nn.Module | None:
    known = {n for n, c in vars(v2).items() if inspect.isclass(c) and issubclass(c, v2.Transform)}
    if name not in known:
        raise InputError(unknown("torchvision transform", name, known))
    if name == "RandomHorizontalFlip" and not dataset.flip:
        return None
    kind = getattr(v2, name)
    parameters = inspect.signature(kind).parameters
    if "size" in parameters and parameters["size"].default is inspect.Parameter.empty:
        arguments.setdefault("size", list(dataset.shape[1:]))
    if name == "AutoAugment":
        policy = arguments.get("policy") or (
            "cifar10" if max(dataset.shape[1:]) <= 32 else "imagenet"
        )
        arguments["policy"] = v2.AutoAugmentPolicy(str(policy).lower())
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"augmentation: {name}({arguments}): {error}") from error
