"""Imported: a finished condensed set from a file.

``set_files`` reads the file. This module converts its pixels and labels to those of the pipeline,
and ``plausibility`` checks them against the options of the config.
"""

from pathlib import Path

import torch

from condensation.core import storage
from condensation.core.errors import InputError, unknown
from condensation.data import plausibility, set_files, sets
from condensation.data.datasets import Dataset
from condensation.data.sets import Condensed
from condensation.methods.contract import Problem


def condense(
    problem: Problem,
    *,
    path: str,
    labels_path: str | None,
    scale: str | None,
    mean: list[float] | None,
    std: list[float] | None,
    restandardize: bool,
    run: int | None = None,
    classes: list[str] | None = None,
) -> Condensed:
    """Return the set in the file, converted to images and labels of the pipeline.

    Images of a whitened dataset (``preprocessing`` of the config entry) are not converted.

    Images may be N x C x H x W, N x H x W x C, or N x H x W of one channel; labels are
    whole numbers or one row per image. Without labels, the images are in class order, IPC per
    class. ``run`` selects one of several runs in the file, from 0; ``classes`` names the dataset's
    classes in the order of the file's labels.

    Logs a warning, with the numbers, if pixels or labels look implausible.

    Raises
    ------
    InputError
        For a file that cannot be read, and for a wrong shape, label range or preprocessing.
    """
    dataset = problem.dataset
    path = str(Path(path).expanduser())
    images, labels, facts = set_files.read(path, dataset, run)
    if labels_path:
        labels = set_files.read_labels(Path(labels_path).expanduser())
    images = _channels_first(images, problem.shape)
    ipc = problem.images_per_class
    expected = (problem.classes * ipc, *problem.shape)
    if tuple(images.shape) != expected:
        raise InputError(
            f"{path}: images of shape {tuple(images.shape)}; expected {expected}: {ipc} "
            f"per class of {dataset.name}, {problem.classes} classes"
        )
    metadata = _metadata(path) | facts
    images = _network_input(images, dataset, path, scale, mean, std, restandardize, metadata)
    labels = problem.labels if labels is None else _labels(labels, len(images), dataset, path)
    file_classes = tuple(metadata.get("classes", ())) or None
    order = _class_order(classes, file_classes, dataset, path)
    if labels.dim() == 2:
        labels = torch.empty_like(labels).index_copy_(1, torch.tensor(order), labels)
    else:
        labels = torch.tensor(order)[labels]
    condensed = Condensed(images, labels, factor=metadata.get("factor", 1))
    shown = condensed.formed()
    # `contract.finish` refuses images that are not finite
    if shown.images is not None and torch.isfinite(images).all():
        hard = shown.labels if shown.labels.dim() == 1 else shown.labels.argmax(1)
        plausibility.check_class_order(shown.images, hard, order, dataset, path)
    return condensed


def images_per_class(path: str, dataset: Dataset, run: int | None = None) -> int:
    """Return how many images per class the set in a file has.

    Raises
    ------
    InputError
        If the number of images is not a multiple of the number of classes.
    """
    images, classes = set_files.read(path, dataset, run)[0], len(dataset.classes)
    count = len(images) if images.dim() else 0
    if not count or count % classes:
        raise InputError(f"{path}: {count} images do not divide into {classes} classes")
    return count // classes


def _metadata(path: str) -> dict:
    """Return the metadata of a file of this pipeline; an empty mapping for other files."""
    if not path.endswith(".safetensors"):
        return {}
    try:
        metadata = storage.read_metadata(path)
    except InputError:
        return {}
    if metadata.get("kind") == sets.KIND:
        sets.check_metadata(metadata, path)
    return metadata


