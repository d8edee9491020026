"""Random labels: a control that should score like guessing."""

from typing import Literal

from pydantic import Field

from condensation.config.methods.base import Method


class RandomLabels(Method):
    """A control: random real images with shuffled labels, which should score like guessing."""

    selects_real_images = True

    algorithm: Literal["random_labels"] = Field(description="Selects this algorithm.")
