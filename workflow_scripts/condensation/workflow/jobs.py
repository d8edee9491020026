"""What each job is told: its options, complete, and the digest of its code.

Both are Snakemake params, so a change of either reruns the job. Free of torch.
"""

import hashlib
from pathlib import Path
from typing import Any

from condensation import augmentation, networks
from condensation.config.methods import SOFT_LABELS, TM, Plugin
from condensation.config.schema import Config
from condensation.files import archives, official
from condensation.nas import benchmark
from condensation.planning import sizes
from condensation.workflow.digest import ROOT, source_digest
from condensation.workflow.grid import WHOLE, Grid, SetId


def made_sets(config: Config, grid: Grid) -> list[SetId]:
    """Return the sets of the grid; of a partial config those that are there, with their cost."""
    if not config.partial:
        return grid.sets
    files = ("condensed.safetensors", "cost.json")
    return [
        one
        for one in grid.sets
        if all(Path(config.results_dir, one.folder, name).is_file() for name in files)
    ]


def prepare(config: Config, dataset: str) -> dict[str, Any]:
    """Return what the preparation of a dataset needs: its entry and the source digest.

    Of a user's folder also a digest of file names and sizes: Snakemake looks
    at the time of the folder alone.
    """
    entry = config.datasets[dataset]
    told = {"entry": entry.model_dump(), "source": source_digest(ROOT / "prepare_dataset.py")}
    if entry.path and Path(entry.path).expanduser().is_dir():
        told["files"] = archives.listing_digest(Path(entry.path).expanduser())
    return told


def check_images(config: Config, grid: Grid) -> list[str]:
    """Look at the names and headers of users' images before any job reads them.

    Those that were prepared as they are now are not looked at again. Returns what could not be
    looked at, as far as there is time for.

    Raises InputError that names the files, as ``image_files.check`` and ``official_files`` do.
    """
    unseen = []
    for name in dict.fromkeys(each.dataset for each in grid.sets):
        entry = config.datasets[name]
        path = Path(entry.path or "").expanduser()
        if not entry.path or not path.exists():  # Snakemake says so
            continue
        if entry.source != "image_folder":
            official.official_files(entry.source, [path])
            continue
        from condensation.files import (
            image_files,  # Pillow takes its time, and each job reads this file
        )

        prepared = sizes.metadata_of(Path(config.results_dir, name, "dataset.safetensors"))
        options = entry.model_dump()
        if prepared and prepared.get("source", {}).get("state") == image_files.state(path, options):
            continue
        if left := image_files.check(path, options):
            unseen.append(f"{name}: {left}")
    return unseen


def archives_of(config: Config, dataset: str, downloads: str) -> list[str]:
    """Return the files that the preparation reads: the local path, or the downloads."""
    entry = config.datasets[dataset]
    if entry.path:
        return [str(Path(entry.path).expanduser())]
    return [f"{downloads}/{a.name}" for a in official.OFFICIAL.get(entry.source, ())]


def extract_features(config: Config, features: str) -> dict[str, Any]:
    """Return the options of a feature extractor and the source digest."""
    told = _features_job(config, features, "extract_features.py")
    told["options"]["layer"] = config.features[features].layer
    return told


def train_embedder(config: Config, features: str) -> dict[str, Any]:
    """Return the options of the network behind figure 7 and the source digest."""
    return _features_job(config, features, "train_embedder.py")


def _features_job(config: Config, features: str, script: str) -> dict[str, Any]:
    options = config.features[features].model_dump(exclude={"layer"})
    options["architecture"] = config.architectures[options["architecture"]].model_dump()
    options["optimizer"] = config.optimizers[options["optimizer"]].model_dump()
    return {
        "options": options,
        "source": source_digest(
            ROOT / script,
            networks.module_of(options["architecture"]),
            augmentation.module_of({"policy": "none"}),
        ),
    }


