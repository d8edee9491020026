"""DATM: trajectory matching of a difficulty that suits the size of the set."""

import itertools
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from condensation.config.base import wrong
from condensation.config.methods.tm import TrajectoryMatching

_COLUMNS = (
    *("steps", "expert_epochs", "min_start", "first_max_start", "max_start", "growth"),
    *("batch_syn", "lr", "lr_labels", "lr_step", "threshold"),
)
# By dataset and IPC, from the configs of the authors' code for the ConvNet with instance norm; all
# of them with ZCA. Where those do not let the window grow, its end is the last one from the start.
_ROWS = {
    ("cifar10", 1): (80, 2, 0, 4, 4, 0, None, 1e2, 5.0, 1e-7, 1.1),
    ("cifar10", 10): (80, 2, 0, 10, 20, 1000, None, 1e2, 2.0, 1e-5, 1.0),
    ("cifar10", 50): (80, 2, 0, 20, 40, 2000, None, 1e3, 2.0, 1e-5, 1.0),
    ("cifar10", 500): (40, 2, 40, 60, 60, 0, 1000, 5e1, 10.0, 1e-5, 1.0),
    ("cifar10", 1000): (100, 2, 40, 60, 60, 0, 1000, 5e1, 10.0, 1e-5, 1.0),
    ("cifar100", 1): (40, 3, 0, 10, 20, 1000, None, 1e3, 10.0, 1e-5, 1.0),
    ("cifar100", 10): (80, 2, 0, 30, 50, 2000, None, 1e3, 10.0, 1e-5, 1.0),
    ("cifar100", 50): (80, 2, 20, 70, 70, 0, 1000, 1e3, 10.0, 1e-5, 1.0),
    ("cifar100", 100): (80, 2, 30, 70, 70, 0, 1000, 5e1, 10.0, 1e-5, 1.0),
    ("tinyimagenet", 1): (40, 2, 0, 15, 20, 2000, None, 1e4, 10.0, 1e-4, 1.0),
    ("tinyimagenet", 10): (40, 2, 10, 50, 50, 0, 500, 1e2, 10.0, 1e-4, 1.0),
    ("tinyimagenet", 50): (20, 2, 40, 70, 70, 0, 1000, 1e2, 10.0, 1e-4, 1.0),
}


class DATM(TrajectoryMatching):
    """Trajectory matching with a window of expert epochs that suits the IPC, and soft labels.

    Null takes the value of the authors' configs for the dataset and IPC; other datasets take the
    rows of CIFAR-10. The authors whiten the images (`preprocessing: zca` of the trajectories), and
    their experts are flattened (FTD, arXiv:2211.11004), which those here are not.
    """

    citation = "Guo et al. (2024), arXiv:2310.05773"
    tabulated = tuple(name for name in _COLUMNS if name != "batch_syn")  # there, null means all

    algorithm: Literal["datm"] = Field(description="Selects this algorithm.")
    init: Literal["correct", "random", "kcenter", "noise"] = Field(  # type: ignore[assignment]
        "correct",
        description="Initial images: `correct` real images that an expert classifies correctly, "
        "`random` real images, those of `kcenter`, or N(0, 1) `noise`.",
    )
    iterations: int = Field(10_000, ge=0, description="Updates of images and labels.")
    min_start: int | None = Field(
        None, ge=0, description="The student starts at this epoch of the expert or later."
    )
    first_max_start: int | None = Field(
        None, ge=1, description="`max_start` of the first iteration; it grows to `max_start`."
    )
    growth: int | None = Field(
        None,
        ge=0,
        description="Iterations in which the window grows; 0: its end is `max_start` at once.",
    )
    label_epoch: int | None = Field(
        None,
        ge=0,
        description="Epoch of the experts that give the initial labels; null: the last one that "
        "the students match. The authors use the last of 100.",
    )
    lr_labels: float | None = Field(
        None, ge=0, description="Learning rate of SGD on the logits of the labels."
    )
    momentum_labels: float = Field(
        0.9, ge=0, lt=1, description="Momentum of SGD on the logits of the labels."
    )
    threshold: float | None = Field(
        None, gt=0, description="An iteration whose loss is larger changes nothing."
    )
    step_size: float = Field(
        0.01, gt=0, description="Initial step size of the student; it is learned."
    )

    @property
    def last_expert_epoch(self) -> int:
        """Last epoch of the experts that the completed options read."""
        return max(super().last_expert_epoch, self.label_epoch or 0)

    def published(self, kind: str, ipc: int, zca: bool) -> dict[str, Any]:
        """Return a row of the authors' table."""
        kind = kind if kind in ("cifar100", "tinyimagenet") else "cifar10"
        if (kind, ipc) not in _ROWS:
            known = sorted(row_ipc for dataset, row_ipc in _ROWS if dataset == kind)
            raise KeyError(", ".join(map(str, known)))
        return dict(zip(_COLUMNS, _ROWS[kind, ipc], strict=True))

    def completed(self, kind: str, ipc: int, zca: bool) -> Self:
        """Return a copy with published values in place of None, and the epoch of the labels."""
        full = super().completed(kind, ipc, zca)
        full.check_window()
        if full.label_epoch is not None:
            return full
        return full.model_copy(update={"label_epoch": full.last_expert_epoch})

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        self.check_window()
        return self

    def check_window(self) -> None:
        """Raise a validation error if the options that are set leave no epoch in the window."""
        names = ("min_start", "first_max_start", "max_start")
        ends = [(name, getattr(self, name)) for name in names if getattr(self, name) is not None]
        for (lower, low), (upper, high) in itertools.pairwise(ends):
            if low > high or (lower == "min_start" and low == high):
                raise wrong(
                    f"`{lower}` is {low} and `{upper}` is {high}; it must be min_start < "
                    "first_max_start <= max_start, for students to start in between"
                )
