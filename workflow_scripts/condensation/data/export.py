"""Condensed sets in forms that other programs read: pictures by class, npz, PyTorch, safetensors.

`algorithm: imported` reads each form back; ``import_options`` says with which options.
"""

import contextlib
import csv
import io
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from condensation.core import storage, tensor_headers
from condensation.core.errors import InputError
from condensation.data import datasets, sets
from condensation.data import whitening as whitenings
from condensation.data.datasets import Dataset
from condensation.data.pixels import as_uint8
from condensation.data.set_files import VALUES
from condensation.data.sets import Condensed
from condensation.files.archives import CHOSEN, MANIFEST

FORMS = ("folder", "npz", "pt", "safetensors")
KIND = "exported set"
_AT_ONCE = 1000  # images in float64 at a time


@dataclass(frozen=True)
class LoadedSet:
    """A condensed set with what turns its images into pixels.

    Attributes
    ----------
    path : the file of the set.
    condensed : images, labels and positions.
    dataset : class names, constants and whitening of the set. It has the real images and file
        names if the dataset file was read, and none (n is 0) otherwise.
    metadata : that of the set.
    """

    path: Path
    condensed: Condensed
    dataset: Dataset
    metadata: dict[str, Any]

    @property
    def hard_labels(self) -> torch.Tensor:
        """The class of each image, int64 [n]; of soft labels, that of the largest score."""
        labels = self.condensed.labels
        return labels.argmax(1) if labels.dim() == 2 else labels

    @property
    def has_real_images(self) -> bool:
        """Whether its images are training images that the dataset holds."""
        return self.condensed.indices is not None and len(self.dataset.train_labels) > 0


@dataclass(frozen=True)
class Exported:
    """The result of ``write``.

    Attributes
    ----------
    path : the folder or file.
    chosen : the list of the selected real images, or None if the set has no positions.
    outside : number of values more than half a step of 1/255 outside [0, 1]: ``uint8`` clips
        them, ``unit`` keeps them. 0 for the other values.
    total : number of all values of the images.
    """

    path: Path
    chosen: Path | None
    outside: int
    total: int


# --- reading --------------------------------------------------------------------------------------


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Return the metadata of a condensed set that has images.

    Raises
    ------
    InputError
        If the file is missing or is no condensed set, or if its method failed.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: a folder; expected a file, condensed.safetensors")
    try:
        metadata = storage.read_metadata(path)
    except InputError as error:
        raise InputError(
            f"{error}. A condensed set is a condensed.safetensors of this pipeline"
        ) from error
    try:
        sets.check_metadata(metadata, path)
    except InputError as error:
        raise InputError(f"{error}; expected a condensed.safetensors of this pipeline") from error
    if (status := metadata.get("status", "ok")) != "ok":
        remedy = "more memory" if status == "oom" else "other options"
        raise InputError(
            f"{path}: holds no images: its method ended with the status {status} at iteration "
            f"{metadata.get('iteration')} ({metadata.get('cause')}). Export another set, or make "
            f"this one again with {remedy}: snakemake --forcerun {path}"
        )
    return metadata


def load(
    path: str | Path,
    dataset_path: str | Path | None = None,
    whitening_path: str | Path | None = None,
) -> LoadedSet:
    """Return a condensed set with what turns its images into pixels.

    Parameters
    ----------
    path : the condensed.safetensors.
    dataset_path : the dataset.safetensors. Only `whole` cannot do without; a selection has no
        file names without it. Mean, std and class names come from the set where it has them.
    whitening_path : the whitening of a whitened set.

    Raises
    ------
    InputError
        If a file is damaged, missing or another kind, does not belong to the set, or if a needed
        one is None; if a pixel is NaN or infinite.
    """
    path, metadata = Path(path), read_metadata(path)
    whitening, preprocessing = None, metadata["preprocessing"]
    if preprocessing["kind"] != "standardize":
        if whitening_path is None:
            raise InputError(
                f"{path}: its images are whitened ({preprocessing['kind']}), and the file of the "
                f"whitening is not at its place in the results folder, {metadata['dataset']}/"
                f"whitening/{preprocessing['kind']}.safetensors; name it with --whitening"
            )
        whitening = whitenings.load(whitening_path)
    if dataset_path is not None:
        dataset = datasets.load(dataset_path)
    elif "images" in (tensor_headers.read(path) or {}):
        dataset = _without_images(metadata, whitening)
    else:
        raise InputError(
            f"{path}: holds positions of training images only, and the dataset with their pixels "
            f"is not at its place in the results folder, {metadata['dataset']}/"
            "dataset.safetensors; name it with --dataset"
        )
    dataset = replace(dataset, whitening=whitening)
    condensed, metadata = sets.load(path, dataset)
    assert condensed is not None  # `read_metadata` refuses failed sets
    condensed = condensed.formed()
    if whitening is None:
        mean, std = (tuple(preprocessing[name]) for name in ("mean", "std"))
        dataset = replace(dataset, mean=mean, std=std)
    loaded = LoadedSet(path, condensed, dataset, metadata)
    if loaded.has_real_images:
        _check_positions(loaded, dataset_path)
    return loaded


