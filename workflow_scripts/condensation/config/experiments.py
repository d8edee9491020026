"""The sections ``experiments`` and ``figure7``: which cells a run computes and shows."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from condensation.config.base import Strict, as_list


class Axes(Strict):
    """One block of a grid: every combination of the lists."""

    datasets: list[str] = Field(min_length=1, description="Names under `datasets`.")
    methods: list[str] = Field(min_length=1, description="Names under `methods`.")
    ipc: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="Images per class; not used by `whole`."
    )
    augmentations: list[str] = Field(
        ["dsa"], min_length=1, description="Names under `augmentations`."
    )
    architectures: list[str] = Field(
        ["convnet"], min_length=1, description="Names under `architectures`."
    )
    optimizers: list[str] = Field(["sgd"], min_length=1, description="Names under `optimizers`.")
    snapshots: bool = Field(
        False,
        description="Judge also the `snapshots` of the methods that keep some (accuracy against "
        "iteration).",
    )
    condensation_seeds: int = Field(
        1, ge=1, description="How many condensed sets are made; the paper has one."
    )
    evaluation_seeds: int = Field(
        5,
        ge=1,
        description="How many networks are trained on each set; the paper has five. Raised by "
        "multiples of `evaluation.seeds_per_job`, it trains the new ones only.",
    )


class Figure7(Strict):
    """The sets whose images are shown among the real ones of a class, by a network's features."""

    features: str = Field(
        description="A name under `features`; a network of its own is trained for each kind of "
        "preprocessing."
    )
    datasets: list[str] = Field(min_length=1, description="Names under `datasets`.")
    methods: list[str] = Field(min_length=1, description="Names under `methods`, a panel each.")
    ipc: int = Field(ge=1, description="Images per class of the sets.")
    label: int = Field(0, ge=0, description="The class, by its number.")


Experiment = Annotated[
    list[Axes],
    BeforeValidator(as_list, json_schema_input_type=list[Axes] | Axes),
    Field(min_length=1),
]
