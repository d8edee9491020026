"""Parameters of each job: its complete options and the digest of its code.

Both are Snakemake params, so a change of either reruns the job.
"""

import hashlib
from pathlib import Path
from typing import Any

from condensation.config.experiments import DISTILLED, OWN
from condensation.config.methods.base import SOFT_LABELS, Synthesis
from condensation.config.nas import BENCHMARK_COLUMNS, BENCHMARK_TABLE
from condensation.config.schema import Config
from condensation.core import tensor_headers
from condensation.core.errors import InputError
from condensation.files import archives, official
from condensation.workflow import layout, sources
from condensation.workflow.digest import ROOT, code_of
from condensation.workflow.grid import WHOLE, Grid, SetId


def made_sets(config: Config, grid: Grid) -> list[SetId]:
    """Return the sets of the grid; with ``partial``, those that are there with their cost."""
    if not config.partial:
        return grid.sets
    patterns = (layout.CONDENSED, layout.COST)
    return [
        set_id
        for set_id in grid.sets
        if all(
            Path(config.results_dir, layout.fill(pattern, **set_id.wildcards)).is_file()
            for pattern in patterns
        )
    ]


def prepare(config: Config, dataset: str) -> dict[str, Any]:
    """Return a dataset's entry and the source digest of its preparation.

    For a user's folder also a digest of the files that are read: Snakemake looks only at the
    modification time of the folder itself.
    """
    entry = config.datasets[dataset]
    job = {"entry": entry.model_dump(), **code_of("prepare_dataset")}
    if entry.path and (folder := Path(entry.path).expanduser()).is_dir():
        if entry.source == "image_folder":
            from condensation.files import image_files  # as in ``check_images``

            job["files"] = image_files.listing_digest(folder, entry.subset)
        else:
            known = official.known_names(entry.source)
            job["files"] = archives.listing_digest(folder, known.__contains__)
    return job


def check_images(config: Config, grid: Grid) -> list[str]:
    """Check names and headers of users' images before any job reads them.

    Images that have not changed since their dataset was prepared are skipped.

    Returns
    -------
    list of str
        One line per dataset whose check ran out of time: what was not checked.

    Raises
    ------
    InputError
        Names the files, as ``image_files.check`` and ``official.official_files`` do; or if a folder
        of the run lies among the images.
    """
    unchecked = []
    for name in dict.fromkeys(set_id.dataset for set_id in grid.sets):
        entry = config.datasets[name]
        path = Path(entry.path or "").expanduser()
        if not entry.path or not path.exists():  # Snakemake reports a missing path
            continue
        if entry.source != "image_folder":
            official.official_files(entry.source, [path])
            continue
        # here: importing Pillow is slow, and each job reads this module
        from condensation.files import image_files

        for option in ("results_dir", "figures_dir"):
            folder = Path(getattr(config, option))
            if image_files.is_among(folder, path, entry.subset):
                raise InputError(
                    f"{option}: {folder} lies among the images of `{name}` ({path}), which would "
                    "change with each run; choose a folder elsewhere"
                )
        prepared = tensor_headers.metadata(
            Path(config.results_dir, layout.fill(layout.DATASET, dataset=name))
        )
        options = entry.model_dump()
        if prepared and prepared.get("source", {}).get("state") == image_files.state(path, options):
            continue
        if rest := image_files.check(path, options):
            unchecked.append(f"{name}: {rest}")
    return unchecked


def archives_of(config: Config, dataset: str, downloads: str) -> list[str]:
    """Return the files that the preparation reads: the local path, or the downloads."""
    entry = config.datasets[dataset]
    if entry.path:
        return [str(Path(entry.path).expanduser())]
    return [f"{downloads}/{archive.name}" for archive in official.OFFICIAL.get(entry.source, ())]


def extract_features(config: Config, features: str) -> dict[str, Any]:
    """Return the options of a feature extractor and the source digest."""
    job = _features_job(config, features, "extract_features")
    job["options"] |= config.features[features].model_dump(include={"layer", "scores"})
    return job


def train_embedder(config: Config, features: str) -> dict[str, Any]:
    """Return the options of a network for figure 7 or a teacher, and the source digest."""
    return _features_job(config, features, "train_embedder")


