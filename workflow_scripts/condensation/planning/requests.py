"""What a job asks of the machine, from an estimate of its work. Free of torch.

Requests are generous, because a job that gets too little is ended by the cluster: three times the
estimated time, half as much memory again. One that was ended all the same is started with twice as
much by the next attempt. The plan (``condensation.planning.forecast``) shows the same estimates.
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
from condensation.planning.work import Estimator, Work
from condensation.planning.worklist import Job, all_jobs
from condensation.workflow.grid import Grid

# Multiplications and additions a second, and seconds to launch a pass, where nothing was measured:
# a third of one core here, and far less than any GPU promises.
CPU_SPEED, GPU_SPEED = 5e10, 1e12
CPU_LAUNCH, GPU_LAUNCH = 2e-3, 1e-2
_LIBRARIES_MB = {False: 1500, True: 6000}  # torch in memory, without and with CUDA
_CACHED_IMAGES_MB = 2000  # most that a CPU holds of a network's outputs, for it works in parts
_MARGIN_MINUTES, _TIMES, _BY_MINUTES = 10, 3, 5
_MEMORY_TIMES, _BY_MB = 1.5, 500
_UNKNOWN_MINUTES = 480  # asked for a job of which nothing is known
_MOST_RECORDS = 50  # that are read for the time of one kind of job


class Requests:
    """Memory and time for every job of a config.

    Parameters
    ----------
    prepared : the results folder: of prepared datasets, of records of what jobs cost, and of the
        plan's calibration.
    calibration : instead of the one in that folder.
    """

    def __init__(
        self,
        config: Config,
        grid: Grid,
        prepared: Path | None = None,
        calibration: Mapping[str, Any] | None = None,
    ):
        self.config, self.results = config, prepared
        if calibration is None and prepared is not None:
            with contextlib.suppress(InputError):
                calibration = read_json(prepared / "plan" / "calibration.json")
        self.calibration = calibration or {}
        self.estimator = Estimator(config, grid, prepared, self.calibration)
        self.on_gpu = config.compute.device != "cpu" and self.calibration.get("device") != "cpu"
        given = config.compute.speed and config.compute.speed * 1e9
        self.speed = given or (GPU_SPEED if self.on_gpu else CPU_SPEED * config.compute.threads)
        self.jobs = cache(lambda: list(all_jobs(config, grid)))
        self.pace = cache(self._pace)

    def memory_mb(self, rule: str, wildcards: dict[str, str], attempt: int = 1) -> int:
        """Return the memory of the host to ask for, in MB, by steps of 500."""
        work = self.estimator.of(rule, wildcards)
        needed = host_mb(work, self.on_gpu and rule in ON_DEVICE) * _MEMORY_TIMES
        return ceil(needed / _BY_MB) * _BY_MB * 2 ** (attempt - 1)

    def minutes(self, rule: str, wildcards: dict[str, str], attempt: int = 1) -> int:
        """Return the time to ask for, in minutes, by steps of 5."""
        seconds = self.seconds(rule, wildcards)
        if seconds is None:
            return _UNKNOWN_MINUTES * 2 ** (attempt - 1)
        needed = _MARGIN_MINUTES + _TIMES * seconds / 60
        return ceil(needed / _BY_MINUTES) * _BY_MINUTES * 2 ** (attempt - 1)

    def seconds(self, rule: str, wildcards: dict[str, str]) -> float | None:
        """Return the time that a job is expected to take once it computes; None: unknown.

        From the records of finished jobs of its kind; else by the calibration of its network, or
        of the device; without one, and for what works on the CPU beside a GPU, by the speeds
        assumed here. A user's method is unknown until one of its jobs is finished.
        """
        pace = self.pace(rule, self._name(rule, wildcards))
        if pace is None and self.estimator.of(rule, wildcards).unknown:
            return None
        return self._expected(rule, wildcards) * (1.0 if pace is None else pace)

    def basis(self, rule: str, wildcards: dict[str, str]) -> str:
        """Return what ``seconds`` rests on: records, calibration, assumption or nothing."""
        if self.pace(rule, self._name(rule, wildcards)) is not None:
            return "records"
        if self.estimator.of(rule, wildcards).unknown:
            return "nothing"
        return "calibration" if self.calibration else "assumption"

    def took(self, job: Job) -> float | None:
        """Return the seconds that a finished job took, by its record; None without one."""
        if job.cost is None or self.results is None:
            return None
        try:  # a damaged one is made anew before it is used
            cost = read_json(self.results / job.cost)
        except InputError:
            return None
        return cost.get("seconds") or sum(row["seconds"] for row in cost.get("rows", []))

    def _name(self, rule: str, wildcards: dict[str, str]) -> str | None:
        """Return who computes, as the jobs that leave records name it."""
        if rule == "train_expert":
            return self.config.trajectories[wildcards["trajectories"]].architecture
        if rule == "train_architectures":
            return "nasbench201"
        return wildcards.get({"condense": "method", "evaluate": "architecture"}.get(rule, ""))

    def _pace(self, rule: str, name: str | None) -> float | None:
        """Return the median of time taken over time expected of finished jobs; None without any.

        Jobs of the same rule and the same method or architecture tell how long an operation takes.
        """
        if name is None or self.results is None:
            return None
        kind = [job for job in self.jobs() if (job.rule, job.name) == (rule, name)]
        finished = [job for job in kind if job.cost and (self.results / job.cost).is_file()]
        ratios = []
        for job in finished[:: ceil(len(finished) / _MOST_RECORDS) or 1]:
            took, expected = self.took(job), self._expected(rule, job.wildcards)
            if took and expected:
                ratios.append(took / expected)
        return statistics.median(ratios) if ratios else None

    def _expected(self, rule: str, wildcards: dict[str, str]) -> float:
        """Return seconds without regard to records; 1 where nothing is known."""
        work, dataset = self.estimator.of(rule, wildcards), wildcards["dataset"]
        if work.unknown:
            return 1.0
        on_gpu = self.on_gpu and rule in ON_DEVICE
        speed = self.speed if on_gpu or not self.on_gpu else CPU_SPEED
        if self.calibration and self.config.compute.speed is None:
            speed = self.calibration["operations_per_second"]
            network = self.calibration["networks"].get(work.architecture, {}).get(dataset)
            if network:
                passes = work.passes * network["seconds_per_pass"]
                steps = work.steps * network["seconds_per_step"]
                return passes + steps + work.operations / speed
        launch = GPU_LAUNCH if on_gpu else CPU_LAUNCH
        return self.estimator.operations_of(work, dataset) / speed + work.steps * launch


# Rules that want a GPU; the other ones with estimates of their own work on the CPU.
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
    """Return the memory that a process is expected to take, in MB."""
    held = work.host_bytes / 1e6
    if not on_gpu:
        held += min(work.device_bytes / 1e6, _CACHED_IMAGES_MB)
    return _LIBRARIES_MB[on_gpu] + held


def device_mb(work: Work) -> float:
    """Return the memory of the device that a job is expected to take, its libraries' included."""
    return 700 + work.device_bytes / 1e6
