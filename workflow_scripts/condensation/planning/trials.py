"""Try networks of libraries, pipelines of torchvision and the device before any job starts.

Separate processes (``try_networks.py``, ``try_device.py``) load torch for it. Without torch, or
while the size of the images is unknown, the jobs report what does not work.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from condensation.config.schema import Config
from condensation.core.errors import InputError
from condensation.planning.work import Estimator
from condensation.planning.worklist import trained_networks
from condensation.workflow import jobs
from condensation.workflow.digest import ROOT
from condensation.workflow.grid import WHOLE, Grid


def check(config: Config, grid: Grid, results: Path) -> None:
    """Raise InputError with a line per network or pipeline that does not take the images.

    ``results`` is the folder with prepared datasets.
    """
    trials = _trials(config, grid, Estimator(config, grid, results))
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
        print(f"networks could not be tried before the run: {last}", file=sys.stderr)


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


def _trials(config: Config, grid: Grid, estimator: Estimator) -> list[dict[str, Any]]:
    """Return the combinations to try of architecture or augmentation, use, and images.

    Uses: ``train``, ``embed`` (DM, features) and ``differentiate`` (DC, DSA, TM).
    """
    uses: dict[tuple[str, str, str, str], int] = {}

    def add(section: str, name: str, dataset: str, use: str, images: int = 2) -> None:
        entry = getattr(config, section)[name]
        library = (
            section == "architectures" and ":" in entry.network and ".py:" not in entry.network
        )
        if not library and getattr(entry, "policy", None) != "torchvision":
            return
        if estimator.images(dataset).known:
            key = (section, name, dataset, use)
            uses[key] = min(uses.get(key, images), images)

    for cell, *_ in grid.evaluations():
        dataset, data = cell.set.dataset, estimator.images(cell.set.dataset)
        images = data.train if cell.set.ipc == WHOLE else data.classes * int(cell.set.ipc)
        images = min(images, config.evaluation.batch_size, 2)
        add("architectures", cell.architecture, dataset, "train", images)
        add("augmentations", cell.augmentation, dataset, "transform")
    for condensed in grid.sets:
        entry = config.methods[condensed.method]
        if entry.network_use:
            add("architectures", entry.architecture, condensed.dataset, entry.network_use)
        if features := jobs.features_of(config, condensed.method):
            add("architectures", config.features[features].architecture, condensed.dataset, "embed")
        if experts := jobs.experts_of(config, condensed.method):
            expert = config.trajectories[experts[0]]
            add("architectures", expert.architecture, condensed.dataset, "differentiate")
            add("augmentations", expert.augmentation, condensed.dataset, "transform")
    for dataset, features, _ in trained_networks(config, grid):
        add("architectures", config.features[features].architecture, dataset, "embed")
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
