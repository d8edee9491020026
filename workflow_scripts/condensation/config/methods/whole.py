"""Whole: the full training set as a reference."""

from typing import Literal

from pydantic import Field

from condensation.config.methods.base import Method


class Whole(Method):
    """The full training set, drawn as the upper line of the figures. It has no IPC."""

    paper_name = "Whole Dataset"

    algorithm: Literal["whole"] = Field(description="Selects this algorithm.")
