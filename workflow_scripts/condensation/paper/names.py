"""The paper's names for the entries of a config, and how the entries differ from the paper.

An entry is recognised by its content, not by its name in the config: a dataset
by its kind, a method by algorithm, start and features, and so on. ``differs``
lists the options that differ from the paper, and so make another protocol.
Free of torch.
"""

from dataclasses import dataclass
from typing import Any

from condensation.config.entries import SGD, Adam, Features, Trajectories
from condensation.config.methods import KIP, METHODS, TM, KCenter
from condensation.config.schema import BUILT_IN, Config
from condensation.workflow.grid import WHOLE

DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "tinyimagenet": "TinyImageNet"}
METHOD_NAMES = {name: entry.paper_name for name, entry in METHODS.items() if entry.paper_name}
TABLES = {
    1: "Accuracy by method",
    2: "Transfer to other networks",
    3: "Ranking of architectures",
    4: "Accuracy by augmentation",
    5: "Accuracy by architecture",
    6: "Accuracy by IPC",
    7: "Accuracy by optimizer",
    8: "Cost of condensation",
    9: "K-Center by its features",
}
# how print calls the entries that bear their usual names, by the axis of a table
_IN_PRINT = {
    "dataset": DATASETS,
    "method": METHOD_NAMES | {"whole": "whole set"},
    "architecture": {
        **{"convnet": "ConvNet", "mlp": "MLP", "vit": "ViT"},
        **{"resnet18": "ResNet-18", "resnet152": "ResNet-152"},
    },
    "augmentation": {
        **{"dsa": "DSA", "randaug": "RandAugment", "autoaug": "AutoAugment"},
        **{"imagenet_aug": "ImageNet"},
    },
    "optimizer": {"sgd": "SGD", "adam": "Adam"},
}
_EPOCHS, _EPOCHS_WITHOUT = 1000, 300  # of the text; of the released code without augmentation
_BATCH = 256
# options that do not change a result, or are compared separately
_NOT_COMPARED = {"algorithm", "snapshots", "chunk", "features", "trajectories"}
_NOT_COMPARED |= {"architecture", "augmentation"}


@dataclass(frozen=True)
class Name:
    """A name in the paper, and the options in which an entry differs from the paper."""

    name: str
    differs: tuple[str, ...] = ()


def in_print(axis: str, name: str) -> str:
    """Return how a printed table calls an entry: a usual name is spelled out, others stay.

    >>> in_print("method", "kcenter"), in_print("method", "my_method")
    ('K-Center', 'my_method')
    """
    return _IN_PRINT.get(axis, {}).get(name, name)


def dataset(config: Config, name: str) -> Name | None:
    """Return the paper's name of a dataset, by the official dataset that it is or is like."""
    known = DATASETS.get(config.datasets[name].kind)
    return Name(known) if known else None


def method(config: Config, dataset_name: str, name: str, ipc: str) -> Name | None:
    """Return the paper's name of a method at an IPC; None if no table has the method.

    K-Center on pixels is ``K-Center (raw input)``. The tables start from real
    images, except DC up to IPC 50, which starts from noise; other starts belong
    to Figures 4 and 6. None of them stores several training images in one (``factor``).
    """
    entry = config.methods[name]
    if entry.algorithm not in METHOD_NAMES or type(entry) is not METHODS[entry.algorithm]:
        return None
    known = METHOD_NAMES[entry.algorithm]
    if ipc == WHOLE:
        return Name(known)
    theirs = type(entry).as_in_paper(int(ipc))
    if any(getattr(entry, x, None) != getattr(theirs, x, None) for x in ("init", "factor")):
        return None
    where = f"methods.{name}"
    if isinstance(entry, KIP):  # the paper used published sets with unpublished options
        differs = [f"{where}: made here with kernel {entry.kernel} (paper: published, ConvNet3)"]
        return Name(known, tuple(differs))
    if isinstance(entry, KCenter) and entry.features == "pixels":
        return Name(f"{known} (raw input)", _differences(where, vars(entry), vars(theirs)))
    kind = config.datasets[dataset_name].kind
    ours = config.options_of(dataset_name, name, int(ipc))
    try:
        papers = theirs.completed(kind, int(ipc), zca=False).model_dump(exclude={"algorithm"})
    except KeyError:  # without a published row there is no printed number either
        return None
    differs = _differences(where, ours, papers)
    if "architecture" in papers:
        differs += _network(config, where, ours["architecture"])
    if "augmentation" in papers:
        differs += _policy(config, where, ours["augmentation"], papers["augmentation"])
    if isinstance(entry, KCenter):
        differs += _features(config, entry.features)
    if isinstance(entry, TM):
        differs += _experts(config, entry.trajectories)
    return Name(known, differs)


