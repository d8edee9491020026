"""Estimates of what each job computes and holds in memory.

The unit is a *pass*: one image forward through a network. A forward and backward pass counts for
three. No result depends on these estimates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import ceil, prod
from pathlib import Path
from typing import Any

from condensation.config.methods import Plugin
from condensation.config.schema import Config
from condensation.core import memory
from condensation.planning import sizes
from condensation.workflow import layout
from condensation.workflow.grid import WHOLE, Grid, SetId
from condensation.workflow.jobs import train_expert

_FLOAT = 4  # bytes
CORRUPTED_COPIES = 30  # of the test images: corruptions times strengths
_PLUGIN_BYTES = 4e9  # requested for a user's method

_ESTIMATED = ("prepare_dataset", "fit_whitening", "train_expert", "extract_features")
_ESTIMATED += ("train_embedder", "embed_class", "condense", "evaluate", "train_architectures")
_ESTIMATED += ("find_neighbours", "measure_set")


@dataclass(frozen=True)
class Work:
    """The work of a job.

    Attributes
    ----------
    architecture : name of the network that the images pass; None: no network.
    passes : forward passes of one image, see above.
    steps : batches that are launched.
    operations : multiplications and additions besides the passes.
    device_bytes : peak memory on the device with the dataset.
    unsplit_bytes : the part of ``device_bytes`` that a CPU holds too, because it does not split it.
    host_bytes : peak memory of the process besides that and the libraries.
    disk_bytes : size of the output files.
    known : False if a size of a dataset or network is a guess.
    unknown : True for a user's method, whose bytes are a guess and whose time is unknown.
    """

    architecture: str | None = None
    passes: float = 0.0
    steps: float = 0.0
    operations: float = 0.0
    device_bytes: float = 0.0
    unsplit_bytes: float = 0.0
    host_bytes: float = 0.0
    disk_bytes: float = 0.0
    known: bool = True
    unknown: bool = False


def by_views(wildcards: Mapping[str, str]) -> bool:
    """Return whether a teacher labels each view in a job, which takes a pass more."""
    return layout.labels(wildcards.get("labels", "")) == "distilled_views"


class Estimator:
    """Estimates the jobs of a config.

    Parameters
    ----------
    results : the folder with prepared datasets.
    calibration : measured sizes of networks (``networks.measure.calibrate``). They replace the
        estimates while the entry and the image shape are those that were measured.
    images : sizes of datasets by name, where the caller knows them.
    """

    def __init__(
        self,
        config: Config,
        grid: Grid,
        results: Path | None = None,
        calibration: Mapping[str, Any] | None = None,
        images: Mapping[str, sizes.Images] | None = None,
    ):
        self.config, self.grid, self.results = config, grid, results
        self.known_images = images or {}
        self.measured = (calibration or {}).get("networks", {})
        self.images = cache(self._images)
        self.network = cache(self._network)
        self.expert = cache(self._expert)  # all experts take the same

    def of(self, rule: str, wildcards: dict[str, str]) -> Work:
        """Return the work of the job of ``rule`` with these wildcards."""
        return getattr(self, f"_{rule}")(wildcards)

    def knows(self, rule: str) -> bool:
        """Return whether jobs of a rule have an estimate: those of tables and figures do not."""
        return rule in _ESTIMATED

    def _images(self, dataset: str) -> sizes.Images:
        if dataset in self.known_images:
            return self.known_images[dataset]
        return sizes.images(self.config.datasets[dataset], self._prepared(dataset))

    def _prepared(self, dataset: str) -> Path | None:
        return self.results and self.results / layout.fill(layout.DATASET, dataset=dataset)

    def smallest_class(self, dataset: str) -> int | None:
        """Return the number of training images in the smallest class; None if it is unknown."""
        return sizes.smallest_class(self.images(dataset), self._prepared(dataset))

    def _network(self, architecture: str, dataset: str) -> sizes.Network:
        entry, data = self.entry(architecture), self.images(dataset)
        row = self.measured.get(architecture, {}).get(dataset, {})
        if row.get("entry") == entry and row.get("shape") == list(data.shape):
            return sizes.Network(**row["sizes"])
        return sizes.network(entry, data)

    def entry(self, architecture: str) -> dict[str, Any]:
        """Return the entry of an architecture; for ``nasbench201`` without a cell."""
        if architecture == "nasbench201":
            options = self.config.nas.network.model_dump()
            return {"network": "nasbench201", **options}
        return self.config.architectures[architecture].model_dump()

    def operations_of(self, work: Work, dataset: str) -> float:
        """Return all operations of a job."""
        if work.architecture is None:
            return work.operations
        return work.operations + work.passes * self.network(work.architecture, dataset).operations

    def _prepare_dataset(self, wildcards: dict[str, str]) -> Work:
        data = self.images(wildcards["dataset"])
        return Work(
            operations=200.0 * data.bytes,  # decoding
            host_bytes=3 * data.bytes,
            disk_bytes=data.bytes,
            known=data.known,
        )

    def _fit_whitening(self, wildcards: dict[str, str]) -> Work:
        data = self.images(wildcards["dataset"])
        pixels = prod(data.shape)
        return Work(
            operations=2.0 * data.train * pixels**2 + 30.0 * pixels**3,
            host_bytes=data.bytes + 8 * (data.train * pixels + 4 * pixels**2),
            disk_bytes=_FLOAT * pixels**2,
            known=data.known,
        )

    def _train_expert(self, wildcards: dict[str, str]) -> Work:
        return self.expert(wildcards["dataset"], wildcards["trajectories"])

    def _expert(self, dataset: str, name: str) -> Work:
        options = train_expert(self.config, self.grid, dataset, name)["options"]
        data, architecture = self.images(dataset), self.config.trajectories[name].architecture
        network = self.network(architecture, dataset)
        together = options["together"]
        kept = _FLOAT * network.parameters * (options["epochs"] + 1) * together
        return Work(
            architecture,
            passes=3.0 * options["epochs"] * data.train * together,
            steps=options["epochs"] * ceil(data.train / options["batch_size"]),
            device_bytes=data.bytes + _backward(network, options["batch_size"] * together),
            host_bytes=data.bytes + kept,
            disk_bytes=kept,
            known=data.known and network.known,
        )

    def _extract_features(self, wildcards: dict[str, str]) -> Work:
        return self._embedding(wildcards["dataset"], wildcards["features"], keeps=True)

    def _train_embedder(self, wildcards: dict[str, str]) -> Work:
        return self._embedding(wildcards["dataset"], wildcards["features"], keeps=False)

    def _embedding(self, dataset: str, features: str, keeps: bool) -> Work:
        entry, data = self.config.features[features], self.images(dataset)
        network = self.network(entry.architecture, dataset)
        kept = _FLOAT * (data.train * network.features if keeps else network.parameters)
        return Work(
            entry.architecture,
            passes=(3.0 * entry.epochs + (1 if keeps else 0)) * data.train,
            steps=entry.epochs * ceil(data.train / entry.batch_size),
            device_bytes=data.bytes + _backward(network, entry.batch_size),
            host_bytes=data.bytes + 2 * kept,
            disk_bytes=kept,
            known=data.known and network.known,
        )

    def _embed_class(self, wildcards: dict[str, str]) -> Work:
        entry = self.config.features[wildcards["features"]]
        data = self.images(wildcards["dataset"])
        count = data.train / data.classes
        return Work(
            entry.architecture,
            passes=2 * count,
            operations=1e7 * count**1.5,  # t-SNE: 2e-4 s times this power on a CPU core
            device_bytes=data.bytes,
            host_bytes=data.bytes + 8 * count**2,
        )

    def _condense(self, wildcards: dict[str, str]) -> Work:
        dataset, method = wildcards["dataset"], wildcards["method"]
        entry, data = self.config.methods[method], self.images(dataset)
        whole = wildcards["ipc"] == WHOLE
        count = data.train if whole else data.classes * int(wildcards["ipc"])
        image = _FLOAT * prod(data.shape)
        if isinstance(entry, Plugin):
            return Work(
                device_bytes=data.bytes + _PLUGIN_BYTES,
                host_bytes=data.bytes + _PLUGIN_BYTES,
                disk_bytes=count * image,
                known=False,
                unknown=True,
            )
        options = self.config.options_of(dataset, method, None if whole else int(wildcards["ipc"]))
        snapshots = len(options.get("snapshots") or [])
        held = {"host_bytes": data.bytes + 3 * count * image * (1 + snapshots)}
        held["disk_bytes"] = count * image * (1 + snapshots)
        clusters = entry.algorithm == "kcenter" or options.get("init") == "kcenter"
        greedy = entry.algorithm in ("herding", "greedy_kcenter")
        shown = count * entry.images_in_an_image
        chosen = _comparing(data, shown, rounds=100 if clusters else 2 if greedy else 0)
        if entry.features_read:
            features = self.config.features[entry.features_read]
            network = self.network(features.architecture, dataset)
            held["host_bytes"] += 2 * _FLOAT * data.train * network.features
        work = _METHODS.get(entry.algorithm)
        if work is None:  # it selects real images
            return Work(operations=chosen, device_bytes=data.bytes, **held, known=data.known)
        architecture = options.get("architecture")
        if entry.teacher_read:
            architecture = self.config.features[entry.teacher_read].architecture
        if entry.experts_read:
            architecture = self.config.trajectories[entry.experts_read[0]].architecture
        network = None if architecture is None else self.network(architecture, dataset)
        needs = work(options | {"memory_mb": self.config.compute.declared_mb}, data, shown, network)
        needs["device_bytes"] += data.bytes + 4 * shown * image
        needs["operations"] = needs.get("operations", 0.0) + chosen
        known = data.known and (network is None or network.known)
        return Work(architecture, **needs, **held, known=known)

    def _evaluate(self, wildcards: dict[str, str]) -> Work:
        dataset, protocol = wildcards["dataset"], self.config.evaluation
        data, architecture = self.images(dataset), wildcards["architecture"]
        network = self.network(architecture, dataset)
        whole = wildcards["ipc"] == WHOLE
        count = data.train if whole else data.classes * int(wildcards["ipc"])
        count *= self.config.methods[wildcards["method"]].images_in_an_image
        seeds = int(wildcards["last"]) - int(wildcards["first"]) + 1
        epochs = protocol.epochs
        if self.config.augmentations[wildcards["augmentation"]].policy == "none":
            epochs = protocol.epochs_without_augmentation or epochs
        epochs += 1 if protocol.inclusive else 0
        batch = min(count, protocol.batch_size)
        of_step = 4.0 if by_views(wildcards) else 3.0  # the teacher counts as a network
        copies = CORRUPTED_COPIES if protocol.corruptions else 0
        image = prod(data.shape)
        host_bytes = data.bytes + 3 * _FLOAT * count * image
        host_bytes += data.test * image if copies else 0  # a copy at a time
        return Work(
            architecture,
            passes=seeds * (of_step * epochs * count + (1 + copies) * data.test),
            steps=seeds * epochs * ceil(count / protocol.batch_size),
            # networks that do not fit together train in turn
            device_bytes=data.bytes + _FLOAT * count * image + _backward(network, batch),
            host_bytes=host_bytes,
            disk_bytes=20_000 * seeds,
            known=data.known and network.known,
        )

    def _find_neighbours(self, wildcards: dict[str, str]) -> Work:
        data = self.images(wildcards["dataset"])
        return self._distances(data, data.train, wildcards["view"])

    def _measure_set(self, wildcards: dict[str, str]) -> Work:
        data = self.images(wildcards["dataset"])
        view = self.config.preprocessing_of(wildcards["method"])
        return self._distances(data, data.classes * int(wildcards["ipc"]), view)

    def _distances(self, data: sizes.Images, count: int, view: str) -> Work:
        """The distances of ``count`` images to the real ones of their class, in float64."""
        pixels, per_class = prod(data.shape), data.train / data.classes
        inverting = 0.0 if view == "standardize" else 4.0 * data.train * pixels**2
        return Work(
            operations=2 * 3.0 * pixels * count * per_class + inverting,
            # a class as numbers and their copies, and a part of its distances
            host_bytes=data.bytes + 2 * _FLOAT * per_class * (4 * pixels + 2 * 1000),
            disk_bytes=16.0 * count,
            known=data.known,
        )

    def _train_architectures(self, wildcards: dict[str, str]) -> Work:
        nas, dataset = self.config.nas, wildcards["dataset"]
        data, network = self.images(dataset), self.network("nasbench201", dataset)
        ranked = self.grid.ranked[f"{dataset}/{wildcards['ranked']}"]
        epochs, seeds = nas.epochs, nas.evaluation_seeds
        held_out = nas.validation * data.train
        if isinstance(ranked, SetId):
            count = data.train if ranked.ipc == WHOLE else data.classes * int(ranked.ipc)
            count *= self.config.methods[ranked.method].images_in_an_image
        else:
            reference = nas.references[ranked]
            count = reference.images or data.train - held_out
            epochs, seeds = reference.epochs or epochs, reference.evaluation_seeds or seeds
        judged = min(nas.validation_images or held_out, held_out)
        networks = seeds * (int(wildcards["last"]) - int(wildcards["first"]) + 1)
        return Work(
            "nasbench201",
            passes=networks * (3.0 * epochs * count + judged),
            steps=networks * epochs * ceil(count / nas.training.batch_size),
            device_bytes=data.bytes + seeds * _backward(network, nas.training.batch_size),
            host_bytes=data.bytes + 3 * _FLOAT * min(count, 5000) * prod(data.shape),
            disk_bytes=2_000 * networks,
            known=data.known,
        )


def _backward(network: sizes.Network, images: float) -> float:
    """Return the bytes of a training step: all outputs of layers, and four copies of the weights.

    A CPU splits the batch (``compute.images_at_once``) and holds less.
    """
    return _FLOAT * images * network.outputs + 4 * _FLOAT * network.parameters


def _comparing(data: sizes.Images, count: int, rounds: int) -> float:
    """Return the operations of comparing 2048 values of selected images with those of a class.

    k-means takes about 100 rounds.
    """
    per_class = data.train / data.classes
    return rounds * 2.0 * 2048 * per_class * count


def _dm(options: dict, data: sizes.Images, count: int, network: sizes.Network) -> dict:
    real = min(options["batch_real"], data.train / data.classes)
    per_pass = max(1, 1024 // options["batch_real"])  # classes
    synthetic = min(per_pass, data.classes) * count / data.classes
    return {
        "passes": options["iterations"] * (data.classes * real + 3.0 * count),
        "steps": 2.0 * options["iterations"] * ceil(data.classes / per_pass),
        "device_bytes": _backward(network, synthetic) + _FLOAT * 1024 * network.outputs,
        "unsplit_bytes": _backward(network, synthetic),
    }


def _rded(options: dict, data: sizes.Images, count: int, network: sizes.Network) -> dict:
    pool = min(options["pool"], data.train / data.classes)
    return {
        "passes": float(options["crops"] * pool * data.classes),
        "steps": float(options["crops"] * data.classes),
        # all crops of a class, with the outputs of a pass (``compute.shown_at_once``), which holds
        # two or three layers of at most 1 GiB
        "device_bytes": _FLOAT * (options["crops"] + 2) * pool * prod(data.shape)
        + min(_FLOAT * 500 * network.outputs, 3 * 2**30),
    }


def _dc(options: dict, data: sizes.Images, count: int, network: sizes.Network) -> dict:
    real = min(options["batch_real"], data.train / data.classes)
    outer, inner, ipc = options["outer"], options["inner"], count / data.classes
    # the derivative of a gradient takes about nine passes
    matching = outer * data.classes * (3.0 * real + 12.0 * ipc)
    training = (outer - 1) * inner * 3.0 * count
    batches = (outer - 1) * inner * ceil(count / options["batch_network"])
    together = max(real, 2 * ipc, min(count, options["batch_network"]))
    return {
        "passes": options["iterations"] * (matching + training),
        "steps": options["iterations"] * (3.0 * outer * data.classes + batches),
        "device_bytes": _backward(network, together),
    }


def _tm(options: dict, data: sizes.Images, count: int, network: sizes.Network) -> dict:
    batch, steps = min(options["batch_syn"] or count, count), options["steps"]
    each = 3.0 + 9.0  # the student's step and its derivative
    trajectory = _FLOAT * network.parameters * (steps + 4)
    held = _backward(network, 2 * min(batch, options["chunk"] or batch))
    unrolls = options["gradient"] == "unroll"
    if options["gradient"] == "auto" and not options["chunk"]:
        unrolls = memory.unroll_fits(network.outputs, batch, steps, options["memory_mb"])
    if unrolls:
        held = memory.unrolled_bytes(network.outputs, batch, steps)
    return {
        "passes": options["iterations"] * steps * batch * each,
        "steps": options["iterations"] * steps * 3.0,
        "device_bytes": held + trajectory,
    }


def _kip(options: dict, data: sizes.Images, count: int, network: None) -> dict:
    pixels, real = prod(data.shape), min(options["batch_real"], data.train)
    if options["kernel"] == "fc_ntk":
        embedded, features = 0.0, pixels
    else:
        width, (_, height, side) = options["width"], data.shape
        area = height * side
        forward = 2 * 9 * width * (data.shape[0] * area + width * area / 4 + width * area / 16)
        embedded = options["networks"] * forward * (real + 3.0 * count)
        features = options["networks"] * width * area // 64
    between = 2.0 * features * (real + count) * count
    solving = count**3 / 3 + 2.0 * count**2 * data.classes
    whitening = 2.0 * real * pixels**2 if options.get("preprocessing", "").startswith("zca") else 0
    each = embedded + 3 * (between + solving) + whitening
    return {
        "passes": 0.0,
        "steps": 2.0 * options["iterations"],
        "operations": options["iterations"] * each,
        "device_bytes": 8.0 * (6 * count**2 + 6 * min(real, 1000) * count)
        + 8.0 * (real + count) * features,
    }


def _frepo(options: dict, data: sizes.Images, count: int, network: sizes.Network) -> dict:
    real, shown = min(options["batch_real"], data.train), 2.0 * count  # with mirror images
    trained = min(count, 500)
    products = 2.0 * network.features * (real + 3 * shown) * shown
    return {
        "passes": options["iterations"] * (real + 3.0 * shown + 3.0 * trained),
        "steps": 3.0 * options["iterations"],
        "operations": options["iterations"] * (products + 2.0 * shown**3),
        "device_bytes": _backward(network, max(shown, trained))
        + _FLOAT * (real * network.outputs + 3 * options["networks"] * network.parameters)
        + 8.0 * (6 * shown**2 + 2 * (real + shown) * network.features),
    }


_METHODS = {"dm": _dm, "dc": _dc, "dsa": _dc, "tm": _tm, "kip": _kip, "frepo": _frepo}
_METHODS |= {"datm": _tm, "rded": _rded}
