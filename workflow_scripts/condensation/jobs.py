"""What each job is told: its options, complete, and the digest of its code.

Both are Snakemake params, so a change of either reruns the job. Free of torch.
"""

from pathlib import Path
from typing import Any

from condensation import archives, augmentation, networks
from condensation.config import Config
from condensation.digest import ROOT, source_digest
from condensation.grid import WHOLE
from condensation.options import Plugin


def prepare(config: Config, dataset: str) -> dict[str, Any]:
    """Return what the preparation of a dataset needs: its entry and the source digest."""
    return {
        "entry": config.datasets[dataset].model_dump(),
        "source": source_digest(ROOT / "prepare_dataset.py"),
    }


def archives_of(config: Config, dataset: str, downloads: str) -> list[str]:
    """Return the files that the preparation reads: the local path, or the downloads."""
    entry = config.datasets[dataset]
    if entry.path:
        return [str(Path(entry.path).expanduser())]
    return [f"{downloads}/{a.name}" for a in archives.OFFICIAL.get(entry.source, ())]


def extract_features(config: Config, features: str) -> dict[str, Any]:
    """Return the options of a feature extractor and the source digest."""
    options = config.features[features].model_dump()
    options["architecture"] = config.architectures[options["architecture"]].model_dump()
    options["optimizer"] = config.optimizers[options["optimizer"]].model_dump()
    return {
        "options": options,
        "source": source_digest(
            ROOT / "extract_features.py",
            networks.module_of(options["architecture"]),
            augmentation.module_of({"policy": "none"}),
        ),
    }


def features_of(config: Config, method: str) -> str | None:
    """Return the name of the features that a method reads, if it reads any."""
    entry = config.methods[method]
    uses = entry.algorithm == "kcenter" or getattr(entry, "init", None) == "kcenter"
    if isinstance(entry, Plugin):
        name = (entry.model_extra or {}).get("features")
        return name if name in config.features else None
    return entry.features if uses and entry.features != "pixels" else None


def condense(config: Config, dataset: str, method: str, ipc: str) -> dict[str, Any]:
    """Return a method's function, its options for this dataset and IPC, and the source digest."""
    entry = config.methods[method]
    if isinstance(entry, Plugin):
        options = dict(entry.model_extra or {})
        function = entry.algorithm
        sources = [function.rpartition(":")[0]]
    else:
        options = entry.model_dump(exclude={"algorithm"})
        function = f"condensation.methods.{entry.algorithm}"
        sources = [function]
    if entry.algorithm == "dm" and options["lr"] is None:
        # DM's own README: 10 for CIFAR-10 at IPC >= 100, 1 elsewhere (TinyImageNet is not given)
        large = config.datasets[dataset].kind == "cifar10" and ipc != WHOLE and int(ipc) >= 100
        options["lr"] = 10.0 if large else 1.0
    if options.get("init") == "kcenter":
        sources.append("condensation.methods.kcenter")
    if not isinstance(entry, Plugin):
        if "architecture" in options:
            options["architecture"] = config.architectures[options["architecture"]].model_dump()
            sources.append(networks.module_of(options["architecture"]))
        if "augmentation" in options:
            options["augmentation"] = config.augmentations[options["augmentation"]].model_dump()
            sources.append(augmentation.module_of(options["augmentation"]))
    return {
        "function": function,
        "options": options,
        "source": source_digest(ROOT / "condense.py", *sources),
    }


def evaluate(
    config: Config, architecture: str, augmentation_name: str, optimizer: str
) -> dict[str, Any]:
    """Return an evaluation's entries, the protocol and the source digest."""
    network = config.architectures[architecture].model_dump()
    policy = config.augmentations[augmentation_name].model_dump()
    protocol = config.evaluation.model_dump(exclude={"seeds_per_job"})
    return {
        "options": {
            "architecture": network,
            "augmentation": policy,
            "optimizer": config.optimizers[optimizer].model_dump(),
            "protocol": protocol,
        },
        "source": source_digest(
            ROOT / "evaluate.py", networks.module_of(network), augmentation.module_of(policy)
        ),
    }
