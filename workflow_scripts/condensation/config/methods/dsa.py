"""DSA: gradient matching with differentiable siamese augmentation."""

from typing import Literal

from pydantic import Field

from condensation.config.methods.base import Init, Synthesis
from condensation.config.methods.dc import DC


class DSA(DC):
    """Gradient matching with differentiable siamese augmentation."""

    paper_name = "DSA"
    citation = "Zhao & Bilen (2021), arXiv:2102.08259"

    algorithm: Literal["dsa"] = Field(description="Selects this algorithm.")
    init: Init = Field("random", description=Synthesis.model_fields["init"].description)
    augmentation: str = Field("dsa", description=DC.model_fields["augmentation"].description)
