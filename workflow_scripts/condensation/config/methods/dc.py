"""DC: gradient matching."""

from typing import Any, Literal, Self

from pydantic import Field

from condensation.config.methods.base import Init, MultiFormation

# `outer` and `inner` by IPC, from DC's released code; above IPC 50 from appendix A.1 of DC-BENCH.
LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
_LARGE_LOOPS = (10, 10)


class GradientMatching(MultiFormation):
    """Options of DC and DSA."""

    network_use = "differentiate"
    tabulated = ("outer", "inner")

    iterations: int = Field(
        1000, ge=0, description="Number of networks; each one takes `outer` matching steps."
    )
    outer: int | None = Field(
        None,
        ge=1,
        description="Matching steps per network; null: the authors' 1, 10, 20, 30, 40, 50 at IPC "
        "1, 10, 20, 30, 40, 50, and 10 above.",
    )
    inner: int | None = Field(
        None,
        ge=0,
        description="Epochs of training the network on the set between two matching steps; null: "
        "1, 50, 25, 20, 15, 10 at IPC 1, 10, 20, 30, 40, 50, and 10 above.",
    )
    lr: float = Field(0.1, gt=0, description="Learning rate of SGD on the images.")
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of SGD on the images.")
    batch_real: int = Field(
        256,
        ge=1,
        description="Real images per class and step; a smaller class uses all its images.",
    )
    lr_network: float = Field(
        0.01, gt=0, description="Learning rate of SGD, without momentum, on the network."
    )
    batch_network: int = Field(256, ge=1, description="Batch size when the network is trained.")
    distance: Literal["rows", "mse", "cosine"] = Field(
        "rows",
        description="Distance between gradients: `rows` sums one minus the cosine over output "
        "units (as in the paper), `mse` is the squared error, `cosine` one cosine over all.",
    )
    update: Literal["joint", "class_wise"] = Field(
        "joint",
        description="`joint` updates the images of all classes in one step; `class_wise` makes a "
        "step after each class, as the released code does at large IPC (the momentum is then "
        "spent within one pass over the classes).",
    )
    augmentation: str = Field(
        "none",
        description="A name under `augmentations`; real and synthetic images of a class share one "
        "draw (siamese).",
    )
    architecture: str = Field("convnet", description="A name under `architectures`.")

    def published(self, kind: str, ipc: int, zca: bool) -> dict[str, Any]:
        """Return ``outer`` and ``inner``, which depend on the IPC alone."""
        largest = max(LOOPS)
        if ipc <= largest and ipc not in LOOPS:
            raise KeyError(f"{', '.join(map(str, LOOPS))} and above {largest}")
        return dict(zip(self.tabulated, LOOPS.get(ipc, _LARGE_LOOPS), strict=True))

    @classmethod
    def as_in_paper(cls, ipc: int) -> Self:
        """Return the defaults; above IPC 50 the paper's sets start from real images."""
        options = super().as_in_paper(ipc)
        return options.model_copy(update={"init": "random"}) if ipc > max(LOOPS) else options


class DC(GradientMatching):
    """Gradient matching."""

    paper_name = "DC"
    citation = "Zhao, Mopuri & Bilen (2021), arXiv:2006.05929"

    algorithm: Literal["dc"] = Field(description="Selects this algorithm.")
    init: Init = Field("noise", description=MultiFormation.model_fields["init"].description)