def _without_images(metadata: dict[str, Any], whitening: whitenings.Whitening | None) -> Dataset:
    """Return a dataset with the class names and constants of a set, and no images."""
    images = torch.zeros(0, *metadata["shape"], dtype=torch.uint8)
    labels = torch.zeros(0, dtype=torch.int64)
    if whitening is not None:
        mean, std = whitening.channel_mean, whitening.channel_std
    else:
        mean, std = (tuple(metadata["preprocessing"][name]) for name in ("mean", "std"))
    name, classes = metadata["dataset"], tuple(metadata["classes"])
    return Dataset(name, classes, images, labels, images, labels, mean, std)


def _check_positions(loaded: LoadedSet, dataset_path: str | Path | None) -> None:
    """Raise InputError unless the images and labels of the set are those at its positions."""
    if not sets.is_at_positions(loaded.condensed, loaded.dataset):
        raise InputError(
            f"{loaded.path}: holds other images than those at its positions in {dataset_path}; "
            "name the dataset file from which the set was made with --dataset"
        )


# --- values ---------------------------------------------------------------------------------------


def _unit_parts(loaded: LoadedSet) -> Iterator[torch.Tensor]:
    """Yield the images on [0, 1], not clipped, float64 [m, C, H, W], in parts.

    Real images are read from the dataset if it is there, where they are exact.
    """
    condensed, dataset = loaded.condensed, loaded.dataset
    if loaded.has_real_images:
        assert condensed.indices is not None
        for positions in condensed.indices.split(_AT_ONCE):
            yield dataset.train_images[positions].double() / 255
        return
    assert condensed.images is not None
    mean, std = _constants(dataset, torch.float64)
    for part in condensed.images.split(_AT_ONCE):
        if dataset.whitening is not None:
            yield dataset.whitening.invert(part).double()
        else:
            yield part.double() * std + mean


