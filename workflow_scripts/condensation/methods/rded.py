"""RDED: crops of real images that a teacher recognises, stitched together.

Sun et al. (2024, arXiv:2312.03526). Of random crops of real images, the ones with the smallest
cross-entropy of a teacher are kept: they are realistic, and crops of different images are diverse.
An image holds ``factor`` x ``factor`` of them. No pixel is learned.
"""

import torch
import torch.nn.functional as F

from condensation.core import compute
from condensation.core.errors import InputError
from condensation.methods.contract import Problem


def condense(
    problem: Problem, *, teacher: str, pool: int, crops: int, factor: int, smallest: float
) -> torch.Tensor:
    """Return images [classes * ipc, C, H, W], standardised, in class order.

    Parameters
    ----------
    teacher : name of the features whose network ``problem.teacher`` is.
    pool : random training images per class to crop; all of a smaller class.
    crops : random crops of each image, of which the one with the smallest loss is kept.
    factor : crops along each side of an image; they are made smaller to fit.
    smallest : smallest area of a crop, as a share of the image; the largest is the image.

    Raises
    ------
    InputError
        If there is no teacher, if the pool of a class has fewer images than the set needs, or if
        ``factor`` leaves no pixel to a crop.
    """
    if problem.teacher is None:
        raise InputError(f"rded: the network of the features {teacher!r} is needed")
    ipc, needed = problem.images_per_class, problem.images_per_class * factor**2
    _, height, width = problem.shape
    at_once = compute.shown_at_once(problem.teacher, problem.shape, problem.device)
    if factor > min(height, width):
        raise InputError(f"rded: factor {factor} is more than the {min(height, width)} pixels")
    images = []
    for label, indices in enumerate(problem.dataset.indices_by_class()):
        stream = problem.generator("rded", label)
        selected = indices[torch.randperm(len(indices), generator=stream)[:pool]]
        if len(selected) < needed:
            raise InputError(
                f"rded: class {problem.dataset.classes[label]!r} needs {needed} crops, each of "
                f"another image, but its pool has {len(selected)} images; raise `pool` or lower "
                "`factor`"
            )
        real = problem.real(selected)
        size = height // factor, width // factor
        tried = torch.stack([crop(real, stream, size, smallest) for _ in range(crops)])
        losses = torch.stack([_losses(problem, patches, label, at_once) for patches in tried])
        best = tried[losses.argmin(0), torch.arange(len(real))]
        order = losses.amin(0).argsort(stable=True)[:needed]
        images.append(stitch(best[order], factor, ipc, (height, width)))
    return torch.cat(images)


def crop(
    images: torch.Tensor, stream: torch.Generator, size: tuple[int, int], smallest: float
) -> torch.Tensor:
    """Return a random crop of each image, resized to ``size``: [n, C, *size].

    The area is uniform between ``smallest`` and all of the image; the crop has the shape of the
    image, and its place is uniform.
    """
    height, width = images.shape[2:]
    cropped = []
    for image in images:
        area = smallest + (1 - smallest) * float(torch.rand((), generator=stream))
        rows, columns = (max(1, round(side * area**0.5)) for side in (height, width))
        top = int(torch.randint(height - rows + 1, (), generator=stream))
        left = int(torch.randint(width - columns + 1, (), generator=stream))
        part = image[None, :, top : top + rows, left : left + columns]
        cropped.append(F.interpolate(part, size, mode="bilinear", antialias=True))
    return torch.cat(cropped)


def _losses(problem: Problem, patches: torch.Tensor, label: int, at_once: int) -> torch.Tensor:
    """Return the teacher's cross-entropy of each patch [n], on the CPU, ``at_once`` in a pass.

    Small patches lie in the middle of an image of the mean colour.
    """
    assert problem.teacher is not None
    gaps = [side - small for side, small in zip(problem.shape[1:], patches.shape[2:], strict=True)]
    (above, below), (left, right) = ((gap // 2, gap - gap // 2) for gap in gaps)
    framed = F.pad(patches, (left, right, above, below))
    with torch.inference_mode():
        logits = compute.in_parts(problem.teacher, framed, at_once).cpu()
    targets = torch.full((len(logits),), label)
    return F.cross_entropy(logits, targets, reduction="none").clone()


def stitch(patches: torch.Tensor, factor: int, count: int, size: tuple[int, int]) -> torch.Tensor:
    """Return ``count`` images [count, C, *size] of ``factor`` x ``factor`` patches each.

    Patch k * count + i lies at place k of image i, so each image has patches of all ranks. Where
    ``factor`` does not divide a side, the first rows or columns of patches are a pixel larger.
    """
    heights, widths = (
        [side // factor + (place < side % factor) for place in range(factor)] for side in size
    )
    places = iter(patches.split(count))
    lines = [
        torch.cat([_resized(next(places), height, width) for width in widths], dim=3)
        for height in heights
    ]
    return torch.cat(lines, dim=2)


def _resized(patches: torch.Tensor, height: int, width: int) -> torch.Tensor:
    if patches.shape[2:] == (height, width):
        return patches
    return F.interpolate(patches, (height, width))
