"""Try networks, pipelines, optimizers, a user's table and the device before any job starts.

Separate processes (``try_networks.py``, ``try_device.py``) load torch for it, unless all of the
config is sure to fit. Without torch, or while the size of the images is unknown, the jobs report
what does not work.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from condensation.config import checks
from condensation.config.methods.base import MultiFormation
from condensation.config.schema import Config
from condensation.core import factors
from condensation.core.errors import InputError
from condensation.planning.work import Estimator
from condensation.planning.worklist import trained_networks
from condensation.workflow import jobs
from condensation.workflow.digest import ROOT
from condensation.workflow.grid import WHOLE, Grid


def check(config: Config, grid: Grid, results: Path) -> None:
    """Raise InputError with a line per option, network or pipeline that does not fit the images.

    ``results`` is the folder with prepared datasets.
    """
    estimator = Estimator(config, grid, results)
    problems = [
        *problems_of_ipc(config, grid, estimator.smallest_class),
        *_problems_of_factor(config, grid, estimator),
        *_problems_of_figure7(config, estimator),
        *_problems_of_nas(config, estimator),
    ]
    if problems:
        raise InputError("\n".join(problems))
    trials = [*_trials(config, grid, estimator), *_table(config)]
    if not trials:
        return
    command = [sys.executable, str(ROOT / "try_networks.py")]
    process = subprocess.run(
        command, input=json.dumps(trials), capture_output=True, text=True, check=False
    )
    if process.returncode == 0:
        problems = json.loads(process.stdout.splitlines()[-1])
        if problems:
            raise InputError("\n".join(problems))
    elif "ModuleNotFoundError" not in process.stderr:
        last = (process.stderr.splitlines() or [f"exit code {process.returncode}"])[-1]
        print(f"the config could not be tried before the run: {last}", file=sys.stderr)


def check_device(name: str) -> None:
    """Raise InputError if ``compute.device`` names a GPU that torch cannot use on this machine."""
    if name.partition(":")[0] != "cuda":
        return
    command = [sys.executable, str(ROOT / "try_device.py"), name]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode == 0 and process.stdout:
        raise InputError(
            f"{process.stdout.splitlines()[-1]}. Run on a machine with this GPU, or set "
            "`compute: {device: auto}`, which takes the CPU where there is no GPU"
        )


def problems_of_ipc(
    config: Config, grid: Grid, smallest_class: Callable[[str], int | None]
) -> Iterator[str]:
    """Yield a line per method and dataset that needs more real images than a class has.

    ``smallest_class`` returns how many training images the smallest class of a dataset has, or None
    if that is unknown.
    """
    needed: dict[tuple[str, str], int] = {}
    for condensed in grid.sets:
        if condensed.ipc == WHOLE:
            continue
        key = condensed.dataset, condensed.method
        images = config.methods[condensed.method].real_images_needed(int(condensed.ipc))
        needed[key] = max(needed.get(key, 0), images)
    for (dataset, method), images in needed.items():
        smallest = smallest_class(dataset)
        if smallest is not None and images > smallest:
            yield checks.too_few_images(method, images, dataset, smallest)


def _problems_of_factor(config: Config, grid: Grid, estimator: Estimator) -> Iterator[str]:
    """Yield a line per method whose images would have parts without a pixel."""
    for dataset, method in dict.fromkeys((each.dataset, each.method) for each in grid.sets):
        entry, data = config.methods[method], estimator.images(dataset)
        if not isinstance(entry, MultiFormation) or not data.known:
            continue
        if problem := factors.problem(entry.factor, data.shape):
            yield f"methods.{method}.{problem}, for {dataset}"


def _problems_of_figure7(config: Config, estimator: Estimator) -> Iterator[str]:
    """Yield a line per dataset without the class of figure 7."""
    if config.figure7 is None:
        return
    for dataset in config.figure7.datasets:
        data, label = estimator.images(dataset), config.figure7.label
        if data.known and label >= data.classes:
            yield f"figure7.label: {label}, but {dataset} has the classes 0 to {data.classes - 1}"


def _problems_of_nas(config: Config, estimator: Estimator) -> Iterator[str]:
    """Yield a line per option of the ranking that does not fit the images."""
    nas = config.nas
    if nas is None or not (data := estimator.images(nas.dataset)).known:
        return
    if any(side % 4 for side in data.shape[1:]):
        sides = "x".join(map(str, data.shape[1:]))
        yield (
            f"nas.dataset: the networks halve images twice, so their sides must be multiples of 4, "
            f"but {nas.dataset} has {sides} pixels"
        )
    # the mean bounds the smallest
    smallest = estimator.smallest_class(nas.dataset) or data.train // data.classes
    held = round(nas.validation * smallest)
    if not 0 < held < smallest:
        part = "to train on" if held else "to validate on"
        yield (
            f"nas.validation: {nas.validation} leaves a class of {nas.dataset}, of {smallest} "
            f"training images, none {part}"
        )
    parts = {"nas.validation_images": (nas.validation_images, held)}
    for name, reference in nas.references.items():
        parts[f"nas.references.{name}.images"] = reference.images, smallest - held
    for where, (images, most) in parts.items():
        if images and (images % data.classes or images // data.classes > most):
            yield (
                f"{where}: {images}, but it must be a multiple of {data.classes}, the number of "
                f"classes of {nas.dataset}, and at most {most * data.classes}"
            )


def _trials(config: Config, grid: Grid, estimator: Estimator) -> list[dict[str, Any]]:
    """Return the combinations to try of architecture, augmentation or optimizer, use, and images.

    Uses: ``train``, ``embed`` (DM, features) and ``differentiate`` (DC, DSA, TM).
    """
    uses: dict[tuple[str, str, str, str], int] = {}

    def add(section: str, name: str, dataset: str, use: str, images: int = 2) -> None:
        entry, data = getattr(config, section)[name], estimator.images(dataset)
        if data.known and not _surely_fits(entry, data.shape):
            key = (section, name, dataset, use)
            uses[key] = min(uses.get(key, images), images)

    for cell, *_ in grid.evaluations():
        dataset, data = cell.set.dataset, estimator.images(cell.set.dataset)
        images = data.train if cell.set.ipc == WHOLE else data.classes * int(cell.set.ipc)
        images = min(images, config.evaluation.batch_size, 2)
        add("architectures", cell.architecture, dataset, "train", images)
        add("augmentations", cell.augmentation, dataset, "transform")
        add("optimizers", cell.optimizer, dataset, "optimize")
    for condensed in grid.sets:
        entry = config.methods[condensed.method]
        if entry.network_use:
            add("architectures", entry.architecture, condensed.dataset, entry.network_use)
        if features := jobs.features_of(config, condensed.method):
            add("architectures", config.features[features].architecture, condensed.dataset, "embed")
            add("optimizers", config.features[features].optimizer, condensed.dataset, "optimize")
        if experts := jobs.experts_of(config, condensed.method):
            expert = config.trajectories[experts[0]]
            add("architectures", expert.architecture, condensed.dataset, "differentiate")
            add("augmentations", expert.augmentation, condensed.dataset, "transform")
    for dataset, features, _ in trained_networks(config, grid):
        add("architectures", config.features[features].architecture, dataset, "embed")
        add("optimizers", config.features[features].optimizer, dataset, "optimize")
    return [
        {
            "where": f"{section}.{name} on {dataset}",
            "entry": getattr(config, section)[name].model_dump(),
            "use": use,
            "images": images,
            "shape": estimator.images(dataset).shape,
            "classes": estimator.images(dataset).classes,
        }
        for (section, name, dataset, use), images in uses.items()
    ]


def _table(config: Config) -> Iterator[dict[str, Any]]:
    """Yield the draw of architectures from the user's table, if there is one."""
    if config.nas is None or not config.nas.table:
        return
    table = Path(config.nas.table).expanduser()
    if table.exists():  # Snakemake reports a missing path
        options = jobs.sample_architectures(config)["options"] | {"table": str(table)}
        yield {"where": "nas.table", "use": "sample", "options": options}


def _surely_fits(entry: Any, shape: tuple[int, int, int]) -> bool:
    """Return whether an entry works for images of ``shape``, as far as plain numbers show.

    A user's function is not run before its jobs.
    """
    least, most = min(shape[1:]), max(shape[1:])
    network = getattr(entry, "network", None)
    if network == "convnet":
        return least >> (entry.depth or 1) > 0
    if network == "resnet":
        return entry.stem is None and (25 <= least == most)
    if network == "vit":
        return not any(side % entry.patch for side in shape[1:])
    if network is not None:
        return network == "mlp" or ".py:" in network
    if getattr(entry, "policy", None) is not None:
        return entry.policy != "torchvision"
    return not getattr(entry, "options", None)
