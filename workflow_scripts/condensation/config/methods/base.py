"""What all methods share: the base of their options, and what the pipeline asks about a method."""

from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from condensation.config.base import Strict, or_single, wrong

Init = Literal["random", "kcenter", "noise"]
Labels = Literal["soft", "hard"]
SOFT_LABELS: Labels = "soft"  # the default of every method
LABELS_DESCRIPTION = (
    "What to do with labels that hold a row of class scores per image: `soft` trains on the rows, "
    "`hard` on the class with the largest score. One-hot rows always count as hard labels."
)
Finite = Annotated[float, Field(allow_inf_nan=False)]
PerChannel = Annotated[list[Finite], or_single(Finite)]
Iterations = Annotated[list[int], or_single(int)]
ClassName = Annotated[str | int, AfterValidator(str)]  # YAML reads 7 as a number


class Method(Strict):
    """Options of a condensation method, and what the pipeline must know about it.

    Fields are options of the config. Class variables describe the method; a subclass sets
    those that differ.

    Attributes
    ----------
    paper_name : name of the method in the paper's tables; None if no table holds it.
    citation : source of the method.
    network_use : how the method uses its network, ``embed`` or ``differentiate``; None if it
        has none. Networks of libraries are tried in this use before any job starts.
    selects_real_images : whether a set is made of real images, of which it then needs its IPC.
    tabulated : options that depend on dataset and IPC; None is replaced by ``published``.
    pipeline_options : options that the pipeline handles, not the method's function.
    """

    paper_name: ClassVar[str | None] = None
    citation: ClassVar[str | None] = None
    network_use: ClassVar[Literal["embed", "differentiate"] | None] = None
    selects_real_images: ClassVar[bool] = False
    tabulated: ClassVar[tuple[str, ...]] = ()
    pipeline_options: ClassVar[frozenset[str]] = frozenset({"snapshots", "preprocessing", "labels"})

    algorithm: str

    @property
    def images_in_an_image(self) -> int:
        """Training images that each image of a set holds."""
        return 1

    def real_images_needed(self, ipc: int) -> int:
        """Return how many real images of each class a set of ``ipc`` images per class takes."""
        return ipc if self.selects_real_images else 0

    @property
    def function(self) -> str:
        """Where the algorithm is: a module with ``condense``, or ``file.py:function``."""
        return f"condensation.methods.{self.algorithm}"

    @property
    def sources(self) -> list[str]:
        """Modules and files that the method loads by name; an edit of one reruns its jobs."""
        return [self.function]

    @property
    def features_read(self) -> str | None:
        """Name of the features that the method reads; None if it reads none."""
        return None

    @property
    def teacher_read(self) -> str | None:
        """Name of the features whose network the method reads as a teacher, or None."""
        return None

    @property
    def experts_read(self) -> tuple[str, int] | None:
        """Name of the trajectories that the method reads and their number, or None."""
        return None

    @property
    def last_expert_epoch(self) -> int:
        """Last epoch of the experts that the method reads."""
        return 0

    @property
    def missing(self) -> list[str]:
        """Tabulated options without a value."""
        return [name for name in self.tabulated if getattr(self, name) is None]

    def published(self, kind: str, ipc: int, zca: bool) -> dict[str, Any]:
        """Return the published values for a dataset of ``kind`` at ``ipc``.

        Raises
        ------
        KeyError
            With the IPC values that have a row if there is none.
        """
        raise NotImplementedError

    def completed(self, kind: str, ipc: int, zca: bool) -> Self:
        """Return a copy with published values in place of None.

        Raises
        ------
        KeyError
            As ``published`` does, and only if a value is missing.
        """
        if not self.missing:
            return self
        row = self.published(kind, ipc, zca)
        return self.model_copy(
            update={name: value for name, value in row.items() if getattr(self, name) is None}
        )

    @classmethod
    def as_in_paper(cls, ipc: int) -> Self:
        """Return the options that the paper used at ``ipc``: the defaults, unless overridden."""
        (algorithm,) = get_args(cls.model_fields["algorithm"].annotation)
        return cls(algorithm=algorithm)

    def files(self, dataset: str, ipc: str, seed: int) -> dict[str, str]:
        """Return, by option, the users' files that the method reads for a set."""
        return {}

    def arguments(
        self, options: dict[str, Any], dataset: str, ipc: str, seed: int
    ) -> dict[str, Any]:
        """Return the keyword arguments of the method's function for a set."""
        kept = {key: value for key, value in options.items() if key not in self.pipeline_options}
        return kept | self.files(dataset, ipc, seed)


class Selection(Method):
    """Options of all methods that select real images by their features."""

    selects_real_images = True

    features: str = Field(
        "embedding",
        description="What the method compares: `pixels` (standardised and flattened) or a name "
        "under `features`.",
    )

    @property
    def features_read(self) -> str | None:
        """Name of the features; None for pixels."""
        return None if self.features == "pixels" else self.features


class ByScore(Selection):
    """Options of all methods that select real images by a score."""

    features: str = Field(
        "scoring", description="A name under `features`, whose entry sets `scores: true`."
    )
    order: Literal["hardest", "easiest"] = Field(
        "hardest",
        description="Which images to select: those with the largest scores, as the paper does, or "
        "the smallest.",
    )

    @property
    def sources(self) -> list[str]:
        """The method's module and the one that all of them share."""
        return [*super().sources, "condensation.methods.scored"]


class Synthesis(Method):
    """Options of all methods that learn images."""

    init: Init = Field(
        "random",
        description="Initial images: `random` real images, those of `kcenter`, or N(0, 1) `noise`.",
    )
    features: str = Field(
        "embedding",
        description="The features that `init: kcenter` clusters: `pixels` or a name under "
        "`features`.",
    )
    snapshots: Iterations = Field(
        [],
        description="Iterations after which to keep the images as well; 0 keeps the initial "
        "images. An experiment with `snapshots: true` evaluates them.",
    )
    iterations: int = Field(ge=0, description="Updates of the images.")

    def real_images_needed(self, ipc: int) -> int:
        """Return the images from which the set starts; none from noise."""
        return 0 if self.init == "noise" else ipc * self.images_in_an_image

    @property
    def sources(self) -> list[str]:
        """The method's module, and K-Center's if the images start there."""
        return super().sources + ["condensation.methods.kcenter"] * (self.init == "kcenter")

    @property
    def features_read(self) -> str | None:
        """Name of the features that ``init: kcenter`` clusters."""
        return self.features if self.init == "kcenter" and self.features != "pixels" else None

    @model_validator(mode="after")
    def _check_snapshots(self) -> Self:
        for iteration in self.snapshots:
            if not 0 <= iteration <= self.iterations:
                raise wrong(
                    f"`snapshots` holds {iteration}; it must be from 0 to `iterations`, "
                    f"{self.iterations}"
                )
        return self


class MultiFormation(Synthesis):
    """Options of all methods whose images may hold several training images."""

    factor: int = Field(
        1,
        ge=1,
        description="Multi-formation (IDC): each image holds `factor` x `factor` training images "
        "at lower resolution, in as many stored pixels. 2 is usual for 32x32 images.",
    )

    @property
    def images_in_an_image(self) -> int:
        """Training images that each image of a set holds."""
        return self.factor**2

    def arguments(
        self, options: dict[str, Any], dataset: str, ipc: str, seed: int
    ) -> dict[str, Any]:
        """Return the keyword arguments; without ``factor`` where it is 1, as before it existed."""
        arguments = super().arguments(options, dataset, ipc, seed)
        if arguments.get("factor") == 1:
            del arguments["factor"]
        return arguments
