"""The section ``nas``: ranking of architectures."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from condensation.config.base import Names, Sizes, Strict, or_single, wrong

SPACE = 15_625  # architectures of NAS-Bench-201
BENCHMARK_TABLE = "nats_bench.csv"  # name of the official table of accuracies
BENCHMARK_COLUMNS = {  # of that table, by kind of dataset
    "cifar10": "CIFAR10TestAccuracy200Epochs",
    "cifar100": "CIFAR100TestAccuracy200Epochs",
}


class RankedSets(Strict):
    """Condensed sets to rank with: every combination of the lists. A single value needs no list."""

    methods: Names = Field(description="Names under `methods`.")
    ipc: Sizes = Field(description="Images per class; not used by `whole`, which is a reference.")
    condensation_seeds: int = Field(1, ge=1, description="How many condensed sets of each.")


_Blocks = Annotated[list[RankedSets], Field(min_length=1), or_single(RankedSets, least=1)]


class Reference(Strict):
    """Real images to rank with, for comparison: the training images that are not held out."""

    images: int | None = Field(
        None,
        ge=1,
        description="Size of a random subset, the same number per class; null: all images.",
    )
    epochs: int | None = Field(None, ge=1, description="Training epochs; null: `nas.epochs`.")
    evaluation_seeds: int | None = Field(
        None, ge=1, description="Networks per architecture; null: `nas.evaluation_seeds`."
    )


class ProxyNetwork(Strict):
    """The cell network that is trained in place of the benchmark's large one."""

    cells: int = Field(
        1, ge=1, description="Cells a stage, of three stages; the benchmark itself has 5."
    )
    channels: int = Field(16, ge=1, description="Channels of the first stage.")
    affine: bool = Field(
        False, description="Scale and shift in the norms of the cells; true in the benchmark."
    )


class ProxyTraining(Strict):
    """How the networks are trained: SGD, the rate along a cosine, the gradient clipped."""

    batch_size: int = Field(
        64, ge=2, description="Images per training step; the last batch may be smaller."
    )
    lr: float = Field(0.025, gt=0, description="Learning rate of the first epoch.")
    lr_end: float = Field(
        0.001,
        ge=0,
        description="Final learning rate; it falls along half a cosine, one step per epoch.",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum.")
    weight_decay: float = Field(3e-4, ge=0, description="L2 penalty on all parameters.")
    clip: float | None = Field(
        5.0, gt=0, description="Maximum norm of a network's gradient; null: no clipping."
    )


class Ranking(Strict):
    """Ranking architectures of NAS-Bench-201 by networks trained on condensed sets (Table 3)."""

    dataset: str = Field(description="A name under `datasets`.")
    sets: _Blocks = Field(description="One block of condensed sets, or a list of blocks.")
    references: dict[str, Reference] = Field(
        {}, description="Named real data; without any, condensed sets are ranked alone."
    )
    truth: Literal["benchmark", "whole"] = Field(
        "benchmark",
        description="What a ranking is compared with: `benchmark`, the test accuracy of the "
        "network trained in full, from a table; `whole`, the proxy accuracy after training on all "
        "images that are not held out (a reference without `images`), for any dataset.",
    )
    table: str | None = Field(
        None,
        description="A CSV file of your own with `ArchitectureString` and the `column`; null: the "
        "official table of NAS-Bench-201, downloaded.",
    )
    column: str | None = Field(
        None,
        description="Column of the accuracy in percent; null: by dataset, `"
        + "` or `".join(BENCHMARK_COLUMNS.values())
        + "`.",
    )
    architectures: int = Field(
        100, ge=3, le=SPACE, description="Distinct architectures, drawn at random."
    )
    connected: bool = Field(
        False,
        description="Draw only from cells whose output depends on their input; 341 of the 15,625 "
        "are not such, and are at chance level.",
    )
    seed: int = Field(
        0, ge=0, description="Of the draw of architectures and subsets, and of what is held out."
    )
    network: ProxyNetwork = Field(ProxyNetwork(), description="See its section.")
    training: ProxyTraining = Field(ProxyTraining(), description="See its section.")
    epochs: int = Field(50, ge=1, description="Training epochs on a condensed set.")
    evaluation_seeds: int = Field(
        5, ge=1, description="Networks per architecture and set; their mean accuracy ranks."
    )
    validation: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of each class of the real training images that is held out to judge "
        "the networks.",
    )
    validation_images: int | None = Field(
        None,
        ge=1,
        description="Test the networks on this many of them, the same number per class; null: on "
        "all. At small IPC testing costs as much as training.",
    )
    resamples: int = Field(
        10_000, ge=100, description="Resamples of the architectures, for the intervals."
    )
    architectures_per_job: int = Field(
        10, ge=1, description="Architectures that share a job; each job reads the dataset once."
    )

    note: str | None = Field(
        None,
        description="A note above the table and the figure, e.g. on what not to conclude.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.truth == "whole":
            if self.table or self.column:
                raise wrong("`table` and `column` are for `truth: benchmark`")
            if self.whole is None:
                raise wrong(
                    "`truth: whole` needs a reference without `images`, e.g. "
                    "`references: {whole: {}}`"
                )
        if self.table and set("{}") & set(self.table):
            raise wrong(f"`table` may not hold braces, got {self.table!r}")
        return self

    @property
    def whole(self) -> str | None:
        """The name of the first reference that is all images, if there is one."""
        return next(
            (name for name, reference in self.references.items() if reference.images is None), None
        )
