"""DM: distribution matching."""

from typing import Any, Literal

from pydantic import Field

from condensation.config.methods.base import MultiFormation


class DM(MultiFormation):
    """Distribution matching: class means of random networks' embeddings."""

    paper_name = "DM"
    citation = "Zhao & Bilen (2023), arXiv:2110.04181"
    network_use = "embed"
    tabulated = ("lr",)

    algorithm: Literal["dm"] = Field(description="Selects this algorithm.")
    iterations: int = Field(20_000, ge=0, description="Updates of the images.")
    lr: float | None = Field(
        None,
        gt=0,
        description="Learning rate of SGD on the images; null: 10 for CIFAR-10 at IPC >= 100, "
        "else 1.",
    )
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of SGD on the images.")
    batch_real: int = Field(
        256,
        ge=1,
        description="Real images per class and iteration; a smaller class uses all its images.",
    )
    augmentation: str = Field(
        "dsa",
        description="A name under `augmentations`; real and synthetic images of a class share one "
        "draw (siamese).",
    )
    architecture: str = Field("convnet", description="A name under `architectures`.")

    def published(self, kind: str, ipc: int, zca: bool) -> dict[str, Any]:
        """Return ``lr``, as the authors' README gives it."""
        return {"lr": 10.0 if kind == "cifar10" and ipc >= 100 else 1.0}