def embed_class(config: Config, features: str) -> dict[str, Any]:
    """Return the class of figure 7 and the source digest."""
    architecture = config.architectures[config.features[features].architecture].model_dump()
    digest = source_digest(ROOT / "embed_class.py", networks.module_of(architecture))
    return {"label": config.figure7.label, "source": digest}


def features_of(config: Config, method: str) -> str | None:
    """Return the name of the features that a method reads, if it reads any."""
    entry = config.methods[method]
    uses = entry.algorithm == "kcenter" or getattr(entry, "init", None) == "kcenter"
    if isinstance(entry, Plugin):
        uses = getattr(entry, "features", None) is not None
    return entry.features if uses and entry.features != "pixels" else None


def fit_whitening() -> dict[str, Any]:
    """Return the source digest of the whitening."""
    return {"source": source_digest(ROOT / "fit_whitening.py")}


def train_expert(config: Config, grid: Grid, dataset: str, trajectories: str) -> dict[str, Any]:
    """Return an expert's options, with the epochs that the grid's sets need, and the digest."""
    options = config.trajectories[trajectories].model_dump()
    if options["epochs"] is None:
        reads = [0]
        for one in grid.sets:
            entry = config.methods[one.method]
            wanted = isinstance(entry, TM) and entry.trajectories == trajectories
            if wanted and one.dataset == dataset:
                row = config.options_of(dataset, one.method, int(one.ipc))
                reads.append(row["max_start"] - 1 + row["expert_epochs"])
        options["epochs"] = max(reads)
    options["architecture"] = config.architectures[options["architecture"]].model_dump()
    options["augmentation"] = config.augmentations[options["augmentation"]].model_dump()
    return {
        "options": options,
        "source": source_digest(
            ROOT / "train_expert.py",
            networks.module_of(options["architecture"]),
            augmentation.module_of(options["augmentation"]),
        ),
    }


def experts_of(config: Config, method: str) -> tuple[str, int] | None:
    """Return the name of the trajectories that a method reads and how many, if it reads any."""
    entry = config.methods[method]
    return (entry.trajectories, entry.experts) if isinstance(entry, TM) else None


def imported_files(config: Config, set_id: SetId) -> list[str]:
    """Return the files of an imported set; none for other methods."""
    entry = config.methods[set_id.method]
    if entry.algorithm != "imported":
        return []
    paths = [_filled(path, set_id) for path in (entry.path, entry.labels_path) if path]
    return [str(Path(path).expanduser()) for path in paths]


def _filled(path: str, set_id: SetId) -> str:
    return path.format(dataset=set_id.dataset, ipc=set_id.ipc, seed=set_id.condensation_seed)


