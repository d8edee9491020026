"""Reading of condensed sets from files of other programs.

No code in a file is run: npz and npy are read without pickles, PyTorch files with weights-only
loading, and pictures by ``files.image_files``.
"""

import pickle
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from safetensors.torch import load_file
from torch.utils.data import TensorDataset

from condensation.core.errors import InputError
from condensation.data.datasets import Dataset
from condensation.files import archives, image_files

IMAGE_NAMES = ("images", "image", "image_syn", "data", "x", "arr_0")
LABEL_NAMES = ("labels", "label", "label_syn", "targets", "target", "y", "arr_1")
_ACCEPTED = (
    f"a mapping with `images` (or one of {', '.join(IMAGE_NAMES[1:])}) and `labels` (or one of "
    f"{', '.join(LABEL_NAMES[1:])}), a pair (images, labels), or images alone"
)
VALUES = ("unit", "uint8", "standardized", "whitened")  # what the numbers of an export mean
_PYTORCH = (".pt", ".pth", ".pkl", ".bin", ".ckpt", ".tar")  # usual endings of PyTorch files
_NUMBERS = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
# Types that weights-only loading may rebuild: numpy arrays and scalars, and TensorDataset.
_VALUES: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *(np.dtype, np.ndarray, TensorDataset),
    *(type(np.dtype(kind)) for kind in _NUMBERS),
    *(
        (getattr(multiarray, name), f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
]


def read(
    path: str | Path, dataset: Dataset, run: int | None = None
) -> tuple[torch.Tensor, torch.Tensor | None, dict[str, Any]]:
    """Return images and labels of a set, as stored, and what the file says of them.

    Parameters
    ----------
    path : a file, or a folder of pictures ``<class>/*``.
    dataset : gives the image shape for a folder of pictures.
    run : which of several runs in the file to read, from 0.

    Returns
    -------
    images : of any real dtype and in the layout of the file; uint8 [n, C, H, W] for a folder.
    labels : of any shape, or None; int64 [n] positions in the class names for a folder.
    facts : ``classes``, the class names in the order of the labels (sorted for a folder);
        ``values``, one of ``VALUES``; ``factor``. Each only where the file holds it; an npz or
        PyTorch file of ``condensation export`` holds the first two.

    Raises
    ------
    InputError
        If the file cannot be read or holds no set, or holds several runs and ``run`` is None.
    """
    path = Path(path)
    if path.is_dir():
        _choose([None], run, path)
        pictures, positions, classes = _pictures(path, dataset)
        return pictures, positions, {"classes": classes}
    content = load(path)
    facts: dict[str, Any] = {}
    if isinstance(content, TensorDataset):
        content = getattr(content, "tensors", None)
    if isinstance(content, dict) and isinstance(content.get("data"), (list, tuple)):
        content = content["data"]  # files of DC, DSA and DM hold one pair per run
    if isinstance(content, (list, tuple)) and content and all(map(_is_pair, content)):
        content = _choose(content, run, path)
    else:
        _choose([None], run, path)
    if isinstance(content, dict):
        facts = _facts(content)
        images, labels = _named(content, IMAGE_NAMES, path), _named(content, LABEL_NAMES, path)
        if images is None:
            names = sorted(key for key in content if isinstance(key, str))[:10]
            raise InputError(f"{path}: holds {names}; expected {_ACCEPTED}")
    elif isinstance(content, (list, tuple)):
        if len(content) != 2:
            raise InputError(f"{path}: holds {len(content)} items; expected {_ACCEPTED}")
        images, labels = content
    else:
        images, labels = content, None
    return tensor(images, path), None if labels is None else tensor(labels, path), facts


def _facts(content: dict[Any, Any]) -> dict[str, Any]:
    """Return class names, kind of the values and factor; not those of the name but another kind."""
    plain = {
        key: value.tolist() if isinstance(value, (np.ndarray, torch.Tensor)) else value
        for key, value in content.items()
        if key in ("classes", "values", "factor")
    }
    classes, factor = plain.get("classes"), plain.get("factor")
    facts: dict[str, Any] = {}
    if isinstance(classes, (list, tuple)) and all(isinstance(name, str) for name in classes):
        facts["classes"] = tuple(classes)
    if plain.get("values") in VALUES:
        facts["values"] = plain["values"]
    if isinstance(factor, int) and factor > 0:
        facts["factor"] = factor
    return facts


def read_labels(path: str | Path) -> torch.Tensor:
    """Return the labels in a file of labels only; raises InputError as ``read`` does."""
    path = Path(path)
    content = load(path)
    if isinstance(content, dict):
        names = sorted(key for key in content if isinstance(key, str))[:10]
        labels = _named(content, LABEL_NAMES, path)
        content = content.get("arr_0") if labels is None else labels
        if content is None:
            raise InputError(f"{path}: holds {names}; expected one of {', '.join(LABEL_NAMES)}")
    return tensor(content, path)


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and getattr(value[0], "ndim", 0) > 1


def _choose(runs: Sequence[Any], run: int | None, path: Path) -> Any:
    if run is None and len(runs) > 1:
        raise InputError(
            f"{path}: holds {len(runs)} runs; say which: `run: 0` to `run: {len(runs) - 1}`, or "
            f"`run: seed` with `condensation_seeds: {len(runs)}` to make each a set"
        )
    if not 0 <= (run or 0) < len(runs):
        raise InputError(f"{path}: there is no run {run}; it holds {len(runs)}, counted from 0")
    return runs[run or 0]


def _named(content: dict[Any, Any], names: tuple[str, ...], path: Path) -> Any:
    present = [name for name in names if name in content]
    if len(present) > 1 and present[0] != names[0]:
        raise InputError(
            f"{path}: holds {' and '.join(present)}; rename the right one to {names[0]!r}"
        )
    return content[present[0]] if present else None


def load(path: Path) -> Any:
    """Return the content of a file: an array, or mappings and sequences of arrays.

    Raises
    ------
    InputError
        If the file is damaged, needs code to be run, or unpacks to far more than its size.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    ending = path.suffix.lower()
    try:
        if ending != ".safetensors" and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                archives.check_unpacked(path, sum(member.file_size for member in packed.infolist()))
        if ending == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        if ending == ".npy":  # memory-mapped: a false size in the header takes no memory
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if ending == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_VALUES):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if ending not in _PYTORCH:
            raise InputError(
                f"{path}: not a readable file; expected .npz, .npy, .safetensors or a PyTorch file "
                f"({', '.join(_PYTORCH)})"
            ) from error
        raise InputError(
            f"{path}: holds more than tensors and arrays, and running code from a file is refused; "
            f"save only these: {_ACCEPTED}"
        ) from error
    except InputError:
        raise
    except Exception as error:  # readers raise many kinds on damaged files
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise InputError(f"{path}: not a readable {path.suffix} file ({reason})") from error


def tensor(value: Any, path: str | Path) -> torch.Tensor:
    """Return an array, a tensor, or a list of numbers or tensors as a plain tensor on the CPU.

    Raises
    ------
    InputError
        For anything else, and for a tensor larger than its file can hold.
    """
    if isinstance(value, (list, tuple)) and value:
        if all(isinstance(entry, (int, float)) for entry in value):
            value = np.asarray(value)
        elif all(isinstance(entry, torch.Tensor) and entry.dim() for entry in value):
            value = _stacked(value, path)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        # strides of 0 make any shape of one number
        archives.check_unpacked(path, value.size * value.itemsize)
        value = _from_numpy(value)
    if not isinstance(value, torch.Tensor):
        raise InputError(f"{path}: holds {type(value).__name__}; expected {_ACCEPTED}")
    plain = value.layout == torch.strided and value.device.type == "cpu"
    if not plain or value.is_nested or value.is_quantized or value.is_complex():
        raise InputError(f"{path}: holds a tensor that is not a plain array of real numbers")
    archives.check_unpacked(path, value.numel() * value.element_size())
    return value.detach()


def _stacked(tensors: Sequence[torch.Tensor], path: str | Path) -> torch.Tensor:
    archives.check_unpacked(path, sum(part.numel() * part.element_size() for part in tensors))
    try:
        return torch.stack([part.detach() for part in tensors])
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise InputError(
            f"{path}: holds a list of tensors of different shapes ({error})"
        ) from error


def _from_numpy(array: np.ndarray) -> torch.Tensor:
    """Return a tensor; torch has native byte order only, and fewer dtypes than numpy."""
    kind = array.dtype.newbyteorder("=")
    if kind.name not in _NUMBERS:
        kind = np.dtype("float64" if kind.kind == "f" else "int64")
    return torch.from_numpy(np.array(array, dtype=kind, order="C"))


def _pictures(folder: Path, dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """Return the pictures ``<class>/*`` sorted by class and file name."""
    channels, height, width = dataset.shape
    by_class: dict[str, list[np.ndarray]] = {}
    for name, content in archives.members(folder, archives.is_picture):
        parts = name.split("/")
        if len(parts) != 2:
            raise InputError(f"{folder}: {name!r} is not at <class>/<picture>")
        image = image_files.decode(content, f"{folder}/{name}", channels).pixels
        if image.shape[1:] != (height, width):
            raise InputError(
                f"{folder}/{name}: {image.shape[1]} x {image.shape[2]} pixels; {dataset.name} has "
                f"{height} x {width} (height x width)"
            )
        by_class.setdefault(parts[0], []).append(image)
    if not by_class:
        raise InputError(f"{folder}: no pictures at <class>/<picture>")
    names = tuple(sorted(by_class))
    images = np.stack([image for name in names for image in by_class[name]])
    counts = torch.tensor([len(by_class[name]) for name in names])
    return torch.from_numpy(images), torch.arange(len(names)).repeat_interleave(counts), names
