"""What a job asks of the machine, from an estimate of its work. Free of torch.

Requests are generous, because a job that gets too little is ended by the cluster: three times the
estimated time, half as much memory again. One that was ended all the same is started with twice as
much by the next attempt.
"""

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from condensation.config import Config
from condensation.grid import Grid
from condensation.work import Estimator, Work

# Multiplications and additions a second, and seconds to launch a pass, where nothing was measured:
# a third of one core here, and far less than any GPU promises.
CPU_SPEED, GPU_SPEED = 5e10, 1e12
CPU_LAUNCH, GPU_LAUNCH = 2e-3, 1e-2
_LIBRARIES_MB = {False: 1500, True: 6000}  # torch in memory, without and with CUDA
_CACHED_IMAGES_MB = 2000  # most that a CPU holds of a network's outputs, for it works in parts
_MARGIN_MINUTES, _TIMES, _BY_MINUTES = 10, 3, 5
_MEMORY_TIMES, _BY_MB = 1.5, 500


class Requests:
    """Memory and time for every job of a config; ``prepared`` as in ``work.Estimator``."""

    def __init__(self, config: Config, grid: Grid, prepared: Path | None = None):
        self.estimator = Estimator(config, grid, prepared)
        self.on_gpu = config.compute.device != "cpu"
        given = config.compute.speed and config.compute.speed * 1e9
        self.speed = given or (GPU_SPEED if self.on_gpu else CPU_SPEED * config.compute.threads)

    def memory_mb(self, rule: str, wildcards: dict[str, str], attempt: int = 1) -> int:
        """Return the memory of the host to ask for, in MB, by steps of 500."""
        work = self.estimator.of(rule, wildcards)
        needed = host_mb(work, self.on_gpu and rule in ON_DEVICE) * _MEMORY_TIMES
        return ceil(needed / _BY_MB) * _BY_MB * 2 ** (attempt - 1)

    def minutes(self, rule: str, wildcards: dict[str, str], attempt: int = 1) -> int:
        """Return the time to ask for, in minutes, by steps of 5."""
        needed = _MARGIN_MINUTES + _TIMES * self.seconds(rule, wildcards) / 60
        return ceil(needed / _BY_MINUTES) * _BY_MINUTES * 2 ** (attempt - 1)

    def seconds(
        self, rule: str, wildcards: dict[str, str], calibration: Mapping[str, Any] | None = None
    ) -> float:
        """Return the time that a job is expected to take once it computes.

        By the ``calibration`` (``condensation.calibration``) of its network, or of
        the device; without one, and for what works on the CPU beside a GPU, by the
        speeds assumed here.
        """
        work, dataset = self.estimator.of(rule, wildcards), wildcards["dataset"]
        on_gpu = self.on_gpu and rule in ON_DEVICE
        speed = self.speed if on_gpu or not self.on_gpu else CPU_SPEED
        if calibration:
            speed = calibration["operations_per_second"]
            own = calibration["networks"].get(work.architecture, {}).get(dataset)
            if own:
                passes = work.passes * own["seconds_per_pass"]
                return passes + work.steps * own["seconds_per_step"] + work.operations / speed
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
