"""The sections ``experiments`` and ``figure7``: which cells a run computes and shows."""

from typing import Annotated

from pydantic import Field

from condensation.config.base import Names, Sizes, Strict, or_single


class Axes(Strict):
    """One block of a grid: every combination of the lists. A single value needs no list."""

    datasets: Names = Field(description="Names under `datasets`.")
    methods: Names = Field(description="Names under `methods`.")
    ipc: Sizes = Field(description="Images per class; not used by `whole`.")
    augmentations: Names = Field(["dsa"], description="Names under `augmentations`.")
    architectures: Names = Field(["convnet"], description="Names under `architectures`.")
    optimizers: Names = Field(["sgd"], description="Names under `optimizers`.")
    snapshots: bool = Field(
        False,
        description="Also evaluate the `snapshots` of methods that keep them (accuracy against "
        "iteration).",
    )
    condensation_seeds: int = Field(
        1, ge=1, description="Number of condensed sets; the paper has one."
    )
    evaluation_seeds: int = Field(
        5,
        ge=1,
        description="Number of networks trained on each set; the paper has five. After an "
        "increase, only the new ones are trained.",
    )


class Figure7(Strict):
    """Sets to show among the real images of a class, in the feature space of a network."""

    features: str = Field(
        description="A name under `features`; one network is trained for each kind of "
        "preprocessing."
    )
    datasets: Names = Field(description="Names under `datasets`.")
    methods: Names = Field(description="Names under `methods`, one panel each.")
    ipc: int = Field(ge=1, description="Images per class of the sets.")
    label: int = Field(0, ge=0, description="The class, by its number.")


Experiment = Annotated[list[Axes], Field(min_length=1), or_single(Axes, least=1)]
