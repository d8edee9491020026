"""Random: real images, drawn uniformly."""

from typing import Literal

from pydantic import Field

from condensation.config.methods.base import Method


class Random(Method):
    """Real images drawn uniformly without replacement, IPC per class."""

    paper_name = "Random"
    selects_real_images = True

    algorithm: Literal["random"] = Field(description="Selects this algorithm.")
