"""The sections ``experiments`` and ``figure7``: which cells a run computes and shows."""

from typing import Annotated, Literal

from pydantic import Field

from condensation.config.base import Names, Sizes, Strict, or_single

Labels = Literal["own", "hard", "distilled", "distilled_views"]
OWN: Labels = "own"
DISTILLED: tuple[Labels, ...] = ("distilled", "distilled_views")


class Axes(Strict):
    """One block of a grid: every combination of the lists. A single value needs no list."""

    datasets: Names = Field(description="Names under `datasets`.")
    methods: Names = Field(description="Names under `methods`.")
    ipc: Sizes = Field(description="Images per class; not used by `whole`.")
    augmentations: Names = Field(["dsa"], description="Names under `augmentations`.")
    architectures: Names = Field(["convnet"], description="Names under `architectures`.")
    optimizers: Names = Field(["sgd"], description="Names under `optimizers`.")
    labels: Annotated[list[Labels], Field(min_length=1), or_single(Labels, least=1)] = Field(
        [OWN],
        description="Labels that networks are trained on: `own`, those of the set; `hard`, the "
        "class with the largest score, for sets with soft labels; `distilled`, the teacher's "
        "scores of each image; `distilled_views`, its scores of each augmented image, anew in "
        "every step.",
    )
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


class Teacher(Strict):
    """The network that labels images for `labels: distilled`, trained on all real images."""

    features: str = Field(
        "scoring",
        description="A name under `features`, whose training the teacher gets. One is trained for "
        "each kind of preprocessing.",
    )
    temperature: float = Field(
        1.0,
        gt=0,
        allow_inf_nan=False,
        description="Divides the scores of teacher and student before the softmax; the loss is "
        "multiplied by its square.",
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
