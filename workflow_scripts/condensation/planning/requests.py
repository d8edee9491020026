"""Memory and time that a job requests, from an estimate of its work.

A cluster ends a job that requests too little, so requests are three times the estimated time and
1.5 times the estimated memory. Each further attempt doubles them.
"""

import contextlib
import statistics
from collections.abc import Mapping
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from condensation.config.schema import Config
from condensation.core.errors import InputError
from condensation.core.textfiles import read_json
from condensation.planning.sizes import Images
from condensation.planning.work import Estimator, Work, by_views
from condensation.planning.worklist import Job, all_jobs
from condensation.workflow import layout
from condensation.workflow.grid import Grid

# Operations per second and seconds to launch a pass, assumed without a calibration.
CPU_SPEED, GPU_SPEED = 5e10, 1e12
CPU_LAUNCH, GPU_LAUNCH = 2e-3, 1e-2
_LIBRARIES_MB = {False: 1500, True: 6000}  # torch, without and with CUDA
_CACHED_IMAGES_MB = 2000  # a CPU splits batches to hold no more layer outputs
_MARGIN_MINUTES, _TIMES, _BY_MINUTES = 10, 3, 5
_MEMORY_TIMES, _BY_MB = 1.5, 500
_UNKNOWN_MINUTES = 480  # requested where the time is unknown
_MOST_RECORDS = 50  # read for one kind of job


