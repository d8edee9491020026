"""The pipeline in four functions, without a workflow.

``load_dataset`` reads real images, ``condense`` makes a condensed set of them, ``evaluate`` trains
networks on a set and tests them, and ``load_set`` reads a set from a file. Options, defaults and
checks are those of the config, and the computation is that of the workflow's rules: the same
options and seed give the same bytes.
"""

import contextlib
import fcntl
import logging
import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import TensorDataset

from condensation.config import checks, entries, experiments, loading
from condensation.config.methods.imported import literal
from condensation.config.schema import Config
from condensation.core import compute as machine
from condensation.core import progress, storage
from condensation.core.errors import InputError, nearest
from condensation.data import (
    datasets,
    export,
    plausibility,
    published,
    readers,
    reading_report,
    sets,
    whitening,
)
from condensation.data.datasets import Dataset
from condensation.data.pixels import as_uint8
from condensation.data.whitening import Whitening
from condensation.files.archives import CHOSEN
from condensation.files.official import OFFICIAL
from condensation.methods import condensing, contract, experts, imported
from condensation.planning import requests, sizes, trials, worklist
from condensation.training import evaluation, features
from condensation.workflow import grid, inputs, jobs, layout, targets
from condensation.workflow.grid import WHOLE, SetId

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Accuracies", "CondensedSet", "condense", "evaluate", "load_dataset", "load_set"]

log = logging.getLogger("condensation.api")

SET_FILE = Path(layout.CONDENSED).name
WHITENING_FILE = "whitening.safetensors"  # beside the set, if it is whitened
_UNFINISHED = ".condensation-unfinished"  # inputs and checkpoints of a call that goes on
_EXPERTS = re.sub(r"\{\w+\}", "*", layout.EXPERT)
_SOURCES = entries.Dataset.model_fields["source"].annotation.__args__
_NAMES = tuple(source for source in _SOURCES if source != "image_folder")
_AXES = experiments.Axes.model_fields
_NETWORKS = _AXES["evaluation_seeds"].default
_EPOCHS = entries.Evaluation.model_fields["epochs"].default
_ARCHITECTURE, _AUGMENTATION, _OPTIMIZER = (
    _AXES[axis].default[0] for axis in ("architectures", "augmentations", "optimizers")
)