def architecture(config: Config, name: str) -> Name | None:
    """Return the paper's name of a network."""
    entry = config.architectures[name]
    known = {"convnet": "ConvNet", "mlp": "MLP", "vit": "ViT"}.get(entry.network)
    if entry.network == "resnet":
        known = f"ResNet{entry.depth}"
    if known is None:
        return None
    theirs = type(entry)(**BUILT_IN["architectures"][known.lower()])
    return Name(known, _differences(f"architectures.{name}", vars(entry), vars(theirs)))


def augmentation(config: Config, name: str) -> Name | None:
    """Return the paper's name of an augmentation."""
    entry = config.augmentations[name]
    for known, paper in (
        *(("none", "n/a"), ("dsa", "DSA")),
        *((policy, policy) for policy in ("imagenet_aug", "randaug", "autoaug")),
    ):
        theirs = BUILT_IN["augmentations"][known]
        transforms = getattr(entry, "transforms", None)
        if (entry.policy, transforms) == (theirs["policy"], theirs.get("transforms")):
            theirs = type(entry)(**theirs)
            where = f"augmentations.{name}"
            return Name(paper, _differences(where, vars(entry), vars(theirs)))
    return None


def optimizer(config: Config, name: str) -> Name | None:
    """Return the paper's name of an optimizer."""
    entry = config.optimizers[name]
    known = {SGD: "SGD", Adam: "Adam"}.get(type(entry))
    if known is None:
        return None
    theirs = type(entry)(algorithm=entry.algorithm)
    return Name(known, _differences(f"optimizers.{name}", vars(entry), vars(theirs)))


def protocol(config: Config, augmentation_name: str) -> tuple[str, ...]:
    """Return how the training of the evaluated networks differs from the paper's.

    Without augmentation the paper's text has 1000 epochs and its code 300; both are accepted.
    """
    ours, differs = config.evaluation, []
    epochs, allowed = ours.epochs, [_EPOCHS]
    if config.augmentations[augmentation_name].policy == "none":
        epochs = ours.epochs_without_augmentation or ours.epochs
        allowed.append(_EPOCHS_WITHOUT)
    if epochs not in allowed:
        differs.append(f"evaluation: epochs {epochs} (paper: {' or '.join(map(str, allowed))})")
    if ours.batch_size != _BATCH:
        differs.append(f"evaluation: batch_size {ours.batch_size} (paper: {_BATCH})")
    return tuple(differs)


def _differences(where: str, ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[str, ...]:
    differs = []
    for key in theirs:
        if key == "gradient" and ours[key] != "tesla":  # two ways to the same gradient
            continue
        if key not in _NOT_COMPARED and ours[key] != theirs[key]:
            differs.append(f"{where}: {key} {ours[key]} (paper: {theirs[key]})")
    return tuple(differs)


def _network(config: Config, where: str, name: str) -> tuple[str, ...]:
    """Return how the network that a method uses differs from the paper's ConvNet."""
    known = architecture(config, name)
    if known is None or known.name != "ConvNet":
        return (f"{where}: architecture {name} (paper: ConvNet)",)
    return known.differs


def _policy(config: Config, where: str, name: str, policy: str) -> tuple[str, ...]:
    known = augmentation(config, name)
    if known is None or known.name != {"none": "n/a", "dsa": "DSA"}[policy]:
        return (f"{where}: augmentation {name} (paper: {policy})",)
    return known.differs


def _features(config: Config, name: str) -> tuple[str, ...]:
    entry, where = config.features[name], f"features.{name}"
    differs = _differences(where, vars(entry), vars(Features()))
    return differs + _network(config, where, entry.architecture)


def _experts(config: Config, name: str) -> tuple[str, ...]:
    entry, where = config.trajectories[name], f"trajectories.{name}"
    free = {"epochs": entry.epochs, "together": entry.together}
    differs = _differences(where, vars(entry), vars(Trajectories()) | free)
    differs += _policy(config, where, entry.augmentation, "dsa")
    return differs + _network(config, where, entry.architecture)
