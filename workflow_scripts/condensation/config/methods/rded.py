"""RDED: patches of real images that a teacher recognises, stitched together."""

from typing import Literal

from pydantic import Field

from condensation.config.methods.base import Method


class RDED(Method):
    """Crops of real images with the smallest loss of a teacher, several in an image.

    It was published for evaluations with the teacher's labels of each view (``labels:
    distilled_views``).
    """

    citation = "Sun et al. (2024), arXiv:2312.03526"

    algorithm: Literal["rded"] = Field(description="Selects this algorithm.")
    teacher: str = Field(
        "scoring",
        description="A name under `features`, whose training the teacher gets.",
    )
    pool: int = Field(
        300, ge=1, description="Random real images per class to crop; all of a smaller class."
    )
    crops: int = Field(
        5, ge=1, description="Random crops of each; the one with the smallest loss stays."
    )
    factor: int = Field(
        1,
        ge=1,
        description="An image holds factor x factor crops. The published scripts use 1 for images "
        "of 32 and 64 pixels, and 2 for larger ones.",
    )
    smallest: float = Field(
        0.08, gt=0, le=1, description="Smallest area of a crop, as a share of the image."
    )

    @property
    def teacher_read(self) -> str | None:
        """Name of the features whose network is the teacher."""
        return self.teacher