def _features_job(config: Config, features: str, script: str) -> dict[str, Any]:
    options = config.features[features].model_dump(exclude={"layer", "scores"})
    if options["precision"] == "float32":  # as before the option existed
        del options["precision"]
    options["architecture"] = config.architectures[options["architecture"]].model_dump()
    options["optimizer"] = config.optimizers[options["optimizer"]].model_dump()
    return {
        "options": options,
        **code_of(
            script,
            *sources.of_network(options["architecture"]),
            *sources.of_augmentation({"policy": "none"}),
        ),
    }


def embed_class(config: Config, features: str) -> dict[str, Any]:
    """Return the class of figure 7 and the source digest."""
    architecture = config.architectures[config.features[features].architecture].model_dump()
    code = code_of("embed_class", *sources.of_network(architecture))
    return {"label": config.figure7.label, **code}


def features_of(config: Config, method: str) -> str | None:
    """Return the name of the features that a method reads, or None."""
    return config.methods[method].features_read


def fit_whitening() -> dict[str, Any]:
    """Return the source digest of the whitening."""
    return code_of("fit_whitening")


def train_expert(config: Config, grid: Grid, dataset: str, trajectories: str) -> dict[str, Any]:
    """Return an expert's options and the source digest; ``epochs`` suffice for the grid's sets."""
    options = config.trajectories[trajectories].model_dump()
    if options["epochs"] is None:
        completed = [
            config.completed(dataset, set_id.method, int(set_id.ipc))
            for set_id in grid.sets
            if set_id.dataset == dataset
            and (experts_of(config, set_id.method) or (None,))[0] == trajectories
        ]
        options["epochs"] = max((entry.last_expert_epoch for entry in completed), default=0)
    options["architecture"] = config.architectures[options["architecture"]].model_dump()
    options["augmentation"] = config.augmentations[options["augmentation"]].model_dump()
    return {
        "options": options,
        **code_of(
            "train_expert",
            *sources.of_network(options["architecture"]),
            *sources.of_augmentation(options["augmentation"]),
        ),
    }


def experts_of(config: Config, method: str) -> tuple[str, int] | None:
    """Return the name of the trajectories that a method reads and their number, or None."""
    return config.methods[method].experts_read


def expert_blocks(config: Config, method: str) -> list[str]:
    """Return the names of the jobs that train a method's experts: ``0``, ``1``, … or ``0-7``, …"""
    experts = experts_of(config, method)
    if experts is None:
        return []
    trajectories, count = experts
    size = config.trajectories[trajectories].together
    starts = range(0, count, size)
    return [str(first) if size == 1 else f"{first}-{first + size - 1}" for first in starts]


def imported_files(config: Config, set_id: SetId) -> list[str]:
    """Return the users' files that the method reads for a set."""
    files = config.methods[set_id.method].files(
        set_id.dataset, set_id.ipc, set_id.condensation_seed
    )
    return [str(Path(path).expanduser()) for path in files.values()]


def condense(config: Config, set_id: SetId) -> dict[str, Any]:
    """Return a method's function, its options for this set, and the source digest."""
    entry = config.methods[set_id.method]
    ipc = None if set_id.ipc == WHOLE else int(set_id.ipc)
    options = entry.arguments(
        config.options_of(set_id.dataset, set_id.method, ipc),
        *(set_id.dataset, set_id.ipc, set_id.condensation_seed),
    )
    modules = list(entry.sources)
    if experts := experts_of(config, set_id.method):  # the method uses the experts' network
        options["architecture"] = config.trajectories[experts[0]].architecture
    if entry.teacher_read:
        teacher = config.features[entry.teacher_read].architecture
        network = config.architectures[teacher].model_dump()
        modules += ["condensation.networks.stored", *sources.of_network(network)]
    if isinstance(options.get("architecture"), str):
        options["architecture"] = config.architectures[options["architecture"]].model_dump()
        modules += sources.of_network(options["architecture"])
    if isinstance(options.get("augmentation"), str):
        options["augmentation"] = config.augmentations[options["augmentation"]].model_dump()
        modules += sources.of_augmentation(options["augmentation"])
    folders = [path for path in imported_files(config, set_id) if Path(path).is_dir()]
    listed = [archives.listing_digest(Path(path), archives.is_picture) for path in folders]
    return {
        "function": entry.function,
        "options": options,
        "labels": getattr(entry, "labels", SOFT_LABELS),
        **({"files": listed} if folders else {}),
        "snapshots": sorted(set(entry.snapshots)) if isinstance(entry, Synthesis) else [],
        "preprocessing": config.preprocessing_of(set_id.method),
        **code_of("condense", *modules),
    }


