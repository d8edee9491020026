"""Forgetting: the real images that training forgets most often."""

from typing import Literal

from pydantic import Field

from condensation.config.methods.base import ByScore


class Forgetting(ByScore):
    """Per class, the images that training classified rightly and then wrongly most often."""

    citation = "Toneva et al. (2019), arXiv:1812.05159"

    algorithm: Literal["forgetting"] = Field(description="Selects this algorithm.")
