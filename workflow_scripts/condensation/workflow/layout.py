"""The path of every result. Free of torch.

A pattern is relative to the results folder and holds Snakemake's wildcards in braces. ``fill``
replaces wildcards. ``Layout`` prepends the folder.
"""

import re
from dataclasses import dataclass
from typing import Any

from condensation.config.experiments import OWN

# Datasets
DOWNLOADS = "downloads"
DOWNLOAD = DOWNLOADS + "/{archive}"
DATASET = "{dataset}/dataset.safetensors"
WHITENING = "{dataset}/whitening/{preprocessing}.safetensors"

# Inputs of methods
FEATURES = "{dataset}/features/{features}/seed{condensation_seed}.safetensors"
EXPERT = "{dataset}/trajectories/{trajectories}/expert{expert}.safetensors"
EXPERT_COST = "{dataset}/trajectories/{trajectories}/expert{expert}.cost.json"

# Condensed sets; `snapshot` is empty or "/snapshots/iteration<i>"
SET = "{dataset}/{method}/ipc{ipc}/set{condensation_seed}"
SNAPSHOT = "/snapshots/iteration{iteration}"
CONDENSED = SET + "{snapshot}/condensed.safetensors"
SNAPSHOTS = SET + "/snapshots.safetensors"
COST = SET + "/cost.json"

# What sets are like beside the real images
NEIGHBOURS = "{dataset}/neighbours/{view}.safetensors"
MEASURES = SET + "/measures.json"
NEAREST_FIGURE = "nearest_{dataset}_ipc{ipc}"

# Evaluations; `labels` is empty for the set's own labels, or "/labels_<which>"
_WAY = "{architecture}/{augmentation}/{optimizer}{labels}"
LABELS = "/labels_{which}"
CELL = SET + "{snapshot}/evaluation/" + _WAY
RECORD = CELL + "/seeds{first}-{last}.json"
RECORD_COST = CELL + "/seeds{first}-{last}.cost.json"

# Ranking of architectures; `ranked` is the part of a set's folder below the dataset, or a reference
ARCHITECTURES = "{dataset}/nas/architectures.json"
RANKED_SET = SET + "/nas"
RANKED_REFERENCE = "{dataset}/nas/{reference}"
RANKING = "{dataset}/{ranked}/architectures{first}-{last}.json"
RANKING_COST = "{dataset}/{ranked}/architectures{first}-{last}.cost.json"

# Networks trained on all real images: for figure 7, and as teachers
EMBEDDER = "{dataset}/features/{features}/{view}_network.safetensors"
# Figure 7
MAP = "{dataset}/features/{features}/map_ipc{ipc}.safetensors"

# Reports
CONFIG = "config.yaml"
TABLE = "tables/{table}"
LEADERBOARD = "leaderboard/index.html"
PROVENANCE = "provenance.json"
EVIDENCE = "evidence/{file}"
CALIBRATION = "plan/calibration.json"
PLAN = "plan/plan.{form}"

# The name of a job in `logs` and `benchmarks`. Rules that are not listed have one job.
_JOBS = {
    "download": "{archive}",
    "prepare_dataset": "{dataset}",
    "fit_whitening": "{dataset}/{preprocessing}",
    "extract_features": "{dataset}/{features}/seed{condensation_seed}",
    "train_expert": "{dataset}/{trajectories}/expert{expert}",
    "condense": SET,
    "take_snapshot": SET + "/iteration{iteration}",
    "find_neighbours": "{dataset}/{view}",
    "measure_set": SET,
    "draw_nearest": "{dataset}/ipc{ipc}",
    "evaluate": SET + "{snapshot}/" + _WAY + "/seeds{first}-{last}",
    "train_embedder": "{dataset}/{features}/{view}",
    "embed_class": "{dataset}/{features}/ipc{ipc}",
    "sample_architectures": "{dataset}",
    "train_architectures": "{dataset}/{ranked}/architectures{first}-{last}",
    "plot_accuracy": "{figure}",
    "draw_condensed": "{picture}",
}


def fill(pattern: str, **wildcards: Any) -> str:
    """Return ``pattern`` with the values of some wildcards; the others stay."""
    return re.sub(r"{(\w+)}", lambda match: str(wildcards.get(match[1], match[0])), pattern)


def labels(wildcard: str) -> str:
    """Return the labels of an evaluation by the wildcard in its path.

    >>> labels(""), labels("/labels_hard")
    ('own', 'hard')
    """
    return wildcard.removeprefix(LABELS.format(which="")) or OWN


def seeds_of(record: str) -> tuple[int, int] | None:
    """Return the first and last seed of a record by its path; None for any other file."""
    match = re.fullmatch(r"(?:.*/)?seeds(\d+)-(\d+)\.json", record)
    return match and (int(match[1]), int(match[2]))


def benchmark(rule: str, **wildcards: Any) -> str:
    """Return the benchmark file of a rule's jobs, relative to the folder of benchmarks."""
    return f"{job(rule, **wildcards)}.tsv"


def job(rule: str, **wildcards: Any) -> str:
    """Return the path that tells a rule's jobs apart."""
    name = _JOBS.get(rule)
    return fill(f"{rule}/{name}" if name else rule, **wildcards)


@dataclass(frozen=True)
class Layout:
    """The patterns below the folders of a config.

    Attributes
    ----------
    results, figures : ``results_dir`` and ``figures_dir`` of the config.
    """

    results: str
    figures: str

    def __call__(self, pattern: str, **wildcards: Any) -> str:
        """Return the path or, with wildcards left, the pattern of a result."""
        return f"{self.results}/{fill(pattern, **wildcards)}"

    def table(self, name: str) -> str:
        """Return a file among the tables."""
        return self(TABLE, table=name)

    def evidence(self, name: str) -> str:
        """Return a file among the evidence."""
        return self(EVIDENCE, file=name)

    def figure(self, name: str, form: str) -> str:
        """Return a figure; ``form`` is png or pdf."""
        return f"{self.figures}/{name}.{form}"

    def log(self, rule: str, **wildcards: Any) -> str:
        """Return the log of a rule's jobs."""
        return f"{self.results}/logs/{job(rule, **wildcards)}.log"

    def benchmark(self, rule: str) -> str:
        """Return the file with time and memory of a rule's jobs."""
        return f"{self.results}/benchmarks/{benchmark(rule)}"