def _constants(dataset: Dataset, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = (torch.tensor(x, dtype=dtype).view(-1, 1, 1) for x in (dataset.mean, dataset.std))
    return mean, std


def _outside(unit: torch.Tensor) -> int:
    steps = unit.mul(255).round()
    return int(((steps < 0) | (steps > 255)).sum())


def images_as(loaded: LoadedSet, values: str) -> tuple[torch.Tensor, int]:
    """Return the images of a set in other values.

    Parameters
    ----------
    values : ``unit``, on [0, 1] but not clipped; ``uint8``, rounded and clipped to 0 .. 255;
        ``standardized``, with mean and std; ``whitened``, the numbers of a whitened set.

    Returns
    -------
    images : [n, C, H, W], uint8 for ``uint8`` and float32 otherwise.
    outside : as in ``Exported``.

    Raises
    ------
    InputError
        For ``whitened`` and a set that is not.
    """
    condensed, dataset = loaded.condensed, loaded.dataset
    whitened = dataset.whitening is not None
    if values == "whitened" and not whitened:
        raise InputError(
            f"{loaded.path}: its images are standardised, not whitened; leave --values out, or "
            f"take one of {', '.join(VALUES[:-1])}"
        )
    if condensed.images is not None and values == ("whitened" if whitened else "standardized"):
        return condensed.images.clone(), 0
    mean, std = _constants(dataset, torch.float64)
    dtype = torch.uint8 if values == "uint8" else torch.float32
    images = torch.empty(len(condensed.labels), *dataset.shape, dtype=dtype)
    outside = 0
    for into, unit in zip(images.split(_AT_ONCE), _unit_parts(loaded), strict=True):
        if values == "standardized":
            into.copy_((unit - mean) / std)
            continue
        outside += _outside(unit)
        into.copy_(as_uint8(unit) if values == "uint8" else unit)
    return images, outside


def with_hard_labels(loaded: LoadedSet) -> LoadedSet:
    """Return the set with the class of the largest score in place of soft labels."""
    return replace(loaded, condensed=replace(loaded.condensed, labels=loaded.hard_labels))


# --- writing --------------------------------------------------------------------------------------


def write(loaded: LoadedSet, into: str | Path, form: str, values: str | None = None) -> Exported:
    """Write a set as a folder of pictures, or as one file of arrays.

    A folder holds ``<class>/<number>.png`` (uint8) and ``manifest.csv``, one row per image. A file
    holds ``images`` [n, C, H, W], ``labels`` (int64 [n], or float32 [n, classes] for soft labels),
    ``mean`` and ``std`` (float32 [C]), the class names and the kind of the values. Names and kind
    are in the metadata of a safetensors file.

    For a set of real images, ``chosen.csv`` (in the folder) or ``<name>.chosen.csv`` (beside the
    file) lists position, class and file of each image, in the order of the set.

    Nothing is left if an error is raised.

    Parameters
    ----------
    into : the folder, or the file; a missing ending (``.npz``) is added.
    form : one of ``FORMS``.
    values : one of ``VALUES``; None is ``uint8`` for a folder and else ``unit``.

    Raises
    ------
    InputError
        If there is something at ``into``, if the set has soft labels and the form is a folder, or
        if the values or channels do not fit the form.
    OSError
        If the disk is full or refuses it.
    """
    target = _free_path(Path(into), form)
    if form == "folder":
        return _write_folder(loaded, target, values)
    values = values or "unit"
    images, outside = images_as(loaded, values)
    chosen = chosen_table(loaded)
    list_path = None if chosen is None else target.with_suffix(f".{CHOSEN}")
    with contextlib.ExitStack() as stack:
        if chosen is not None and list_path is not None:
            if list_path.exists() and list_path.read_bytes() != chosen.encode():
                raise InputError(
                    f"{list_path}: exists, with other images than those of {loaded.path}; "
                    "choose another name for --into, or remove it"
                )
            # renamed after the set: if the set cannot be written, the list is not left alone
            stack.enter_context(storage.atomic(list_path)).write_bytes(chosen.encode())
        _write_arrays(loaded, target, form, values, images)
    return Exported(target, list_path, outside, images.numel())


def _free_path(into: Path, form: str) -> Path:
    """Return the path to write, with its ending; raises InputError if something is there."""
    if form != "folder":
        if into.name and into.suffix.lower() != f".{form}":
            into = into.with_name(f"{into.name}.{form}")
        if into.is_dir():
            raise InputError(f"{into}: a folder; name a file, such as {into / f'set.{form}'}")
        if into.exists():
            raise InputError(f"{into}: exists; choose another name for --into, or remove it")
    elif into.exists() and not into.is_dir():
        raise InputError(f"{into}: a file; --to folder needs a new or an empty folder")
    elif into.is_dir() and any(into.iterdir()):
        raise InputError(
            f"{into}: exists and is not empty; choose another folder for --into, or remove it"
        )
    return into


def _write_arrays(
    loaded: LoadedSet, path: Path, form: str, values: str, images: torch.Tensor
) -> None:
    dataset = loaded.dataset
    tensors = {"images": images, "labels": loaded.condensed.labels.clone()}
    for name in ("mean", "std"):
        tensors[name] = torch.tensor(getattr(dataset, name), dtype=torch.float32)
    classes = list(dataset.classes)
    if form == "safetensors":
        storage.write_tensors(path, tensors, _metadata(loaded, values))
        return
    # an open file: torch writes the name of a path into the file, numpy adds an ending to it
    with storage.atomic(path) as temporary, temporary.open("wb") as file:
        if form == "npz":
            arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
            np.savez(file, classes=np.array(classes), values=np.array(values), **arrays)
        else:
            torch.save({**tensors, "classes": classes, "values": values}, file)


def _metadata(loaded: LoadedSet, values: str) -> dict[str, Any]:
    dataset = loaded.dataset
    metadata = {
        "kind": KIND,
        "values": values,
        "labels": "soft" if loaded.condensed.labels.dim() == 2 else "hard",
        "classes": list(dataset.classes),
        "set": {
            name: loaded.metadata[name]
            for name in ("dataset", "method", "ipc", "seed", "iterations", "content")
            if name in loaded.metadata
        },
    }
    if values == "standardized":
        metadata["preprocessing"] = replace(dataset, whitening=None).preprocessing
    elif values == "whitened":
        metadata["preprocessing"] = dataset.preprocessing
    return metadata


def _write_folder(loaded: LoadedSet, folder: Path, values: str | None) -> Exported:
    if values not in (None, "uint8"):
        raise InputError(
            f"--values {values}: pictures are uint8; leave --values out, or write the numbers "
            "with --to npz, pt or safetensors"
        )
    if loaded.condensed.labels.dim() == 2:
        raise InputError(
            f"{loaded.path}: has soft labels, {len(loaded.dataset.classes)} scores per image. A "
            "folder has one class per image, so all scores but the largest would be lost: add "
            "--hard to accept this, or keep them with --to npz, pt or safetensors"
        )
    channels = loaded.dataset.shape[0]
    if channels not in (1, 3):
        raise InputError(
            f"{loaded.path}: images of {channels} channels; pictures have 1 (grey) or 3 (RGB). "
            "Use --to npz, pt or safetensors"
        )
    outside = total = 0
    with _new_folder(folder) as temporary:
        paths = _picture_paths(loaded)
        for name in {Path(path).parent for path in paths}:
            (temporary / name).mkdir()
        rest = iter(paths)
        for unit in _unit_parts(loaded):
            outside, total = outside + _outside(unit), total + unit.numel()
            for pixels in as_uint8(unit).numpy():
                picture = pixels[0] if channels == 1 else pixels.transpose(1, 2, 0)
                Image.fromarray(np.ascontiguousarray(picture)).save(temporary / next(rest))
        classes, labels = loaded.dataset.classes, loaded.condensed.labels.tolist()
        rows = [
            (path, classes[label], label, *source)
            for path, label, source in zip(paths, labels, _sources(loaded), strict=True)
        ]
        header = ("file", "class", "label", "source_position", "source_file")
        (temporary / MANIFEST).write_bytes(_table(header, rows).encode())
        if (chosen := chosen_table(loaded)) is not None:
            (temporary / CHOSEN).write_bytes(chosen.encode())
    return Exported(folder, None if chosen is None else folder / CHOSEN, outside, total)


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, and rename it to ``folder`` if the block succeeds.

    If the block raises, the temporary folder is removed.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as outer:
        inner = Path(outer, folder.name)
        inner.mkdir()
        yield inner
        inner.replace(folder)


def _picture_paths(loaded: LoadedSet) -> list[str]:
    """Return ``<class>/<number>.png`` of each image; sorted by name, a class is in set order."""
    names, labels = folder_names(loaded.dataset.classes), loaded.condensed.labels
    digits = len(str(int(labels.bincount().max()) - 1))
    numbers = [0] * len(names)
    paths = []
    for label in labels.tolist():
        paths.append(f"{names[label]}/{numbers[label]:0{digits}d}.png")
        numbers[label] += 1
    return paths


def folder_names(classes: Iterable[str]) -> list[str]:
    """Return a folder name for each class: its name, but for what a folder cannot be called.

    Slashes become ``_``, and so does the dot of a hidden name.

    Examples
    --------
    >>> folder_names(["Trouser", "T-shirt/top", ".b", "_b"])
    ['Trouser', 'T-shirt_top', '_b_', '_b']
    """
    classes = list(classes)
    names: list[str] = []
    for name in classes:
        safe = re.sub(r"[/\\\0]|^\.", "_", name)
        # names of other classes, and of the tables in the folder
        taken = {*names, *classes} - {name} | {MANIFEST, CHOSEN}
        while safe in taken:
            safe += "_"
        names.append(safe)
    return names


def _sources(loaded: LoadedSet) -> list[tuple[int | str, str]]:
    """Return position and file name of each image in the training set; empty for learned ones.

    Images of official archives have no file names.
    """
    positions = loaded.condensed.indices
    if positions is None:
        return [("", "")] * len(loaded.condensed.labels)
    files = loaded.dataset.files.get("train")
    return [(n, _text(files[n]) if files else "") for n in positions.tolist()]


def _text(name: str) -> str:
    r"""Return a file name as valid UTF-8, with other bytes as ``\xe9``; else unchanged."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def chosen_table(loaded: LoadedSet) -> str | None:
    """Return the table of the selected real images; None if the set has no positions."""
    if loaded.condensed.indices is None:
        return None
    classes, labels = loaded.dataset.classes, loaded.hard_labels.tolist()
    rows = [
        (position, classes[label], file)
        for label, (position, file) in zip(labels, _sources(loaded), strict=True)
    ]
    return _table(("position", "class", "file"), rows)


def _table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


# --- reading back ---------------------------------------------------------------------------------


def import_options(loaded: LoadedSet, form: str, values: str | None) -> dict[str, Any] | None:
    """Return the options with which `algorithm: imported` reads the exported set back.

    None if it cannot, because the classes have different numbers of images.
    """
    labels, classes = loaded.condensed.labels, loaded.dataset.classes
    if labels.dim() == 1 and len(set(labels.bincount(minlength=len(classes)).tolist())) > 1:
        return None
    if form == "folder":
        folders = folder_names(classes)
        if folders == list(classes):
            return {}
        return {"classes": [name for _, name in sorted(zip(folders, classes, strict=True))]}
    if values == "whitened":
        return {"preprocessing": loaded.dataset.preprocessing["kind"]}
    return {} if values == "standardized" else {"scale": values or "unit"}