def condense(config: Config, set_id: SetId) -> dict[str, Any]:
    """Return a method's function, its options for this set, and the source digest."""
    entry = config.methods[set_id.method]
    if isinstance(entry, Plugin):
        options = dict(entry.model_extra or {})
        snapshots = []
        function = entry.algorithm
        sources = [function.rpartition(":")[0]]
    else:
        ipc = None if set_id.ipc == WHOLE else int(set_id.ipc)
        options = config.options_of(set_id.dataset, set_id.method, ipc)
        # these are seen to before and after the method runs
        snapshots = sorted(set(options.pop("snapshots", [])))
        options.pop("preprocessing", None)
        options.pop("labels", None)
        function = f"condensation.methods.{entry.algorithm}"
        sources = [function]
    if options.get("init") == "kcenter":
        sources.append("condensation.methods.kcenter")
    if isinstance(entry, TM):  # its network is the experts'
        architecture = config.trajectories[entry.trajectories].architecture
        options["architecture"] = architecture
        sources.append("condensation.methods.experts")
    if isinstance(options.get("architecture"), str):
        options["architecture"] = config.architectures[options["architecture"]].model_dump()
        sources.append(networks.module_of(options["architecture"]))
    if isinstance(options.get("augmentation"), str):
        options["augmentation"] = config.augmentations[options["augmentation"]].model_dump()
        sources.append(augmentation.module_of(options["augmentation"]))
    for key in ("path", "labels_path"):
        if entry.algorithm == "imported" and options[key]:
            options[key] = _filled(options[key], set_id)
    if options.get("run") == "seed" and entry.algorithm == "imported":
        options["run"] = set_id.condensation_seed
    folders = [path for path in imported_files(config, set_id) if Path(path).is_dir()]
    return {
        "function": function,
        "options": options,
        "labels": getattr(entry, "labels", SOFT_LABELS),
        **({"files": [archives.listing_digest(Path(path)) for path in folders]} if folders else {}),
        "snapshots": snapshots,
        "preprocessing": config.preprocessing_of(set_id.method),
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


def make_leaderboard() -> dict[str, Any]:
    """Return the source digest of the leaderboard, and that of the page's own files."""
    folder = ROOT / "condensation" / "leaderboard"
    page = hashlib.sha256()
    for path in sorted(folder.glob("page.*")):
        page.update(path.read_bytes())
    return {
        "source": source_digest(ROOT / "make_leaderboard.py"),
        "page": page.hexdigest()[:16],
    }


def architectures_table(config: Config, downloads: str) -> str | None:
    """Return the file with the true accuracies: the config's own, the download, or none."""
    assert config.nas is not None
    if config.nas.truth != "benchmark":
        return None
    own = config.nas.table
    return str(Path(own).expanduser()) if own else f"{downloads}/{benchmark.NAME}"


def sample_architectures(config: Config) -> dict[str, Any]:
    """Return how architectures are drawn, and the source digest."""
    nas = config.nas
    assert nas is not None
    options: dict[str, Any] = {"count": nas.architectures, "seed": nas.seed}
    options["connected"] = nas.connected
    if nas.truth == "benchmark":
        options["column"] = nas.column or benchmark.COLUMNS[config.datasets[nas.dataset].kind]
    return {"options": options, "source": source_digest(ROOT / "sample_architectures.py")}


def train_architectures(config: Config, ranked: SetId | str) -> dict[str, Any]:
    """Return what networks of the architectures are trained on and how, and the source digest.

    ``ranked`` is a condensed set, or the name of a reference.
    """
    nas = config.nas
    assert nas is not None
    same = {"network", "training", "epochs", "evaluation_seeds"}
    same |= {"seed", "validation", "validation_images"}
    options = nas.model_dump(include=same) | {"images": None}
    if isinstance(ranked, SetId):
        about = {"method": ranked.method, "ipc": ranked.ipc, "reference": None}
        about["condensation_seed"] = ranked.condensation_seed
    else:
        own = nas.references[ranked].model_dump()
        options |= {name: value for name, value in own.items() if value is not None}
        about = {"method": None, "ipc": None, "condensation_seed": None, "reference": ranked}
    return {
        "options": options,
        "trained_on": {"dataset": nas.dataset, **about},
        "source": source_digest(
            ROOT / "train_architectures.py", networks.module_of({"network": "nasbench201"})
        ),
    }


def rank_architectures(config: Config) -> dict[str, Any]:
    """Return what the rankings are compared with and how, and the source digest."""
    nas = config.nas
    assert nas is not None
    truth = f"proxy accuracy after training on all images that are not held out ({nas.whole})"
    if nas.truth == "benchmark":
        origin = Path(nas.table).name if nas.table else "NAS-Bench-201, 200 epochs, mean over seeds"
        truth = f"test accuracy of the network trained in full ({origin})"
    return {
        "options": {
            "dataset": nas.dataset,
            "truth": truth,
            "whole": nas.whole if nas.truth == "whole" else None,
            "resamples": nas.resamples,
            "seed": nas.seed,
            "note": nas.note,
        },
        "source": source_digest(ROOT / "rank_architectures.py"),
    }