def evaluate(
    config: Config, architecture: str, augmentation_name: str, optimizer: str, labels: str = OWN
) -> dict[str, Any]:
    """Return the entries that an evaluation uses, the protocol and the source digest."""
    network = config.architectures[architecture].model_dump()
    policy = config.augmentations[augmentation_name].model_dump()
    options: dict[str, Any] = {
        "architecture": network,
        "augmentation": policy,
        "optimizer": config.optimizers[optimizer].model_dump(),
        "protocol": config.evaluation.model_dump(exclude={"seeds_per_job", "corruptions"}),
    }
    modules = [*sources.of_network(network), *sources.of_augmentation(policy)]
    if config.evaluation.corruptions:
        options["corruptions"] = True
        modules.append("condensation.training.robustness")
    if labels != OWN:
        options["labels"] = labels
    if labels in DISTILLED:
        teacher = train_embedder(config, config.teacher.features)["options"]
        options["teacher"] = {**teacher, "temperature": config.teacher.temperature}
        modules += ["condensation.networks.stored", *sources.of_network(teacher["architecture"])]
    return {"options": options, **code_of("evaluate", *modules)}


def make_leaderboard() -> dict[str, Any]:
    """Return the source digest of the leaderboard and the digest of the page's template files."""
    folder = ROOT / "condensation" / "leaderboard"
    page = hashlib.sha256()
    for path in sorted(folder.glob("page.*")):
        page.update(path.read_bytes())
    return {
        **code_of("make_leaderboard"),
        "page": page.hexdigest()[:16],
    }


def architectures_table(config: Config, downloads: str) -> str | None:
    """Return the file with the true accuracies: the user's, the download, or None."""
    assert config.nas is not None
    if config.nas.truth != "benchmark":
        return None
    table = config.nas.table
    return str(Path(table).expanduser()) if table else f"{downloads}/{BENCHMARK_TABLE}"


def sample_architectures(config: Config) -> dict[str, Any]:
    """Return the options of the draw of architectures and the source digest."""
    nas = config.nas
    assert nas is not None
    options: dict[str, Any] = {"count": nas.architectures, "seed": nas.seed}
    options["connected"] = nas.connected
    if nas.truth == "benchmark":
        options["column"] = nas.column or BENCHMARK_COLUMNS[config.datasets[nas.dataset].kind]
    return {"options": options, **code_of("sample_architectures")}


def train_architectures(config: Config, ranked: SetId | str) -> dict[str, Any]:
    """Return training images and options for networks of the architectures, and the source digest.

    ``ranked`` is a condensed set, or the name of a reference.
    """
    nas = config.nas
    assert nas is not None
    shared = {"network", "training", "epochs", "evaluation_seeds"}
    shared |= {"seed", "validation", "validation_images"}
    options = nas.model_dump(include=shared) | {"images": None}
    if isinstance(ranked, SetId):
        images = {"method": ranked.method, "ipc": ranked.ipc, "reference": None}
        images["condensation_seed"] = ranked.condensation_seed
    else:
        options |= nas.references[ranked].model_dump(exclude_none=True)
        images = {"method": None, "ipc": None, "condensation_seed": None, "reference": ranked}
    return {
        "options": options,
        "trained_on": {"dataset": nas.dataset, **images},
        **code_of("train_architectures", *sources.of_network({"network": "nasbench201"})),
    }


def rank_architectures(config: Config) -> dict[str, Any]:
    """Return the options of the comparison of rankings and the source digest."""
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
        **code_of("rank_architectures"),
    }
