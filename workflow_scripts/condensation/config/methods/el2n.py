"""EL2N: the real images with the largest errors."""

from typing import Literal

from pydantic import Field

from condensation.config.methods.base import ByScore


class EL2N(ByScore):
    """Per class, the images with the longest vector of errors: softmax minus one-hot label."""

    citation = "Paul, Ganguli & Dziugaite (2021), arXiv:2107.07075"

    algorithm: Literal["el2n"] = Field(description="Selects this algorithm.")