class Requests:
    """Memory and time for the jobs of a config.

    Parameters
    ----------
    results : the folder with prepared datasets, records of costs, and ``plan/calibration.json``.
    calibration : replaces the calibration in that folder.
    images : sizes of datasets by name, where the caller knows them.
    """

    def __init__(
        self,
        config: Config,
        grid: Grid,
        results: Path | None = None,
        calibration: Mapping[str, Any] | None = None,
        images: Mapping[str, Images] | None = None,
    ):
        self.config, self.results = config, results
        if calibration is None and results is not None:
            with contextlib.suppress(InputError):
                calibration = read_json(results / layout.CALIBRATION)
        self.calibration = calibration or {}
        self.estimator = Estimator(config, grid, results, self.calibration, images)
        self.on_gpu = config.compute.device != "cpu" and self.calibration.get("device") != "cpu"
        declared = config.compute.speed and config.compute.speed * 1e9
        self.speed = declared or (GPU_SPEED if self.on_gpu else CPU_SPEED * config.compute.threads)
        self.jobs = cache(lambda: list(all_jobs(config, grid)))
        self.pace = cache(self._pace)

    def memory_mb(self, rule: str, wildcards: dict[str, str], attempt: int = 1) -> int:
        """Return the host memory to request, in MB, a multiple of 500."""
        work = self.estimator.of(rule, wildcards)
        needed = host_mb(work, self.on_gpu and rule in ON_DEVICE) * _MEMORY_TIMES
        return ceil(needed / _BY_MB) * _BY_MB * 2 ** (attempt - 1)

    def minutes(self, rule: str, wildcards: dict[str, str], attempt: int = 1) -> int:
        """Return the time to request, in minutes, a multiple of 5."""
        seconds = self.seconds(rule, wildcards)
        if seconds is None:
            return _UNKNOWN_MINUTES * 2 ** (attempt - 1)
        needed = _MARGIN_MINUTES + _TIMES * seconds / 60
        return ceil(needed / _BY_MINUTES) * _BY_MINUTES * 2 ** (attempt - 1)

    def seconds(self, rule: str, wildcards: dict[str, str]) -> float | None:
        """Return the expected time of a job without its start; None: unknown.

        Records of finished jobs of the same kind come first, then the calibration, then assumed
        speeds. The time of a user's method is unknown until one of its jobs has finished.
        """
        pace = self.pace(rule, self._name(rule, wildcards), by_views(wildcards))
        if pace is None and self.estimator.of(rule, wildcards).unknown:
            return None
        return self._expected(rule, wildcards) * (1.0 if pace is None else pace)

    def basis(self, rule: str, wildcards: dict[str, str]) -> str:
        """Return the source of ``seconds``: records, calibration, assumption or nothing."""
        if self.pace(rule, self._name(rule, wildcards), by_views(wildcards)) is not None:
            return "records"
        if self.estimator.of(rule, wildcards).unknown:
            return "nothing"
        return "calibration" if self.calibration else "assumption"

    def recorded_seconds(self, job: Job) -> float | None:
        """Return the seconds in the record of a finished job; None without a record."""
        if job.cost is None or self.results is None:
            return None
        try:  # a damaged record is recomputed before it is used
            cost = read_json(self.results / job.cost)
        except InputError:
            return None
        return cost.get("seconds") or sum(row["seconds"] for row in cost.get("rows", []))

    def _name(self, rule: str, wildcards: dict[str, str]) -> str | None:
        """Return the name of the jobs of this kind (``Job.name``) that write records."""
        if rule == "train_expert":
            return self.config.trajectories[wildcards["trajectories"]].architecture
        if rule == "train_architectures":
            return "nasbench201"
        return wildcards.get({"condense": "method", "evaluate": "architecture"}.get(rule, ""))

    def _pace(self, rule: str, name: str | None, views: bool) -> float | None:
        """Return recorded over expected time: the median of the finished jobs of a kind.

        None without a finished job of this rule and this method or architecture, in which a teacher
        labels ``views`` or does not: its network may be another one.
        """
        if name is None or self.results is None:
            return None
        kind = [
            job
            for job in self.jobs()
            if (job.rule, job.name, by_views(job.wildcards)) == (rule, name, views)
        ]
        finished = [job for job in kind if job.cost and (self.results / job.cost).is_file()]
        ratios = []
        for job in finished[:: ceil(len(finished) / _MOST_RECORDS) or 1]:
            recorded, expected = self.recorded_seconds(job), self._expected(rule, job.wildcards)
            if recorded and expected:
                ratios.append(recorded / expected)
        return statistics.median(ratios) if ratios else None

    def _expected(self, rule: str, wildcards: dict[str, str]) -> float:
        """Return the seconds expected without records; 1 where nothing is known."""
        work, dataset = self.estimator.of(rule, wildcards), wildcards["dataset"]
        if work.unknown:
            return 1.0
        on_gpu = self.on_gpu and rule in ON_DEVICE
        # speed and calibration of a GPU say nothing about jobs that run on CPUs
        applies = on_gpu or not self.on_gpu
        speed = self.speed if applies else CPU_SPEED
        if applies and self.calibration and self.config.compute.speed is None:
            speed = self.calibration["operations_per_second"]
            network = self.calibration["networks"].get(work.architecture, {}).get(dataset)
            if network:
                passes = work.passes * network["seconds_per_pass"]
                steps = work.steps * network["seconds_per_step"]
                return passes + steps + work.operations / speed
        launch = GPU_LAUNCH if on_gpu else CPU_LAUNCH
        return self.estimator.operations_of(work, dataset) / speed + work.steps * launch


# Rules that request a GPU.
ON_DEVICE = (
    "train_expert",
    "extract_features",
    "train_embedder",
    "embed_class",
    "condense",
    "evaluate",
    "train_architectures",
)


def host_mb(work: Work, on_gpu: bool) -> float:
    """Return the expected host memory of a job, in MB."""
    held = work.host_bytes / 1e6
    if not on_gpu:
        held += max(min(work.device_bytes / 1e6, _CACHED_IMAGES_MB), work.unsplit_bytes / 1e6)
    return _LIBRARIES_MB[on_gpu] + held


def device_mb(work: Work) -> float:
    """Return the expected device memory of a job with its libraries, in MB."""
    return 700 + work.device_bytes / 1e6
