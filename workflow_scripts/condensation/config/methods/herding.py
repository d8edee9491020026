"""Herding: real images whose mean follows the mean of their class."""

from typing import Literal

from pydantic import Field

from condensation.config.methods.base import Selection


class Herding(Selection):
    """Real images, one by one, whose mean stays near the mean of their class."""

    citation = "Welling (2009); Rebuffi et al. (2017), iCaRL, Algorithm 4, arXiv:1611.07725"

    algorithm: Literal["herding"] = Field(description="Selects this algorithm.")
    normalize: bool = Field(True, description="Scale the features to length 1, as iCaRL does.")
