"""TM: matching training trajectories, also called MTT; and what all of its descendants share."""

from typing import Any, Literal

from pydantic import Field

from condensation.config.methods.base import MultiFormation, Synthesis

_COLUMNS = ("steps", "expert_epochs", "max_start", "batch_syn", "lr", "lr_step", "step_size")
# By (dataset, IPC, ZCA), from the released benchmark; CIFAR-10 at IPC 1 and 10 without ZCA from
# the published commands of MCT (github.com/Zhong0x29a/MCT). Nobody gives CIFAR-100 at IPC 1 and
# 50 without ZCA: the row with ZCA serves for both.
_ROWS = {
    ("cifar10", 1, True): (50, 2, 2, None, 1e2, 1e-7, 1e-2),
    ("cifar10", 10, True): (30, 2, 20, None, 1e2, 1e-5, 1e-3),
    ("cifar10", 1, False): (50, 2, 5, None, 1e3, 1e-7, 1e-2),
    ("cifar10", 10, False): (30, 2, 15, None, 1e3, 1e-5, 1e-2),
    ("cifar10", 50, False): (30, 2, 40, None, 1e3, 1e-5, 1e-3),
    ("cifar100", 1, True): (20, 3, 20, None, 1e3, 1e-5, 1e-2),
    ("cifar100", 10, False): (20, 2, 20, None, 1e3, 1e-5, 1e-2),
    ("cifar100", 50, True): (80, 2, 40, 125, 1e3, 1e-5, 1e-2),
    ("tinyimagenet", 1, False): (10, 2, 10, None, 1e4, 1e-4, 1e-2),
    ("tinyimagenet", 10, False): (20, 2, 40, 200, 1e4, 1e-4, 1e-2),
    ("tinyimagenet", 50, False): (20, 2, 40, 300, 1e4, 1e-4, 1e-2),
}


class TrajectoryMatching(Synthesis):
    """Options of TM and DATM."""

    tabulated = tuple(name for name in _COLUMNS if name != "batch_syn")  # there, null means all

    trajectories: str = Field("experts", description="A name under `trajectories`.")
    experts: int = Field(100, ge=1, description="Number of experts to train and to draw from.")
    steps: int | None = Field(None, ge=1, description="Steps N of the student on the set.")
    expert_epochs: int | None = Field(
        None, ge=1, description="Epochs M of the expert that the N steps must cover."
    )
    max_start: int | None = Field(
        None, ge=1, description="The student starts at an epoch of the expert below this one."
    )
    batch_syn: int | None = Field(
        None,
        ge=1,
        description="Images per student step; null: the table's value, or all images.",
    )
    lr: float | None = Field(None, gt=0, description="Learning rate of SGD on the images.")
    lr_step: float | None = Field(
        None, ge=0, description="Learning rate of SGD on the student's step size."
    )
    step_size: float | None = Field(
        None, gt=0, description="Initial step size of the student; it is learned."
    )
    momentum: float = Field(
        0.5, ge=0, lt=1, description="Momentum of SGD on the images and on the step size."
    )
    gradient: Literal["auto", "exact", "unroll", "tesla"] = Field(
        "auto",
        description="`exact`: a reverse recursion whose memory does not grow with N; `unroll`: "
        "backpropagation through the graph of all steps, the same gradient; `auto`: `unroll` if "
        "the graph takes at most half of the memory that the job may use, else `exact`; "
        "`tesla`: the approximation of TESLA (arXiv:2211.10586).",
    )
    chunk: int | None = Field(
        None,
        ge=1,
        description="Maximum number of images in one pass of `exact` and `tesla`, to bound memory; "
        "null: the fastest number.",
    )
    augmentation: str = Field("dsa", description="A name under `augmentations`.")

    @property
    def sources(self) -> list[str]:
        """The method's modules, and the one that loads experts."""
        return [*super().sources, "condensation.methods.experts"]

    @property
    def experts_read(self) -> tuple[str, int]:
        """Name of the trajectories and number of experts."""
        return self.trajectories, self.experts

    @property
    def last_expert_epoch(self) -> int:
        """Last epoch of the experts that the completed options read."""
        if self.max_start is None or self.expert_epochs is None:
            raise ValueError("`max_start` and `expert_epochs` have no value yet")
        return self.max_start - 1 + self.expert_epochs


class TM(TrajectoryMatching, MultiFormation):
    """Trajectory matching, also called MTT.

    Null takes the value of TM's table for the dataset and IPC; other datasets take the rows of
    CIFAR-10.
    """

    paper_name = "TM"
    citation = "Cazenavette et al. (2022), arXiv:2203.11932"

    algorithm: Literal["tm"] = Field(description="Selects this algorithm.")
    iterations: int = Field(5000, ge=0, description="Updates of the images.")

    def published(self, kind: str, ipc: int, zca: bool) -> dict[str, Any]:
        """Return a row of TM's table; one with ZCA also serves without, and the reverse."""
        kind = kind if kind in ("cifar100", "tinyimagenet") else "cifar10"
        row = _ROWS.get((kind, ipc, zca)) or _ROWS.get((kind, ipc, not zca))
        if row is None:
            known = sorted({row_ipc for dataset, row_ipc, _ in _ROWS if dataset == kind})
            raise KeyError(", ".join(map(str, known)))
        return dict(zip(_COLUMNS, row, strict=True))
