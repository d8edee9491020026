"""Which of the paper's names an entry of a config answers to, and in what it differs.

By what an entry is, not by what it is called: a dataset by its kind, a method
by algorithm, start and features, and so on. ``differs`` lists the options that
are not the paper's; a number made with them is another protocol's. Free of torch.
"""

from dataclasses import dataclass
from typing import Any

from condensation.config.entries import SGD, Adam, Features, Trajectories
from condensation.config.methods import KIP, METHODS, TM, KCenter
from condensation.config.schema import BUILT_IN, Config
from condensation.workflow.grid import WHOLE

DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "tinyimagenet": "TinyImageNet"}
METHOD_NAMES = {name: entry.paper_name for name, entry in METHODS.items() if entry.paper_name}
_EPOCHS, _EPOCHS_WITHOUT = 1000, 300  # the text's, and the released code's without augmentation
_BATCH = 256
# what a result does not depend on, or what is looked at on its own
_NO_MATTER = {"algorithm", "snapshots", "chunk", "features", "trajectories"}
_NO_MATTER |= {"architecture", "augmentation"}


@dataclass(frozen=True)
class Name:
    """A name in the paper, and in what an entry differs from what the paper means by it."""

    name: str
    differs: tuple[str, ...] = ()


def dataset(config: Config, name: str) -> Name | None:
    """Return the paper's name of a dataset, which is that of the official one it is, or is like."""
    known = DATASETS.get(config.datasets[name].kind)
    return Name(known) if known else None


def method(config: Config, dataset_name: str, name: str, ipc: str) -> Name | None:
    """Return the paper's name of a method at an IPC; None for one that no table holds.

    K-Center on pixels is ``K-Center (raw input)``. The tables' sets start from
    real images, and DC's up to IPC 50 from noise; other starts are those of
    Figures 4 and 6.
    """
    entry = config.methods[name]
    if entry.algorithm not in METHOD_NAMES or type(entry) is not METHODS[entry.algorithm]:
        return None
    known = METHOD_NAMES[entry.algorithm]
    if ipc == WHOLE:
        return Name(known)
    theirs = type(entry).as_in_paper(int(ipc))
    if getattr(entry, "init", None) != getattr(theirs, "init", None):
        return None
    where = f"methods.{name}"
    if isinstance(entry, KIP):  # the paper took sets that are published; their options are not
        differs = [f"{where}: made here with kernel {entry.kernel} (paper: published, ConvNet3)"]
        return Name(known, tuple(differs))
    if isinstance(entry, KCenter) and entry.features == "pixels":
        return Name(f"{known} (raw input)", _differences(where, vars(entry), vars(theirs)))
    kind = config.datasets[dataset_name].kind
    ours = config.options_of(dataset_name, name, int(ipc))
    try:
        wanted = theirs.completed(kind, int(ipc), zca=False).model_dump(exclude={"algorithm"})
    except KeyError:  # no published row: no printed number either
        return None
    differs = _differences(where, ours, wanted)
    if "architecture" in wanted:
        differs += _network(config, where, ours["architecture"])
    if "augmentation" in wanted:
        differs += _policy(config, where, ours["augmentation"], wanted["augmentation"])
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
        *((one, one) for one in ("imagenet_aug", "randaug", "autoaug")),
    ):
        theirs = BUILT_IN["augmentations"][known]
        same = entry.policy == theirs["policy"]
        if same and getattr(entry, "transforms", None) == theirs.get("transforms"):
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
    """Return in what the training of the judged networks differs from the paper's.

    Without augmentation its text says 1000 epochs and its code 300; both pass.
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
    found = []
    for key in theirs:
        one, other = ours[key], theirs[key]
        if key == "gradient" and one != "tesla":  # two ways to the same gradient
            continue
        if key not in _NO_MATTER and one != other:
            found.append(f"{where}: {key} {one} (paper: {other})")
    return tuple(found)


def _network(config: Config, where: str, name: str) -> tuple[str, ...]:
    """Return in what a network that a method uses differs from the paper's, a ConvNet."""
    found = architecture(config, name)
    if found is None or found.name != "ConvNet":
        return (f"{where}: architecture {name} (paper: ConvNet)",)
    return found.differs


def _policy(config: Config, where: str, name: str, wanted: str) -> tuple[str, ...]:
    found = augmentation(config, name)
    if found is None or found.name != {"none": "n/a", "dsa": "DSA"}[wanted]:
        return (f"{where}: augmentation {name} (paper: {wanted})",)
    return found.differs


def _features(config: Config, name: str) -> tuple[str, ...]:
    entry, where = config.features[name], f"features.{name}"
    differs = _differences(where, vars(entry), vars(Features()))
    return differs + _network(config, where, entry.architecture)


def _experts(config: Config, name: str) -> tuple[str, ...]:
    entry, where = config.trajectories[name], f"trajectories.{name}"
    differs = _differences(where, vars(entry), vars(Trajectories()) | {"epochs": entry.epochs})
    differs += _policy(config, where, entry.augmentation, "dsa")
    return differs + _network(config, where, entry.architecture)