def _channels_first(images: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    channels, height, width = shape
    if images.dim() == 3 and channels == 1:
        images = images.unsqueeze(1)
    if images.dim() == 4 and tuple(images.shape[1:]) == (height, width, channels) != shape:
        return images.permute(0, 3, 1, 2)
    return images


def _network_input(
    images: torch.Tensor,
    dataset: Dataset,
    where: str,
    scale: str | None,
    mean: list[float] | None,
    std: list[float] | None,
    restandardize: bool,
    metadata: dict,
) -> torch.Tensor:
    pictures = Path(where).is_dir()
    if pictures and scale not in (None, "uint8"):
        raise InputError(f"{where}: scale is `{scale}`, but pictures are uint8; leave `scale` out")
    stored = metadata.get("values")
    said = f"{where}: the file says that its values are `{stored}`"
    if stored is not None and scale not in (None, stored):
        raise InputError(f"{said}, but scale is `{scale}`; leave `scale` out")
    if stored is not None and (stored == "whitened") != (dataset.whitening is not None):
        remedy = "set" if stored == "whitened" else "leave out"
        raise InputError(f"{said}; {remedy} `preprocessing`")
    if stored not in (None, "standardized") and mean is not None:
        raise InputError(f"{said}; leave out `mean` and `std`, which are for standardised images")
    scale = scale or ("uint8" if pictures else stored or "standardized")
    if "preprocessing" in metadata:
        sets.require_preprocessing(metadata["preprocessing"], dataset, where)
    if dataset.whitening is not None:
        if pictures:
            raise InputError(
                f"{where}: pictures are not whitened; leave `preprocessing` out of the entry"
            )
        return images.float()
    if mean is not None and std is not None:
        for name, values in (("mean", mean), ("std", std)):
            if len(values) != len(dataset.mean):
                raise InputError(
                    f"{where}: {name} has {len(values)} values for images of {len(dataset.mean)} "
                    "channels"
                )
        theirs = {"kind": "standardize", "mean": mean, "std": std}
        if not restandardize:
            try:
                sets.require_preprocessing(theirs, dataset, where)
            except InputError as error:
                raise InputError(f"{error}; set restandardize: true to convert it") from error
    converted = None
    if restandardize:
        converted = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
    plausibility.check_pixels(images.float(), scale, converted, dataset, where)
    if scale == "uint8":
        return dataset.standardize(images)
    images = images.float()
    if scale == "unit":
        return dataset.standardize(images * 255)
    if not restandardize:
        return images
    unit = images * torch.tensor(std).view(-1, 1, 1) + torch.tensor(mean).view(-1, 1, 1)
    return dataset.standardize(unit * 255)


def _labels(labels: torch.Tensor, count: int, dataset: Dataset, where: str) -> torch.Tensor:
    """Return the file's labels as int64 [n], or as its rows [n, classes]."""
    classes = len(dataset.classes)
    if labels.dim() == 2 and tuple(labels.shape) == (count, classes) != (count, 1):
        return labels if labels.is_floating_point() else labels.float()
    if labels.dim() == 2 and labels.shape[1] != 1:
        raise InputError(
            f"{where}: labels of shape {tuple(labels.shape)}; expected {(count,)} or "
            f"{(count, classes)}"
        )
    if labels.dim() > 2:
        raise InputError(f"{where}: labels of shape {tuple(labels.shape)}; expected {(count,)}")
    labels = labels.flatten()
    if len(labels) != count:
        raise InputError(f"{where}: {len(labels)} labels for {count} images")
    whole = labels.long()
    if labels.is_floating_point() and not torch.equal(whole.to(labels.dtype), labels):
        wrong = labels[whole.to(labels.dtype) != labels][0]
        raise InputError(f"{where}: a label is {float(wrong):g}; expected whole numbers")
    if not 0 <= int(whole.min()) <= int(whole.max()) < classes:
        raise InputError(
            f"{where}: labels from {int(whole.min())} to {int(whole.max())}; the dataset has "
            f"classes 0 to {classes - 1}"
        )
    return whole


def _class_order(
    classes: list[str] | None, file_classes: tuple[str, ...] | None, dataset: Dataset, where: str
) -> list[int]:
    """Return the dataset's class for each label number of the file."""
    position = {name: number for number, name in enumerate(dataset.classes)}
    if file_classes is not None and set(file_classes) == set(position):
        if classes is not None and tuple(classes) != file_classes:
            raise InputError(
                f"{where}: names its classes, in another order than `classes`; remove `classes`"
            )
        return [position[name] for name in file_classes]
    if classes is None:
        if file_classes is not None:
            raise InputError(
                f"{where}: was made for the classes {', '.join(file_classes[:3])}, ..., not for "
                f"those of {dataset.name} ({', '.join(dataset.classes[:3])}, ...); if they mean "
                "the same, list the dataset's names in the order of the file as `classes`"
            )
        return list(range(len(position)))
    for name in classes:
        if name not in position:
            raise InputError(f"{where}: classes: {unknown('class', name, position)}")
    if len(classes) != len(position):
        raise InputError(
            f"{where}: `classes` has {len(classes)} names; {dataset.name} has {len(position)}"
        )
    return [position[name] for name in classes]
