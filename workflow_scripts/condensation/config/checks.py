"""Checks across the sections of a config: names exist, and every option has a value.

Each function raises a validation error whose message begins with the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, product
from typing import TYPE_CHECKING

from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from condensation.config.base import item, wrong
from condensation.config.entries import Features
from condensation.config.experiments import Figure7
from condensation.config.methods.base import ByScore
from condensation.config.methods.rded import RDED
from condensation.config.nas import BENCHMARK_COLUMNS, Ranking
from condensation.core.errors import unknown
from condensation.core.names import NAME, name_error

if TYPE_CHECKING:
    from condensation.config.schema import Config

# Names of files and folders that stand beside those of datasets and methods in the results folder.
RESERVED_DATASETS = {
    *("benchmarks", "config.yaml", "downloads", "evidence", "leaderboard", "logs"),
    *("made_from.yaml", "plan", "provenance.json", "tables"),
}
RESERVED_METHODS = {"dataset.safetensors", "features", "nas", "trajectories", "whitening"}

# Images in the smallest training class of the datasets for which this is known in advance.
SMALLEST_CLASS = {
    "cifar10": 5000,
    "cifar100": 500,
    "digits": 140,
    "fashion_mnist": 6000,
    "tinyimagenet": 500,
}

# the section that holds the entry which an option names
SECTION_OF_OPTION = {
    "architecture": "architectures",
    "augmentation": "augmentations",
    "optimizer": "optimizers",
    "teacher": "features",
    "features": "features",
    "trajectories": "trajectories",
}
_SINGULAR = {section: option for option, section in SECTION_OF_OPTION.items()}
_SINGULAR |= {"datasets": "dataset", "methods": "method"}


def check(config: Config) -> None:
    """Check everything that involves more than one section."""
    for section, reserved in (("datasets", RESERVED_DATASETS), ("methods", RESERVED_METHODS)):
        for name in getattr(config, section):
            if name in reserved:
                raise wrong(f"{section}.{name}: this name is taken in the results folder")
    for section in ("methods", "features", "trajectories"):
        for name, entry in getattr(config, section).items():
            _check_entry(config, f"{section}.{name}", entry)
    for name, blocks in config.experiments.items():
        for number, axes in enumerate(blocks):
            where = f"experiments.{name}" + item(number, blocks)
            for section in ("datasets", "methods", "architectures", "augmentations", "optimizers"):
                _require_all(config, where, section, getattr(axes, section))
            for dataset in axes.datasets:
                _check_ipc(config, where, dataset, axes.methods, axes.ipc)
    _require("teacher.features", "features", config.teacher.features, config.features)
    if config.figure7:
        _check_figure7(config, config.figure7)
    if config.nas:
        _check_ranking(config, config.nas)


def _require(where: str, section: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise wrong(f"{where}: {unknown(_SINGULAR[section], name, known)}")


def _require_all(config: Config, where: str, section: str, names: Iterable[str]) -> None:
    for name in names:
        _require(f"{where}.{section}", section, name, getattr(config, section))


def _check_entry(config: Config, where: str, entry: BaseModel) -> None:
    """Check the options of an entry that name other entries."""
    for option, section in SECTION_OF_OPTION.items():
        name = getattr(entry, option, None)
        if isinstance(name, str):
            pixels = ["pixels"] if option == "features" else []
            _require(f"{where}.{option}", section, name, [*getattr(config, section), *pixels])
    if isinstance(entry, Features) and entry.layer == "before_pooling":
        network = config.architectures[entry.architecture].network
        if network not in ("convnet", "resnet") and ".py:" not in network:
            raise wrong(
                f"{where}.layer: before_pooling needs a convnet or resnet, not {network!r}; "
                "set layer: classifier_input"
            )
    if isinstance(entry, ByScore) and not (
        entry.features in config.features and config.features[entry.features].scores
    ):
        raise wrong(
            f"{where}.features: {entry.features!r} has no scores; set `scores: true` in "
            f"`features`, or name features that have it, as `scoring` does"
        )
    name = getattr(entry, "augmentation", None)
    # experts are trained like any network; methods differentiate through the augmentation
    if (
        where.startswith("methods.")
        and isinstance(name, str)
        and config.augmentations[name].policy == "torchvision"
    ):
        raise wrong(
            f"{where}.augmentation: {name!r} works on uint8 images and cannot be differentiated; "
            "choose one like 'dsa' or 'none'"
        )


def _check_ipc(
    config: Config, where: str, dataset: str, methods: list[str], ipcs: list[int]
) -> None:
    smallest = SMALLEST_CLASS.get(config.datasets[dataset].kind)
    if smallest and max(ipcs) > smallest:
        raise wrong(
            f"{where}.ipc: {max(ipcs)} is more than the smallest class of {dataset} has "
            f"({smallest} training images)"
        )
    for method, ipc in product(methods, ipcs):
        entry = config.methods[method]
        needed = entry.real_images_needed(ipc)
        if smallest and needed > smallest:
            raise wrong(f"{where}.{too_few_images(method, needed, dataset, smallest)}")
        if isinstance(entry, RDED) and ipc * entry.factor**2 > entry.pool:
            raise wrong(
                f"{where}.ipc: {ipc} images of {entry.factor} x {entry.factor} crops need crops of "
                f"{ipc * entry.factor**2} images, but methods.{method}.pool is {entry.pool}"
            )
        _check_options(config, where, dataset, method, ipc)


def too_few_images(method: str, needed: int, dataset: str, smallest: int) -> str:
    """Return the message for an IPC that needs more images than the smallest class has."""
    return (
        f"ipc: {method!r} needs {needed} images per class, but the smallest class of {dataset} has "
        f"{smallest} training images"
    )


def _check_options(config: Config, where: str, dataset: str, method: str, ipc: int) -> None:
    """Check that every hyper-parameter has a value and that experts train for long enough."""
    entry = config.methods[method]
    try:
        completed = config.completed(dataset, method, ipc)
    except KeyError as error:
        raise wrong(
            f"{where}: method {method!r} has no published values for {dataset} at IPC {ipc} "
            f"(they exist for IPC {error.args[0]}); set methods.{method}."
            f"{', '.join(entry.missing)}"
        ) from error
    except PydanticCustomError as error:
        raise wrong(
            f"{where}: method {method!r} for {dataset} at IPC {ipc}, with the published values for "
            f"what you left out: {error.message()}"
        ) from error
    if entry.experts_read is None:
        return
    trajectories = entry.experts_read[0]
    epochs, needed = config.trajectories[trajectories].epochs, completed.last_expert_epoch
    if epochs is not None and needed > epochs:
        options = config.options_of(dataset, method, ipc)
        start, span = options["max_start"], options["expert_epochs"]
        why = f"max_start {start} - 1 + expert_epochs {span}"
        raise wrong(
            f"trajectories.{trajectories}.epochs: {epochs}, but {method!r} at IPC {ipc} on "
            f"{dataset} reads up to epoch {needed} "
            f"({why if needed == start - 1 + span else f'label_epoch {needed}'})"
        )


def _check_ranking(config: Config, nas: Ranking) -> None:
    _require("nas.dataset", "datasets", nas.dataset, config.datasets)
    kind = config.datasets[nas.dataset].kind
    if nas.truth == "benchmark" and not nas.column and kind not in BENCHMARK_COLUMNS:
        raise wrong(
            f"nas.column: NAS-Bench-201 has no accuracies on {nas.dataset}; name the column of "
            "your own table, or set nas.truth to 'whole'"
        )
    for name in nas.references:
        if not NAME.fullmatch(name):
            raise wrong(f"nas.references: {name_error(name)}")
    for number, block in enumerate(nas.sets):
        where = "nas.sets" + item(number, nas.sets)
        for method in block.methods:
            _require(f"{where}.methods", "methods", method, config.methods)
            if config.methods[method].algorithm == "whole":
                raise wrong(
                    f"{where}.methods: {method!r} would train on the held-out images; the whole "
                    "training set is a reference: `nas.references: {whole: {}}`"
                )
        _check_ipc(config, where, nas.dataset, block.methods, block.ipc)


def _check_figure7(config: Config, figure: Figure7) -> None:
    """Check that some experiment makes the sets of the figure."""
    _require("figure7.features", "features", figure.features, config.features)
    for section in ("datasets", "methods"):
        _require_all(config, "figure7", section, getattr(figure, section))
    for name in figure.methods:
        if config.methods[name].algorithm == "whole":
            raise wrong(f"figure7.methods: {name!r} is the real images themselves")
    condensed = {
        cell
        for axes in chain.from_iterable(config.experiments.values())
        for cell in product(axes.datasets, axes.methods, axes.ipc)
    }
    for dataset in figure.datasets:
        if not any((dataset, method, figure.ipc) in condensed for method in figure.methods):
            raise wrong(
                f"figure7: no experiment makes one of its sets of {dataset} at IPC {figure.ipc}"
            )