@dataclass(frozen=True, repr=False)
class CondensedSet:
    """A condensed set: images and labels, and where they come from.

    Attributes
    ----------
    images : float32 [n, C, H, W], standardised or whitened as ``metadata["preprocessing"]`` says.
    labels : int64 [n]; float32 [n, classes] for soft labels.
    indices : int64 [n], positions in the training set, if the images are real ones, else None.
    step_size : the learning rate that the method learned, else None.
    metadata : content of the file's header: method, options, seed, classes, preprocessing, source
        digest, checksums of the inputs and more.
    whitening : the whitening of the images, if they are whitened and it is known.
    by_position : whether the file holds the positions alone, as that of ``whole`` does.
    """

    images: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor | None = None
    step_size: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    whitening: Whitening | None = None
    by_position: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        facts = self.metadata
        shape = "x".join(map(str, self.images.shape[1:]))
        return (
            f"CondensedSet({len(self)} images {shape} of {facts['dataset']}, "
            f"{len(self.classes)} classes, {self.label_kind} labels, by {facts.get('method')})"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a label is a position among them."""
        return tuple(self.metadata["classes"])

    @property
    def factor(self) -> int:
        """Each image holds factor^2 training images (multi-formation)."""
        return self.metadata.get("factor", 1)

    @property
    def label_kind(self) -> str:
        """``soft`` for a row of class scores per image, else ``hard``."""
        return "soft" if self.labels.dim() == 2 else "hard"

    def summary(self) -> str:
        """Return images per class, number of classes and kind of labels in words."""
        count, rest = divmod(len(self), len(self.classes))
        images = f"{len(self)} images" if rest else _per_class(count)
        return f"{images}, {len(self.classes)} classes, {self.label_kind} labels"

    def tensor_dataset(self) -> TensorDataset:
        """Return training images and labels as a torch dataset, for a ``DataLoader``.

        A set by multi-formation has ``factor``^2 training images for each of ``images``.

        Examples
        --------
        >>> condensed = condense("digits", method="random", ipc=2)
        >>> image, label = condensed.tensor_dataset()[3]
        >>> image.shape, label
        (torch.Size([1, 8, 8]), tensor(1))
        """
        formed = self._condensed().formed()
        return TensorDataset(formed.images, formed.labels)

    def pixels(self) -> torch.Tensor:
        """Return the images as uint8 pixels [n, C, H, W], clipped to 0 .. 255.

        Raises
        ------
        InputError
            For whitened images whose whitening is not known.
        """
        if self.whitening is not None:
            unit = self.whitening.invert(self.images)
        elif self.metadata["preprocessing"]["kind"] == "standardize":
            constants = self.metadata["preprocessing"]
            mean, std = (torch.tensor(constants[name]).view(-1, 1, 1) for name in ("mean", "std"))
            unit = self.images * std + mean
        else:
            raise InputError(
                f"the images are whitened ({self.metadata['preprocessing']['kind']}) and have no "
                "pixels without their whitening; load the set with its dataset: "
                "load_set(path, dataset)"
            )
        return as_uint8(unit)

    def save(self, path: str | Path) -> None:
        """Write the set to a safetensors file, with the bytes that the workflow would write.

        Raises
        ------
        OSError
            If the disk is full or refuses it.
        """
        tensors = sets.tensors_of(self._condensed())
        if self.by_position:
            del tensors["images"]
        storage.write_tensors(path, tensors, self.metadata)

    def _condensed(self) -> sets.Condensed:
        rest = self.indices, self.step_size, self.factor
        return sets.Condensed(self.images, self.labels, *rest)


def _per_class(count: int) -> str:
    return f"{count} image{'s' * (count != 1)} per class"


@dataclass(frozen=True)
class Accuracies:
    """Test accuracies of networks that were trained on a set.

    Attributes
    ----------
    rows : a row per network: ``seed``, ``status`` (``ok``, ``diverged`` or ``oom``), ``accuracy``
        in percent, ``loss``, accuracy per class and the training curve.
    seconds : wall time to train and test each network.
    options : complete entries of network, augmentation and optimizer, and the protocol.
    """

    rows: list[dict[str, Any]]
    seconds: list[float]
    options: dict[str, Any]

    def __str__(self) -> str:
        count, failed = len(self.accuracies), len(self.rows) - len(self.accuracies)
        if not count:
            return "all " + ", ".join(sorted({row["status"] for row in self.rows}))
        text = f"{self.mean:.2f} ± {self.std:.2f}  ({count} networks"
        return text + (f", {failed} failed)" if failed else ")")

    @property
    def accuracies(self) -> list[float]:
        """Test accuracies in percent, by seed, without the networks that failed."""
        return [row["accuracy"] for row in self.rows if row["status"] == "ok"]

    @property
    def mean(self) -> float:
        """Mean accuracy in percent; NaN if all networks failed."""
        return statistics.fmean(self.accuracies) if self.accuracies else float("nan")

    @property
    def std(self) -> float:
        """Standard deviation over the networks (divided by n), as tables show it; NaN if none."""
        return statistics.pstdev(self.accuracies) if self.accuracies else float("nan")

    def frame(self) -> "pd.DataFrame":
        """Return a data frame with a row per network: seed, status, accuracy, loss, seconds."""
        import pandas as pd  # takes its time, and few calls need it

        names = ("seed", "status", "accuracy", "loss", "calibration_error")
        rows = [{name: row[name] for name in names} for row in self.rows]
        return pd.DataFrame(rows).assign(seconds=self.seconds or None)


@dataclass(frozen=True)
class _LikeOfficial(Dataset):
    """A dataset that remembers the official one whose published hyper-parameters it takes."""

    like: str | None = None


def load_dataset(name_or_path: str | Path, *, name: str | None = None, **options: Any) -> Dataset:
    """Return a dataset of real images: training and test images with labels.

    Parameters
    ----------
    name_or_path : ``digits`` (bundled with scikit-learn), ``cifar10``, ``cifar100``,
        ``fashion_mnist`` or ``tinyimagenet``; or a prepared ``dataset.safetensors``; or a folder,
        tar or zip with ``train/<class>/*`` and ``test/<class>/*``. A folder that has the name of a
        dataset is written ``./digits``.
    name : the name of the dataset in files; by default that of the dataset or file.
    options : options of an entry ``datasets`` of the config. ``path`` is the folder with the
        archives of an official dataset, as distributed; images in a folder take ``image_size``,
        ``test_fraction``, ``channels``, ``background`` and others.

    Returns
    -------
    Dataset
        ``train_images`` and ``test_images``, uint8 [n, C, H, W], ``train_labels`` and
        ``test_labels``, int64 [n], ``classes``, and ``mean`` and ``std`` per channel.

    Raises
    ------
    InputError
        For an unknown name or option, a missing or damaged file, and a class without images.

    Examples
    --------
    >>> dataset = load_dataset("digits")
    >>> dataset.train_images.shape, len(dataset.test_labels), dataset.classes[:3]
    (torch.Size([1442, 1, 8, 8]), 355, ('0', '1', '2'))
    """
    source = str(name_or_path)
    if "source" in options:
        raise InputError("load_dataset: the first argument is the source; leave `source` out")
    if source.endswith(".safetensors"):
        if options:
            raise InputError(
                f"{source}: a prepared dataset takes no options, got {', '.join(sorted(options))}; "
                "they apply when it is prepared"
            )
        dataset = datasets.load(Path(source).expanduser())
        return replace(dataset, name=name) if name else dataset
    options = {key: str(v) if isinstance(v, Path) else v for key, v in options.items()}
    if source in _NAMES:
        entry = options | {"source": source}
    else:
        if not Path(source).expanduser().exists():
            raise InputError(
                f"{source}: no such file or folder, and no dataset of this name (known: "
                f"{', '.join(_NAMES)}){nearest(source, _NAMES)}"
            )
        if "path" in options:
            raise InputError(f"{source}: `path` is for official datasets; this is the path itself")
        entry = options | {"source": "image_folder", "path": source}
    name = name or _as_name(source)
    config = _parse(
        {
            "datasets": {name: entry},
            "methods": {"random": {"algorithm": "random"}},
            "experiments": {"all": {"datasets": [name], "methods": ["random"], "ipc": [1]}},
        },
        "load_dataset",
    )
    checked = config.datasets[name]
    if source != "digits" and not checked.path:
        archives = [archive.name for archive in OFFICIAL[source]]
        raise InputError(
            f"{source}: give `path`, a folder with {', '.join(archives)} as distributed. "
            f"`snakemake downloads` fetches what a config names; the first one comes from "
            f"{OFFICIAL[source][0].urls[0]}"
        )
    dataset = readers.read(name, checked.model_dump(), [checked.path] if checked.path else [])
    datasets.check(dataset)
    # strides as in a file: with one channel, others can change the last bits of a convolution
    plain = torch.contiguous_format
    dataset = replace(
        dataset,
        train_images=dataset.train_images.clone(memory_format=plain),
        test_images=dataset.test_images.clone(memory_format=plain),
    )
    if checked.like:
        content = {part.name: getattr(dataset, part.name) for part in fields(dataset)}
        dataset = _LikeOfficial(**content, like=checked.like)
    if line := reading_report.summary(name, dataset.report):
        log.warning("%s", line)
    return dataset


def condense(
    dataset: Dataset | str | Path,
    method: str = "dm",
    ipc: int = 10,
    seed: int = 0,
    *,
    to: str | Path | None = None,
    like: str | None = None,
    compute: Mapping[str, Any] | None = None,
    **options: Any,
) -> CondensedSet:
    """Return a condensed set of a dataset.

    What the method reads is made first: features, experts or a whitening.

    Parameters
    ----------
    dataset : a dataset, or what ``load_dataset`` takes as its first argument.
    method : an algorithm of the config but ``imported`` (``config/README.md`` lists them), or
        your own function as ``file.py:function``.
    ipc : images per class, 1 or more; ``whole`` does not use it.
    seed : the condensation seed, 0 or more; another seed gives another set.
    to : folder for ``condensed.safetensors``, ``cost.json`` and, for selected real images,
        ``chosen.csv`` with the position, class and file name of each; an interrupted call with
        the same arguments continues there. After an error, trained experts and checkpoints stay
        there for the next call. The set is written last. None writes no file.
    like : the official dataset whose published hyper-parameters are used, for your own images.
    compute : options of the section ``compute`` of the config, such as ``device`` and ``threads``
        (1 by default: another number of threads may change the last bits of a result).
    options : options of the method (``config/README.md``), such as ``iterations``. Where an option
        names an entry of the config (``architecture``, ``augmentation``, ``features``, ``teacher``,
        ``trajectories``), a mapping may stand in its place.

    Returns
    -------
    CondensedSet
        Float32 images [n, C, H, W] and labels, in class order.

    Raises
    ------
    InputError
        For an unknown method or option, a class with fewer than ``ipc`` images, and a folder that
        holds another set or into which another call writes.
    MemoryError
        If memory runs out.
    FloatingPointError
        If the images are no longer finite.

    Examples
    --------
    >>> condense("digits", method="dm", ipc=10, iterations=20)
    CondensedSet(100 images 1x8x8 of digits, 10 classes, hard labels, by dm)
    >>> small = {"network": "convnet", "width": 8}
    >>> condensed = condense("digits", "dm", ipc=1, iterations=2, architecture=small)
    >>> condensed.images.shape, condensed.images.dtype, condensed.labels.tolist()
    (torch.Size([10, 1, 8, 8]), torch.float32, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    check_condense(dataset, method, ipc, seed, to=to, like=like, compute=compute, **options)
    dataset = _dataset(dataset, "condense", options)
    like = like or getattr(dataset, "like", None)
    config = _config_of_set(dataset, method, ipc, options, like, compute)
    (dataset_name,), (method_name,) = config.datasets, config.methods
    ipc_name = WHOLE if config.methods[method_name].algorithm == "whole" else str(ipc)
    set_id = SetId(dataset_name, method_name, ipc_name, seed)
    smallest = int(torch.bincount(dataset.train_labels, minlength=len(dataset.classes)).min())
    for problem in trials.problems_of_ipc(config, grid.expand(config), lambda _: smallest):
        raise InputError(f"condense: {problem}")
    with contextlib.ExitStack() as stack:
        device = stack.enter_context(_set_up(config))
        if to is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            folder = Path(to).expanduser()
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_alone_in(folder))
            _check_target(folder)  # again, now that no other call writes there
        unfinished = folder / _UNFINISHED
        unfinished.mkdir(exist_ok=True)
        try:
            dataset = _condense(config, set_id, dataset, folder, unfinished, device)
        except MemoryError:
            raise  # what is finished serves the next call
        except Exception as error:
            if machine.is_out_of_memory(error):
                raise MemoryError(f"condense: {error}") from error
            if to is not None and _holds_work(unfinished):
                log.warning("condense: what is done stays in %s for the next call", unfinished)
            else:
                shutil.rmtree(unfinished)
            raise
        condensed = _read(unfinished / SET_FILE, dataset)
        if to is None:  # the file behind these tensors will be removed
            copies = {name: getattr(condensed, name) for name in ("images", "labels", "indices")}
            copies = {name: tensor.clone() for name, tensor in copies.items() if tensor is not None}
            condensed = replace(condensed, **copies)
        else:  # the set does not hold the names of the files
            rest = condensed._condensed(), dataset, condensed.metadata
            chosen = export.chosen_table(export.LoadedSet(folder / SET_FILE, *rest))
            if chosen is None:  # that of an earlier set, whose file was removed
                (folder / CHOSEN).unlink(missing_ok=True)
            else:
                storage.write_text(folder / CHOSEN, chosen)
            (unfinished / SET_FILE).replace(folder / SET_FILE)  # last: then nothing is missing
        shutil.rmtree(unfinished)
    return condensed


def evaluate(
    condensed: CondensedSet | str | Path | tuple[torch.Tensor, torch.Tensor],
    dataset: Dataset | str | Path,
    architecture: str | Mapping[str, Any] = _ARCHITECTURE,
    augmentation: str | Mapping[str, Any] = _AUGMENTATION,
    optimizer: str | Mapping[str, Any] = _OPTIMIZER,
    networks: int = _NETWORKS,
    epochs: int = _EPOCHS,
    *,
    compute: Mapping[str, Any] | None = None,
    **protocol: Any,
) -> Accuracies:
    """Train networks on a condensed set and test them on the real test images.

    Parameters
    ----------
    condensed : a set, a path that ``load_set`` reads, or a pair of standardised images, float32
        [n, C, H, W], and labels, with as many images of each class. Pixels that look like another
        scale are refused or cause a warning.
    dataset : the dataset that the set condenses, or what ``load_dataset`` takes.
    architecture, augmentation, optimizer : names that every config has, or mappings of options as
        in a config: ``architecture={"network": "convnet", "width": 64}``.
    networks : number of networks, one for each evaluation seed from 0.
    epochs : training epochs.
    compute : as in ``condense``.
    protocol : further options of the section ``evaluation`` of the config, such as ``batch_size``;
        with ``corruptions=True``, each row also has the accuracies on corrupted test images.

    Returns
    -------
    Accuracies
        Accuracy in percent of each network, their mean and standard deviation.

    Raises
    ------
    InputError
        For an unknown name or option, a set of another dataset or preprocessing, and selected real
        images that are not training images of this dataset. A set that was made from a training set
        of another size causes a warning: the test images may be among those that it was made from.

    Examples
    --------
    >>> condensed = condense("digits", method="random", ipc=5)
    >>> result = evaluate(condensed, "digits", architecture="mlp", networks=2, epochs=20)
    >>> len(result.accuracies), 20 < result.mean < 90
    (2, True)
    """
    dataset = _dataset(dataset, "evaluate", protocol)
    condensed = _as_set(condensed, dataset)
    sections: dict[str, dict[str, Any]] = {}
    names = {"architecture": architecture, "augmentation": augmentation, "optimizer": optimizer}
    names = _named(names, sections)
    axes = {f"{axis}s": [name] for axis, name in names.items()}
    entry = {"epochs": epochs, **protocol}
    config = _config(
        dataset,
        {"algorithm": "random"},
        "evaluate",
        axes={**axes, "evaluation_seeds": networks},
        evaluation=entry,
        compute=dict(compute or {}),
        **sections,
    )
    job = jobs.evaluate(config, *names.values())
    count = -(-len(condensed) // len(dataset.classes))
    with _set_up(config) as device:
        real = _with_whitening(condensed, dataset)
        _check_origin(condensed, real)
        (dataset_name,) = config.datasets
        cell = SetId(dataset_name, _METHOD, str(count), 0).wildcards | names
        cell |= {"first": "0", "last": str(networks - 1)}
        label = " ".join(names.values())
        _announce(f"{label}, {networks} networks", config, dataset, [("evaluate", cell)], device)
        rows, costs = evaluation.outcome(
            condensed._condensed,
            "ok",
            real,
            list(range(networks)),
            **job["options"],
            device=device,
            compile=config.compute.compile,
            stack=config.compute.stack,
            label=label,
        )
    return Accuracies(rows, [cost["seconds"] for cost in costs], job["options"])


def load_set(
    path: str | Path, dataset: Dataset | str | Path | None = None, **options: Any
) -> CondensedSet:
    """Return the condensed set in a file.

    Parameters
    ----------
    path : a ``condensed.safetensors`` of this pipeline or its folder, or the name of a published
        set (``docs/reproduction/sets``), such as ``cifar10/dsa/ipc1``; with ``dataset`` also a
        safetensors, npz, npy or PyTorch file from elsewhere, or a folder of pictures
        ``<class>/*``.
    dataset : the dataset that the set condenses, or what ``load_dataset`` takes. It is needed for
        files from elsewhere, and for sets of ``whole``, whose images it holds.
    options : options of ``algorithm: imported`` that describe a file from elsewhere: ``scale``,
        ``mean``, ``std``, ``restandardize``, ``run``, ``classes``, ``labels``, ``labels_path`` and
        ``preprocessing``.

    Returns
    -------
    CondensedSet
        Float32 images [n, C, H, W] and labels; ``tensor_dataset()`` returns both for torch.

    Raises
    ------
    InputError
        For a damaged file, a set whose method failed, and a file that does not fit the dataset or
        its options.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     condensed = condense("digits", method="random", ipc=1, to=folder)
    ...     loaded = load_set(folder)
    ...     torch.equal(loaded.images, condensed.images), len(loaded.tensor_dataset())
    (True, 10)
    """
    path = Path(path).expanduser()
    if (path / SET_FILE).is_file():
        path = path / SET_FILE
    elif not path.is_file() and (file := published.find(path.as_posix())):
        path = file
    elif not path.exists():
        names = published.index()
        known = f" (known: {', '.join(names)})" if names else ""
        raise InputError(
            f"{path}: no such file or folder, and no published set of this name{known}"
            f"{nearest(path.as_posix(), names)}"
        )
    if dataset is not None:
        dataset = _dataset(dataset, "load_set", options)
    metadata = _metadata_of_set(path)
    if metadata is None or options or _reordered(metadata, dataset):
        if dataset is None:
            raise InputError(
                f"{path}: not a condensed set of this pipeline; name its `dataset`, which a file "
                "from elsewhere is checked against"
            )
        return _import(path, dataset, options)
    if dataset is not None and metadata.get("status", "ok") == "ok":
        dataset = _whitened(dataset, metadata["preprocessing"]["kind"])
    return _read(path, dataset)


# --- datasets and configs -------------------------------------------------------------------------

# keys of the config that a call makes, as patterns, and the arguments of the call
_ARGUMENTS = {
    r"\bexperiments\.all\.evaluation_seeds\b": "networks",
    r"\bexperiments\.all\.(architecture|augmentation|optimizer)s\b": r"\1",
    r"\bexperiments\.all(\.|: )": "",
    r"\bevaluate: evaluation(\.|: )": "evaluate: ",
    # entries that a mapping made have the name of its option, after that of the mapping around it
    r"\b(?:architectures|augmentations|optimizers|features|trajectories)\.(?:\w+-)?"
    rf"({'|'.join(checks.SECTION_OF_OPTION)})\b(?=\.|: )": r"\1",
}
_METHOD = "set"  # the name of a method that stands for a finished set


def _dataset(dataset: Dataset | str | Path, origin: str, options: Iterable[str]) -> Dataset:
    """Return a dataset; ``options`` are those of the function ``origin``, not of the dataset."""
    if isinstance(dataset, Dataset):
        return dataset
    try:
        return load_dataset(dataset)
    except InputError as error:
        for option in options:
            if f"`{option}`" in str(error):  # the message asks for what was given, elsewhere
                raise InputError(_belongs(origin, option, dataset)) from error
        raise


def _belongs(origin: str, option: str, dataset: str | Path) -> str:
    return (
        f"{origin}: `{option}` belongs to `load_dataset`; pass its result, "
        f"load_dataset({str(dataset)!r}, {option}=…)"
    )


def _as_name(path: str) -> str:
    """Return a name for a config that resembles the last part of a path."""
    stem = re.sub(r"(\.tar)?\.\w+$", "", Path(path).expanduser().resolve().name)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).lstrip("_.-") or "images"
    reserved = checks.RESERVED_DATASETS | checks.RESERVED_METHODS
    return f"{name}_" if name in reserved else name


def _named(
    options: Mapping[str, Any], sections: dict[str, dict[str, Any]], prefix: str = ""
) -> dict[str, Any]:
    """Return options in which names replace mappings, which become entries of ``sections``."""
    named = {}
    for key, value in options.items():
        if key in checks.SECTION_OF_OPTION and isinstance(value, Mapping):
            name = prefix + key
            section = sections.setdefault(checks.SECTION_OF_OPTION[key], {})
            section[name] = _named(value, sections, f"{name}-")
            value = name
        named[key] = str(value) if isinstance(value, Path) else value
    return named


def _config(
    dataset: Dataset,
    method: Mapping[str, Any],
    origin: str,
    method_name: str = _METHOD,
    ipc: int = 1,
    like: str | None = None,
    axes: Mapping[str, Any] | None = None,
    **sections: Any,
) -> Config:
    """Return a config of this dataset and this method; ``origin`` begins error messages."""
    source = dataset.source.get("reader", "image_folder")
    entry: dict[str, Any] = {"source": source}
    if source == "image_folder":
        entry |= {"path": ".", "like": like}  # the images are read already
    elif like is not None:
        raise InputError(f"{origin}: `like` is for your own images, not for {source}")
    name = _as_name(dataset.name)
    grid_entry = {"datasets": [name], "methods": [method_name], "ipc": [ipc], **(axes or {})}
    content = {"datasets": {name: entry}, "methods": {method_name: dict(method)}}
    return _parse(content | sections | {"experiments": {"all": grid_entry}}, origin)


def _parse(content: dict[str, Any], origin: str) -> Config:
    """Return a config; errors name arguments in place of keys of the config, which has no file."""
    try:
        return loading.parse(content, origin, variables=False)
    except InputError as error:
        text = str(error)
        for key, argument in _ARGUMENTS.items():
            text = re.sub(key, argument, text)
        for section in ("datasets", "methods"):
            for name in content[section]:
                text = re.sub(rf"\b{section}\.{re.escape(name)}(\.|: )", "", text)
        raise InputError(text) from error


def _config_of_set(
    dataset: Dataset,
    method: str,
    ipc: int,
    options: Mapping[str, Any],
    like: str | None,
    compute: Mapping[str, Any] | None,
) -> Config:
    sections: dict[str, dict[str, Any]] = {}
    # an optimizer is an entry of the config for features and experts, but not for methods
    named = {key: value for key, value in options.items() if key != "optimizer"}
    entry = {"algorithm": str(method), **options, **_named(named, sections)}
    name = _as_name(str(method).rpartition(":")[2] or str(method))
    return _config(
        *(dataset, entry, "condense", name, ipc, like), compute=dict(compute or {}), **sections
    )


# --- the machine ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _set_up(config: Config) -> Iterator[torch.device]:
    """Set threads and precision as jobs of the workflow do; yield the device."""
    options = config.compute
    device = machine.device_named(options.device)
    with _switches(), _threads(options.threads):
        machine.set_up(precision=options.precision, deterministic=options.deterministic)
        yield device


@contextlib.contextmanager
def _switches() -> Iterator[None]:
    """Restore the switches of torch that ``compute.set_up`` changes."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32 = before
        machine.use_deterministic(deterministic, warns)


def _announce(
    what: str,
    config: Config,
    dataset: Dataset,
    work: Iterable[tuple[str, dict[str, str]]],
    device: torch.device,
) -> None:
    """Log how long jobs (rule, wildcards) should take, from their work and an assumed speed."""
    (name,) = config.datasets
    shape, counts = dataset.shape, (len(dataset.train_labels), len(dataset.test_labels))
    known = {name: sizes.Images(shape, len(dataset.classes), *counts)}
    on_device = config.compute.model_copy(update={"device": device.type})
    config = config.model_copy(update={"compute": on_device})
    asks = requests.Requests(config, grid.expand(config), images=known)
    seconds = [asks.seconds(rule, wildcards) for rule, wildcards in work]
    if None in seconds:
        log.info("%s: the time is unknown until the first steps are done", what)
        return
    expected = progress.duration(max(1.0, sum(seconds)))
    log.info("%s: about %s expected, at an assumed speed", what, expected)


# --- condensation ---------------------------------------------------------------------------------


def check_condense(
    dataset: Dataset | str | Path,
    method: str,
    ipc: int,
    seed: int,
    *,
    to: str | Path | None = None,
    like: str | None = None,
    compute: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Raise InputError if ``condense`` would, as far as that is known before images are read."""
    for name, number, least in (("ipc", ipc, 1), ("seed", seed, 0)):
        if type(number) is not int or number < least:
            raise InputError(
                f"condense: {name}: expected a whole number from {least}, got {number!r}"
            )
    if to is not None:
        _check_target(Path(to).expanduser())
    # a prepared dataset is read at once
    if not isinstance(dataset, Dataset) and not str(dataset).endswith(".safetensors"):
        try:
            _config_of_set(_outline(str(dataset)), method, ipc, options, like, compute)
        except InputError as error:
            for option in options.keys() & entries.Dataset.model_fields.keys():
                if f"unknown option {option!r}" in str(error):
                    raise InputError(_belongs("condense", option, dataset)) from error
            raise


def _outline(source: str) -> Dataset:
    """Return the name and reader of a dataset that is not read yet, without images."""
    images, labels = torch.zeros(0, 1, 1, 1, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)
    reader = source if source in _NAMES else "image_folder"
    split = images, labels
    return Dataset(_as_name(source), (), *split, *split, (), (), source={"reader": reader})


def _check_target(folder: Path) -> None:
    """Raise InputError unless a set may be written to ``folder``."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file; name a folder for the set")
    if (folder / SET_FILE).exists():
        raise InputError(
            f"{folder / SET_FILE}: exists already; name another folder, or remove the file"
        )


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; raise InputError if another call holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(
            f"{folder}: another call of condense is writing here; name another folder, or wait"
        ) from error
    except OSError:  # some network file systems have no locks of folders
        log.debug("%s: cannot be locked", folder)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # also of what a method may have forked
        os.close(descriptor)


def _condense(
    config: Config,
    set_id: SetId,
    dataset: Dataset,
    folder: Path,
    unfinished: Path,
    device: torch.device,
) -> Dataset:
    """Write the set to ``unfinished`` and return the dataset with the whitening of the set.

    The inputs of the set are written there too, at the paths of the workflow; cost, snapshots and
    whitening to ``folder``.
    """
    expanded = grid.expand(config)
    paths = layout.Layout(str(unfinished), str(unfinished))
    names = {key: value for key, value in set_id.wildcards.items() if key != "snapshot"}
    files = inputs.Inputs(targets.Targets(config, expanded, paths))
    read = files.method(SimpleNamespace(**set_id.wildcards))
    read["dataset"] = paths(layout.DATASET, **names)
    rules = ("fit_whitening", "extract_features", "train_embedder", "train_expert", "condense")
    work = [(j.rule, j.wildcards) for j in worklist.all_jobs(config, expanded) if j.rule in rules]
    what = f"{set_id.method} on {dataset.name}"
    what += "" if set_id.ipc == WHOLE else f", {_per_class(int(set_id.ipc))}"
    _announce(what, config, dataset, work, device)
    started = time.monotonic()

    datasets.write(dataset, read["dataset"])
    dataset = datasets.load(read["dataset"])  # as the rules do
    settings = {"device": device, "compile": config.compute.compile}
    if "whitening" in read:
        dataset = _whitened(dataset, config.preprocessing_of(set_id.method))
        for path in (read["whitening"], folder / WHITENING_FILE):
            whitening.save(dataset.whitening, path, dataset=dataset.name)
    if "features" in read:
        job = jobs.extract_features(config, jobs.features_of(config, set_id.method))
        plain = replace(dataset, whitening=None)
        features.make(read["features"], plain, set_id.condensation_seed, job, **settings)
    if "teacher" in read:
        job = jobs.train_embedder(config, config.methods[set_id.method].teacher_read)
        features.make_network(read["teacher"], dataset, job, **settings)
    settings |= {
        "precision": config.compute.precision,
        "memory_mb": machine.usable_mb(device, config.compute.model_dump()),
        "checkpoint_seconds": config.compute.checkpoint_seconds,
    }
    if "experts" in read:
        _train_experts(config, expanded, set_id, read, paths, settings)
    job = jobs.condense(config, set_id)
    outputs = {"condensed": str(unfinished / SET_FILE), "cost": str(folder / "cost.json")}
    outputs["snapshots"] = str(folder / Path(layout.SNAPSHOTS).name)
    if not job["snapshots"]:
        outputs["snapshots"] = paths(layout.SNAPSHOTS, **names)
    condensing.condense(names, job, read, outputs, **settings)
    metadata = storage.read_metadata(outputs["condensed"])
    if metadata["status"] != "ok":
        for path in outputs.values():
            Path(path).unlink(missing_ok=True)
        error = MemoryError if metadata["status"] == "oom" else FloatingPointError
        raise error(f"{what}: failed at iteration {metadata['iteration']}: {metadata['cause']}")
    log.info("%s: done in %s", what, progress.duration(time.monotonic() - started))
    return dataset


def _holds_work(unfinished: Path) -> bool:
    """Return whether a failed call leaves experts or a checkpoint, which may have taken hours."""
    return any(unfinished.glob(_EXPERTS)) or any(unfinished.glob("checkpoint*"))


def _train_experts(
    config: Config,
    expanded: grid.Grid,
    set_id: SetId,
    read: Mapping[str, Any],
    paths: layout.Layout,
    settings: Mapping[str, Any],
) -> None:
    """Train the experts that an earlier call with their options and settings has not left."""
    trajectories, _ = jobs.experts_of(config, set_id.method)
    job = jobs.train_expert(config, expanded, set_id.dataset, trajectories)
    checksums = {"dataset": storage.read_metadata(read["dataset"])["checksum"]}
    same = {"options": job["options"], "source": job["source"], "inputs": checksums}
    same["settings"] = [settings["compile"], settings["precision"], str(settings["device"])]
    for block, path in zip(jobs.expert_blocks(config, set_id.method), read["experts"], strict=True):
        if Path(path).is_file():
            metadata = storage.read_metadata(path)
            if all(metadata.get(key) == value for key, value in same.items()):
                continue
        names = {"dataset": set_id.dataset, "trajectories": trajectories, "expert": block}
        outputs = {"expert": path, "cost": paths(layout.EXPERT_COST, **names)}
        experts.make(names, job, read, outputs, **settings)


def _whitened(dataset: Dataset, kind: str) -> Dataset:
    """Return the dataset with a preprocessing: ``standardize``, or a kind of whitening."""
    if kind == "standardize":
        return replace(dataset, whitening=None)
    if dataset.whitening is not None and dataset.whitening.kind == kind:
        return dataset
    with _threads(1):  # the digest of the numbers identifies a whitening: each fit must be equal
        fitted = whitening.fit(dataset.train_images, kind, dataset.mean, dataset.std)
    return replace(dataset, whitening=fitted)


# --- sets -----------------------------------------------------------------------------------------


def _as_set(condensed: Any, dataset: Dataset) -> CondensedSet:
    """Return a set for evaluation; raise InputError if it is of another dataset."""
    if isinstance(condensed, (str, Path)):
        return load_set(condensed, dataset)
    if isinstance(condensed, tuple) and len(condensed) == 2:
        count, rest = divmod(len(condensed[0]), len(dataset.classes))
        if rest or not count:
            raise InputError(
                f"evaluate: {len(condensed[0])} images do not divide into "
                f"{len(dataset.classes)} classes"
            )
        problem = contract.Problem(dataset, count, seed=0)
        checked = contract.finish(condensed, problem, "evaluate")
        if dataset.whitening is None:
            _check_pixels_of_pair(checked.images, dataset)
        return _described(checked, dataset, method="pair of tensors")
    if not isinstance(condensed, CondensedSet):
        raise InputError(
            f"evaluate: expected a CondensedSet, a path or a pair (images, labels), got "
            f"{type(condensed).__name__}"
        )
    if condensed.classes != dataset.classes or condensed.images.shape[1:] != dataset.shape:
        raise InputError(
            f"evaluate: {condensed!r} is not of {dataset.name}, with {len(dataset.classes)} "
            f"classes and images of {'x'.join(map(str, dataset.shape))}"
        )
    return condensed


def _check_pixels_of_pair(images: torch.Tensor, dataset: Dataset) -> None:
    """Warn or raise InputError if the images of a pair do not look standardised."""
    try:
        plausibility.check_pixels(images, "standardized", None, dataset, "evaluate: the pair")
    except InputError as error:
        raise InputError(
            f"{error}. A pair has no scale: `dataset.standardize(images)` makes it of uint8 "
            "images, and load_set reads a file in another scale"
        ) from error


def _with_whitening(condensed: CondensedSet, dataset: Dataset) -> Dataset:
    """Return the dataset with the preprocessing of the set; raise InputError if it cannot have."""
    preprocessing = condensed.metadata["preprocessing"]
    dataset = replace(dataset, whitening=condensed.whitening or dataset.whitening)
    dataset = _whitened(dataset, preprocessing["kind"])
    sets.require_preprocessing(preprocessing, dataset, "evaluate: the set")
    return dataset


def _check_origin(condensed: CondensedSet, dataset: Dataset) -> None:
    """Refuse a selection of other images; warn of a set that another training set made.

    ``dataset`` has the preprocessing of the set. A copy of the dataset in another order passes.
    """
    made_from, real = condensed.metadata.get("train_images"), len(dataset.train_labels)
    if condensed.indices is not None:
        if not sets.shows_positions(condensed._condensed(), dataset) and not (
            sets.is_in_training_set(condensed.images, dataset)
        ):
            raise InputError(
                f"evaluate: {condensed!r} selects images that are not among the training images of "
                f"this {dataset.name}, so they may be among its test images; read the dataset with "
                "the options with which the set was made, such as test_fraction"
            )
    elif made_from not in (None, real):
        log.warning(
            "evaluate: the set was made from %s training images, and this %s has %d. If the split "
            "differs, the set was made from some of the test images, and the accuracy is too high; "
            "read the dataset with the options with which the set was made, such as test_fraction",
            *(made_from, dataset.name, real),
        )


def _described(condensed: sets.Condensed, dataset: Dataset, **facts: Any) -> CondensedSet:
    """Return a set that was not read from a file of this pipeline."""
    metadata = sets.metadata_of(condensed, dataset, **facts)
    return CondensedSet(
        *(condensed.images, condensed.labels, condensed.indices, condensed.step_size),
        *(metadata, dataset.whitening),
    )


def _metadata_of_set(path: Path) -> dict[str, Any] | None:
    """Return the metadata of a condensed set of this pipeline; None for any other file."""
    if path.suffix != ".safetensors":
        return None
    try:
        metadata = storage.read_metadata(path)
    except InputError:
        return None
    if metadata.get("kind") != sets.KIND:
        return None
    sets.check_metadata(metadata, path)
    return metadata


def _reordered(metadata: Mapping[str, Any], dataset: Dataset | None) -> bool:
    """Return whether the classes of a set are those of the dataset in another order."""
    theirs = metadata["classes"]
    return (
        dataset is not None
        and theirs != list(dataset.classes)
        and set(theirs) == set(dataset.classes)
    )


def _read(path: Path, dataset: Dataset | None) -> CondensedSet:
    """Return the set in a file of this pipeline; ``dataset`` has the preprocessing of the set."""
    tensors, metadata = storage.read_tensors(path)
    if metadata.get("status", "ok") != "ok":
        raise InputError(
            f"{path}: holds no images: its method ended as {metadata['status']} at iteration "
            f"{metadata.get('iteration')} ({metadata.get('cause')})"
        )
    if dataset is not None:
        condensed, _ = sets.of_tensors(tensors, metadata, dataset, path)
    else:
        sets.check_file(tensors, metadata, path)
        rest = tensors["labels"], tensors.get("indices"), metadata.get("step_size")
        condensed = sets.Condensed(sets.images_of(tensors), *rest)
    images = condensed.images
    if images is None and dataset is None:
        raise InputError(
            f"{path}: holds the positions of real images alone; name its `dataset`, which has them"
        )
    if images is None:
        images = dataset.preprocess(dataset.train_images[condensed.indices])
    return CondensedSet(
        *(images, condensed.labels, condensed.indices, condensed.step_size, metadata),
        whitening=None if dataset is None else dataset.whitening,
        by_position="images" not in tensors,
    )


def _import(path: Path, dataset: Dataset, options: Mapping[str, Any]) -> CondensedSet:
    """Return the set in a file of another program, by the options of ``algorithm: imported``."""
    method = {"algorithm": "imported", "path": path, **options}
    files = {key: literal(method[key]) for key in ("path", "labels_path") if method.get(key)}
    config = _config(dataset, _named(method | files, {}), "load_set")
    (dataset_name,) = config.datasets
    entry = config.methods[_METHOD]
    dataset = _whitened(dataset, entry.preprocessing)
    run = 0 if entry.run == "seed" else entry.run
    ipc = imported.images_per_class(str(path), dataset, run)
    job = jobs.condense(config, SetId(dataset_name, _METHOD, str(ipc), 0))
    problem = contract.Problem(dataset, ipc, seed=0)
    raw = imported.condense(problem, **job["options"])
    condensed = contract.finish(raw, problem, str(path), job["labels"])
    facts = {"method": "imported", "algorithm": job["function"], "options": job["options"]}
    return _described(condensed, dataset, **facts, ipc=ipc, labels_option=job["labels"])
