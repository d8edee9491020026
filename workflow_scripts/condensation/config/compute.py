"""The sections ``compute`` and ``data``: what jobs run on, and where archives come from."""

from typing import Literal

from pydantic import Field

from condensation.config.base import Strict
from condensation.core.memory import DECLARED_MB

# MiB of a process with torch, its compiler and scikit-learn loaded and a small job done (measured).
LEAST_MEMORY_MB = 1200


class Data(Strict):
    """Where archives come from."""

    mirror: str | None = Field(
        None,
        description="A folder or URL prefix where every archive is looked up first, by file name; "
        "for machines without internet.",
    )


class Compute(Strict):
    """Hardware and precision of the jobs."""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="`auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:<number>`.",
    )
    threads: int = Field(
        1,
        ge=1,
        description="CPU threads per job; two jobs of one thread beat one of two threads.",
    )
    jobs_per_gpu: int = Field(
        1,
        ge=1,
        description="Jobs that share a GPU, each with an equal part of its memory. Small networks "
        "leave most of a GPU idle. On a cluster, the profile must request shards "
        "(docs/clusters.md).",
    )
    compile: bool | Literal["auto"] = Field(
        "auto",
        description="Compile networks with torch.compile (needs a C++ compiler on the CPU; "
        "changes results within floating-point error); `auto`: in jobs long enough to gain.",
    )
    stack: bool | Literal["auto"] = Field(
        "auto",
        description="Train the networks of a job as one computation (changes results within "
        "floating-point error; never networks with dropout or batch statistics); `auto`: on the "
        "CPU when steps are small, where it is faster, and always on CUDA, where it has not been "
        "measured yet.",
    )
    precision: Literal["auto", "float32", "tf32", "bf16"] = Field(
        "float32",
        description="`bf16`: for DM's passes over real images, and for the gradients of the loss "
        "by the parameters in DC, DSA, expert training, TM and DATM (not with `gradient: unroll`), "
        "also on synthetic images; `auto`: bf16 for these passes in long jobs if the hardware "
        "supports it; `tf32`: for all matrix products and convolutions on CUDA; `float32`: "
        "everywhere.",
    )
    deterministic: bool = Field(
        False,
        description="On CUDA, use deterministic algorithms if torch has them, which is slower; "
        "docs/gpu.md lists what is then reproducible to the byte. Results on a CPU always are.",
    )
    mix_devices: bool = Field(
        False,
        description="Allow results of CPU and GPU in one table. To continue with results of the "
        "other device without recomputing them, run with `--rerun-triggers mtime input`.",
    )
    memory_limit_mb: int | None = Field(
        None,
        ge=LEAST_MEMORY_MB,
        description="Memory limit of a job in MiB. A job that needs more is stopped before the "
        "machine runs out; condensations and evaluations then have the result `oom`. Null: no "
        "limit. Existing results do not change. A "
        f"process needs {LEAST_MEMORY_MB} MiB with its libraries before it computes.",
    )
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="Maximum time between two checkpoints of a condensation."
    )
    speed: float | None = Field(
        None,
        gt=0,
        description="Assumed speed of a job in 10^9 operations per second, for the plan and for "
        "time limits on clusters; null: the speed that `snakemake plan` measured, else 50 per CPU "
        "thread and 1000 on a GPU.",
    )
    device_memory_mb: float | None = Field(
        None,
        gt=0,
        description="Memory in MB of the GPU that the jobs will use. It bounds what a job computes "
        "at once, and the plan compares it with what jobs need; null: a job asks its GPU, and the "
        "plan the device on which it is made.",
    )

    @property
    def declared_mb(self) -> float:
        """Memory that a job may use, in MB, as far as it is known before the job."""
        on_device = self.device_memory_mb if self.device != "cpu" else None
        on_device = on_device and on_device / self.jobs_per_gpu
        return on_device or self.memory_limit_mb or DECLARED_MB
