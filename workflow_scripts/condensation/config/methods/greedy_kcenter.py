"""Greedy K-Center: real images far from each other."""

from typing import Literal

from pydantic import Field

from condensation.config.methods.base import Selection


class GreedyKCenter(Selection):
    """Per class, one image after the other, each the farthest from those selected before."""

    citation = "Sener & Savarese (2018), Core-Set, arXiv:1708.00489"

    algorithm: Literal["greedy_kcenter"] = Field(description="Selects this algorithm.")
    start: Literal["mean", "random"] = Field(
        "mean",
        description="The first image of a class: the one nearest to the mean of the class, or a "
        "random one.",
    )
