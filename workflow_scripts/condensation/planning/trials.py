"""Networks of libraries and pipelines of torchvision, tried before any job starts. Free of torch.

A process of its own tries them (``try_networks.py``), where this Python has torch: Snakemake reads
the config without. Else, and for images whose size is not known yet, the jobs themselves do.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from condensation.config.schema import Config
from condensation.core.errors import InputError
from condensation.planning.work import Estimator
from condensation.workflow import figure_plan, jobs
from condensation.workflow.digest import ROOT
from condensation.workflow.grid import WHOLE, Grid


def check(config: Config, grid: Grid, prepared: Path) -> None:
    """Raise InputError, a line for each, for networks and pipelines that do not take the images.

    ``prepared`` is the results folder, in which prepared datasets are looked for.
    """
    trials = _trials(config, grid, Estimator(config, grid, prepared))
    if not trials:
        return
    command = [sys.executable, str(ROOT / "try_networks.py")]
    done = subprocess.run(
        command, input=json.dumps(trials), capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        problems = json.loads(done.stdout.splitlines()[-1])
        if problems:
            raise InputError("\n".join(problems))
    elif "ModuleNotFoundError" not in done.stderr:
        last = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
        print(f"networks could not be tried before the run: {last}", file=sys.stderr)


def _trials(config: Config, grid: Grid, estimator: Estimator) -> list[dict[str, Any]]:
    """Return what to try, each once: an architecture or augmentation, a use of it, and the images.

    Uses: ``train``, ``embed`` (DM, features) and ``differentiate`` (DC, DSA, TM).
    """
    uses: dict[tuple[str, str, str, str], int] = {}

    def use(section: str, name: str, dataset: str, how: str, images: int = 2) -> None:
        entry = getattr(config, section)[name]
        other = section == "architectures" and ":" in entry.network and ".py:" not in entry.network
        if not other and getattr(entry, "policy", None) != "torchvision":
            return
        if estimator.images(dataset).known:
            key = (section, name, dataset, how)
            uses[key] = min(uses.get(key, images), images)

    for cell, *_ in grid.evaluations():
        dataset, data = cell.set.dataset, estimator.images(cell.set.dataset)
        images = data.train if cell.set.ipc == WHOLE else data.classes * int(cell.set.ipc)
        images = min(images, config.evaluation.batch_size, 2)
        use("architectures", cell.architecture, dataset, "train", images)
        use("augmentations", cell.augmentation, dataset, "transform")
    for made in grid.sets:
        entry = config.methods[made.method]
        if entry.network_use:
            use("architectures", entry.architecture, made.dataset, entry.network_use)
        if features := jobs.features_of(config, made.method):
            use("architectures", config.features[features].architecture, made.dataset, "embed")
        if experts := jobs.experts_of(config, made.method):
            expert = config.trajectories[experts[0]]
            use("architectures", expert.architecture, made.dataset, "differentiate")
            use("augmentations", expert.augmentation, made.dataset, "transform")
    if config.figure7:
        architecture = config.features[config.figure7.features].architecture
        for dataset in config.figure7.datasets:
            if figure_plan.embedded_sets(config, grid, dataset):
                use("architectures", architecture, dataset, "embed")
    return [
        {
            "where": f"{section}.{name} on {dataset}",
            "entry": getattr(config, section)[name].model_dump(),
            "use": how,
            "images": images,
            "shape": estimator.images(dataset).shape,
            "classes": estimator.images(dataset).classes,
        }
        for (section, name, dataset, how), images in uses.items()
    ]
