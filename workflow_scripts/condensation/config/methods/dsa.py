"""DSA: gradient matching with differentiable siamese augmentation."""

from typing import Literal

from pydantic import Field

from condensation.config.methods.dc import GradientMatching


class DSA(GradientMatching):
    """Gradient matching with differentiable siamese augmentation."""

    paper_name = "DSA"
    citation = "Zhao & Bilen (2021), arXiv:2102.08259"

    algorithm: Literal["dsa"] = Field(description="Selects this algorithm.")
    augmentation: str = Field(
        "dsa", description=GradientMatching.model_fields["augmentation"].description
    )
