"""KIP: kernel inducing points."""

from typing import Any, Literal

from pydantic import Field

from condensation.config.base import Preprocessing
from condensation.config.methods.base import Synthesis

_RIDGE = {"fc_ntk": 1e-6, "conv_features": 5e-3}  # KIP's; RFAD's for random features


class KIP(Synthesis):
    """Kernel inducing points: images learned by kernel ridge regression."""

    paper_name = "KIP"
    citation = "Nguyen, Chen & Lee (2021), arXiv:2011.00050; Nguyen et al. (2021), arXiv:2107.13034"
    tabulated = ("ridge",)

    algorithm: Literal["kip"] = Field(description="Selects this algorithm.")
    iterations: int = Field(1000, ge=0, description="Updates of the images.")
    lr: float = Field(0.04, gt=0, description="Learning rate of Adam on the images.")
    batch_real: int = Field(
        5000, ge=1, description="Real images per iteration, the same number from each class."
    )
    kernel: Literal["fc_ntk", "conv_features"] = Field(
        "fc_ntk",
        description="`fc_ntk`: the exact neural tangent kernel of a fully-connected network; "
        "`conv_features`: random features of convolutional networks instead of the paper's "
        "convolutional kernel.",
    )
    depth: int = Field(1, ge=1, description="Hidden layers of `fc_ntk`.")
    ridge: float | None = Field(
        None,
        ge=0,
        description="Ridge, as a multiple of the mean of the kernel's diagonal; null: 1e-6 for "
        "`fc_ntk` (KIP), 5e-3 for `conv_features` (RFAD, arXiv:2210.12067).",
    )
    learn_labels: bool = Field(False, description="Learn the labels too; they become soft labels.")
    networks: int = Field(
        8, ge=1, description="Networks of `conv_features`, drawn anew in each iteration."
    )
    width: int = Field(256, ge=1, description="Filters per layer of `conv_features`.")
    preprocessing: Preprocessing = Field(
        "zca_kip", description="Preprocessing of the images, in condensation and in evaluation."
    )

    def published(self, kind: str, ipc: int, zca: bool) -> dict[str, Any]:
        """Return the ridge of the kernel."""
        return {"ridge": _RIDGE[self.kernel]}
