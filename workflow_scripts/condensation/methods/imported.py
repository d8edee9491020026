"""Imported: a condensed set made elsewhere.

Reads this pipeline's own files, any safetensors or npz with ``images`` and
``labels``, and PyTorch files as the released codes of the field write them.
PyTorch files are read with weights-only loading: no code in them is run.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from condensation import archives, sets, storage
from condensation.contract import Problem
from condensation.errors import InputError
from condensation.sets import Condensed

# The field's files keep accuracies beside the images, as numpy scalars: values, not code.
_NUMPY_SCALARS = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64")),
    *(
        (np._core.multiarray.scalar, f"numpy.{core}.multiarray.scalar")
        for core in ("core", "_core")
    ),
]
_ACCEPTED = "a mapping with `images` (and `labels`), a pair (images, labels), or images alone"


def condense(
    problem: Problem,
    *,
    path: str,
    labels_path: str | None,
    scale: str,
    mean: list[float] | None,
    std: list[float] | None,
    restandardize: bool,
) -> Condensed:
    """Return the set in the file, as this pipeline's images and labels.

    Images of a whitened dataset (``preprocessing`` of the config entry) are taken as they are.

    Images may be N x C x H x W or N x H x W x C; labels hard, or one row per
    image, of which the largest entry counts; without labels, class order with
    IPC images each is assumed.

    Raises InputError for a file that cannot be read, and for a wrong shape,
    label range or preprocessing.
    """
    images, labels = _read(Path(path))
    if labels_path:
        labels = _tensor(_load(Path(labels_path)), labels_path)
    images = _channels_first(images, problem.shape)
    expected = (problem.classes * problem.ipc, *problem.shape)
    if tuple(images.shape) != expected:
        raise InputError(
            f"{path}: images of shape {tuple(images.shape)}; expected {expected}: {problem.ipc} "
            f"per class of {problem.dataset.name}, {problem.classes} classes"
        )
    images = _standardized(images, problem, path, scale, mean, std, restandardize)
    labels = problem.labels if labels is None else labels
    if labels.dim() == 2:
        if tuple(labels.shape) != (len(images), problem.classes):
            raise InputError(
                f"{path}: labels of shape {tuple(labels.shape)}; expected "
                f"{(len(images),)} or {(len(images), problem.classes)}"
            )
        labels = labels.argmax(1)
    labels = labels.flatten().long()
    if len(labels) != len(images):
        raise InputError(f"{path}: {len(labels)} labels for {len(images)} images")
    return Condensed(images, labels)


def images_per_class(path: str, classes: int) -> int:
    """Return how many images per class the set in a file has.

    Raises InputError if their number is no multiple of ``classes``.
    """
    count = len(_read(Path(path))[0])
    if not count or count % classes:
        raise InputError(f"{path}: {count} images do not divide into {classes} classes")
    return count // classes


def _read(path: Path) -> tuple[torch.Tensor, torch.Tensor | None]:
    content = _load(path)
    if isinstance(content, dict) and isinstance(content.get("data"), list) and content["data"]:
        content = content["data"][-1]  # DC's files: one entry per run, the last is used
    if isinstance(content, dict):
        if "images" not in content:
            names = sorted(key for key in content if isinstance(key, str))[:10]
            raise InputError(f"{path}: holds {names}; expected {_ACCEPTED}")
        labels = content.get("labels")
        return _tensor(content["images"], path), (None if labels is None else _tensor(labels, path))
    if isinstance(content, (list, tuple)):
        if len(content) != 2:
            raise InputError(f"{path}: holds {len(content)} things; expected {_ACCEPTED}")
        return _tensor(content[0], path), _tensor(content[1], path)
    return _tensor(content, path), None


def _load(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        if path.suffix != ".safetensors" and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                archives.check_unpacked(path, sum(one.file_size for one in packed.infolist()))
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: holds more than tensors, and running code from a file is refused; save "
            f"only tensors: {_ACCEPTED}"
        ) from error
    except InputError:
        raise
    except Exception as error:  # a damaged file makes the readers raise anything
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise InputError(f"{path}: not a readable {path.suffix} file ({reason})") from error


def _tensor(value: Any, path: Path | str) -> torch.Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        value = torch.from_numpy(value)
    if not isinstance(value, torch.Tensor):
        raise InputError(f"{path}: holds {type(value).__name__}; expected {_ACCEPTED}")
    plain = value.layout == torch.strided and value.device.type == "cpu"
    if not plain or value.is_nested or value.is_quantized or value.is_complex():
        raise InputError(f"{path}: holds a tensor that is no plain array of real numbers")
    # one number may stand for any shape, by strides of 0
    archives.check_unpacked(path, value.numel() * value.element_size())
    return value.detach()


def _channels_first(images: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    channels, height, width = shape
    if images.dim() == 4 and tuple(images.shape[1:]) == (height, width, channels) != shape:
        return images.permute(0, 3, 1, 2)
    return images


def _standardized(
    images: torch.Tensor,
    problem: Problem,
    where: str,
    scale: str,
    mean: list[float] | None,
    std: list[float] | None,
    restandardize: bool,
) -> torch.Tensor:
    dataset = problem.dataset
    if where.endswith(".safetensors"):
        try:
            own = storage.read_metadata(where)
        except InputError:
            own = {}
        if "preprocessing" in own:
            sets.require_preprocessing(own["preprocessing"], dataset, where)
    images = images.float()
    if dataset.whitening is not None:
        return images
    low, high = float(images.min()), float(images.max())
    spread = f"its pixels run from {low:.3g} to {high:.3g}"
    if scale == "unit":
        if low < 0 or high > 1:
            raise InputError(f"{where}: scale is `unit`, but {spread}")
        return dataset.standardize(images * 255)
    if scale == "uint8":
        if low < 0 or high > 255 or high <= 1:
            raise InputError(f"{where}: scale is `uint8`, but {spread}")
        return dataset.standardize(images)
    if low >= 0:
        right = "unit" if high <= 1 else "uint8"
        raise InputError(
            f"{where}: scale is `standardized`, but {spread}, and standardised images have "
            f"negative values; set scale: {right}"
        )
    if mean is None:
        return images
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
        return images
    unit = images * torch.tensor(std).view(-1, 1, 1) + torch.tensor(mean).view(-1, 1, 1)
    return dataset.standardize(unit * 255)
