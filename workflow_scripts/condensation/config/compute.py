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
        description="A folder or URL prefix that is looked in first for every archive, by file "
        "name; for machines without internet.",
    )


class Compute(Strict):
    """What the jobs run on."""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="`auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:<number>`.",
    )
    threads: int = Field(
        1, ge=1, description="CPU threads per job; two one-thread jobs beat one of two threads."
    )
    compile: bool | Literal["auto"] = Field(
        "auto",
        description="Compile networks with torch.compile (needs a C++ compiler on the CPU; moves "
        "results within float noise); `auto`: in jobs long enough to repay it.",
    )
    stack: bool | Literal["auto"] = Field(
        "auto",
        description="Train the networks of a job as one computation (moves results within float "
        "noise; not those with dropout or batch statistics); `auto`: where it is faster, on the "
        "CPU in small steps. On CUDA always, which is a guess: no GPU has measured it yet.",
    )
    precision: Literal["auto", "float32", "tf32", "bf16"] = Field(
        "float32",
        description="`bf16`: of the passes over real images in DC, DSA, DM and expert training; "
        "`auto`: bf16 there in long jobs, where the processor computes it in hardware; `tf32`: of "
        "all products and convolutions on CUDA. Else everything is float32 proper.",
    )
    deterministic: bool = Field(
        False,
        description="On CUDA, use deterministic algorithms where torch has them, which is slower; "
        "docs/gpu.md says what then repeats to the byte. A CPU always does.",
    )
    mix_devices: bool = Field(
        False,
        description="Whether results of CPU and GPU may stand in one table. To go on with those of "
        "the other kind without making them anew, run with `--rerun-triggers mtime input`.",
    )
    memory_limit_mb: int | None = Field(
        None,
        ge=LEAST_MEMORY_MB,
        description="A job that needs more is ended, a condensation or an evaluation as a result "
        "`oom`, before the machine runs out; null: no limit. Changes no result that exists. A "
        f"process needs {LEAST_MEMORY_MB} MiB with its libraries before it computes.",
    )
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="At most so long between two checkpoints of a condensation."
    )
    speed: float | None = Field(
        None,
        gt=0,
        description="G operations a second that a job is assumed to reach, for the time limits "
        "that clusters are asked for and the plan; null: what `snakemake plan` measured, else 50 a "
        "thread on the CPU, 1000 on a GPU.",
    )
    device_memory_mb: float | None = Field(
        None,
        gt=0,
        description="Memory of the GPU that will be used, for `snakemake plan`; null: that of the "
        "device where the plan is made.",
    )

    @property
    def declared_mb(self) -> float:
        """Memory that a job may count on, in MB."""
        on_device = self.device_memory_mb if self.device != "cpu" else None
        return on_device or self.memory_limit_mb or DECLARED_MB
