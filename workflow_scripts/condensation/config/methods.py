"""What can be set about a condensation method: one pydantic model per algorithm.

Its fields are the one source of the defaults, the documentation and the checks.
What is None there and depends on dataset and IPC is filled in from ``rows``.
Free of torch.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from condensation.config.entries import Preprocessing, Strict, check_function, wrong
from condensation.core import plugins

Init = Literal["random", "kcenter", "noise"]
Labels = Literal["soft", "hard"]
SOFT_LABELS: Labels = "soft"  # the default, for every method
_LABELS = (
    "Where the labels are a row of class scores per image: train on the rows, or on the class of "
    "the largest score. One-hot rows are hard either way."
)
Finite = Annotated[float, Field(allow_inf_nan=False)]
ClassName = Annotated[str | int, AfterValidator(str)]  # YAML reads 7 as a number


class Random(Strict):
    """Real images drawn uniformly without replacement, IPC per class."""

    algorithm: Literal["random"] = Field(description="Chooses this algorithm.")


class KCenter(Strict):
    """Per class k-means with k = IPC, and the real image nearest to each centre (Algorithm 1)."""

    algorithm: Literal["kcenter"] = Field(description="Chooses this algorithm.")
    features: str = Field(
        "embedding",
        description="`pixels` (standardised, flattened), or a name under `features`.",
    )
    start: Literal["random", "k-means++"] = Field(
        "random",
        description="First centres: random images of the class, as the paper's Algorithm 1 says, "
        "or k-means++.",
    )
    max_iterations: int = Field(300, ge=1, description="Most k-means iterations.")
    restarts: int = Field(1, ge=1, description="K-means runs per class; the tightest is kept.")


class Synthesis(Strict):
    """What all methods that make images have in common."""

    init: Init = Field("random", description="Start: random real images, K-Center's, or N(0,1).")
    features: str = Field(
        "embedding", description="The features that `init: kcenter` clusters; as in `kcenter`."
    )
    snapshots: list[int] = Field(
        [],
        description="Iterations whose images are kept too, 0 for the start; an experiment with "
        "`snapshots: true` judges them.",
    )

    @model_validator(mode="after")
    def _snapshots_exist(self) -> "Synthesis":
        wrong_ones = [i for i in self.snapshots if not 0 <= i <= self.iterations]
        if wrong_ones:
            raise wrong(
                f"`snapshots` holds {wrong_ones[0]}; it must be from 0 to `iterations`, "
                f"{self.iterations}"
            )
        return self


class DC(Synthesis):
    """Gradient matching (Zhao, Mopuri & Bilen, 2021)."""

    algorithm: Literal["dc"] = Field(description="Chooses this algorithm.")
    init: Init = Field("noise", description="Start: random real images, K-Center's, or N(0,1).")
    iterations: int = Field(1000, ge=0, description="Networks; each is matched `outer` times.")
    outer: int | None = Field(
        None,
        ge=1,
        description="Matching steps per network; null: the author's 1, 10, 20, 30, 40, 50 at these "
        "IPC, and 10 above.",
    )
    inner: int | None = Field(
        None,
        ge=0,
        description="Epochs that the network is trained on the set between two steps; null: 1, 50, "
        "25, 20, 15, 10 at IPC 1, 10, 20, 30, 40, 50, and 10 above.",
    )
    lr: float = Field(0.1, gt=0, description="Step size of SGD on the images.")
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of SGD on the images.")
    batch_real: int = Field(
        256,
        ge=1,
        description="Real images per class and step; a smaller class gives all it has.",
    )
    lr_network: float = Field(0.01, gt=0, description="Step size of plain SGD on the network.")
    batch_network: int = Field(256, ge=1, description="Images per step on the network.")
    distance: Literal["rows", "mse", "cosine"] = Field(
        "rows",
        description="Between gradients: cosine per output unit (the paper's), squared error, or "
        "one cosine over all.",
    )
    update: Literal["joint", "class_wise"] = Field(
        "joint",
        description="One step over all classes, or one after each class (the released code's way "
        "at large IPC, which spends the momentum within a sweep).",
    )
    augmentation: str = Field("none", description="A name under `augmentations`, drawn siamese.")
    architecture: str = Field("convnet", description="A name under `architectures`.")


class DSA(DC):
    """Gradient matching with differentiable siamese augmentation (Zhao & Bilen, 2021)."""

    algorithm: Literal["dsa"] = Field(description="Chooses this algorithm.")
    init: Init = Field("random", description="Start: random real images, K-Center's, or N(0,1).")
    augmentation: str = Field("dsa", description="A name under `augmentations`, drawn siamese.")


class DM(Synthesis):
    """Distribution matching: class means of random networks' embeddings (Zhao & Bilen, 2023)."""

    algorithm: Literal["dm"] = Field(description="Chooses this algorithm.")
    iterations: int = Field(20_000, ge=0, description="Updates of the images.")
    lr: float | None = Field(
        None,
        gt=0,
        description="Step size of SGD on the images; null: 10 for CIFAR-10 at IPC >= 100, else 1.",
    )
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of SGD on the images.")
    batch_real: int = Field(
        256, ge=1, description="Real images per class and iteration; a smaller class gives all."
    )
    augmentation: str = Field("dsa", description="A name under `augmentations`, drawn siamese.")
    architecture: str = Field("convnet", description="A name under `architectures`.")


class TM(Synthesis):
    """Trajectory matching, also called MTT (Cazenavette et al., 2022).

    Null takes the row of TM's table for the dataset and IPC; a dataset of your own takes
    CIFAR-10's.
    """

    algorithm: Literal["tm"] = Field(description="Chooses this algorithm.")
    iterations: int = Field(5000, ge=0, description="Updates of the images.")
    trajectories: str = Field("experts", description="A name under `trajectories`.")
    experts: int = Field(100, ge=1, description="Experts that are trained and drawn from.")
    steps: int | None = Field(None, ge=1, description="Student steps on the set, N.")
    expert_epochs: int | None = Field(
        None, ge=1, description="Expert epochs that N steps must cover, M."
    )
    max_start: int | None = Field(None, ge=1, description="Students start at an epoch below this.")
    batch_syn: int | None = Field(
        None, ge=1, description="Images per student step; null: the row's, where that is all."
    )
    lr: float | None = Field(None, gt=0, description="Step size of SGD on the images.")
    lr_step: float | None = Field(None, ge=0, description="Step size of SGD on the step size.")
    step_size: float | None = Field(
        None, gt=0, description="First step size of the student, which is learned."
    )
    momentum: float = Field(0.5, ge=0, lt=1, description="Momentum of both.")
    gradient: Literal["auto", "exact", "unroll", "tesla"] = Field(
        "auto",
        description="`exact`: by a reverse recursion whose memory does not grow with N; `unroll`: "
        "through the full graph of all steps, the same gradient; `auto`: the graph where it takes "
        "at most half of the memory that `compute` declares, else the recursion; `tesla`: TESLA's "
        "approximation.",
    )
    chunk: int | None = Field(
        None,
        ge=1,
        description="Most images in one pass of `exact` and `tesla`, to bound memory; null: as "
        "many as are fastest.",
    )
    augmentation: str = Field("dsa", description="A name under `augmentations`.")


class KIP(Synthesis):
    """Kernel inducing points: images learned by kernel ridge regression (Nguyen et al., 2021)."""

    algorithm: Literal["kip"] = Field(description="Chooses this algorithm.")
    iterations: int = Field(1000, ge=0, description="Updates of the images.")
    lr: float = Field(0.04, gt=0, description="Step size of Adam on the images.")
    batch_real: int = Field(
        5000, ge=1, description="Real images per iteration, as many of each class."
    )
    kernel: Literal["fc_ntk", "conv_features"] = Field(
        "fc_ntk",
        description="Exact neural tangent kernel of a fully-connected network, or random features "
        "of convolutional networks in place of the paper's convolutional kernel.",
    )
    depth: int = Field(1, ge=1, description="Hidden layers of `fc_ntk`.")
    ridge: float | None = Field(
        None,
        ge=0,
        description="Ridge, times the mean of the kernel's diagonal; null: 1e-6 for `fc_ntk` "
        "(KIP), 5e-3 for `conv_features`, which are an estimate (RFAD).",
    )
    learn_labels: bool = Field(False, description="Learn the labels too (they become soft).")
    networks: int = Field(8, ge=1, description="Networks of `conv_features`, fresh each time.")
    width: int = Field(256, ge=1, description="Filters per layer of `conv_features`.")
    preprocessing: Preprocessing = Field(
        "zca_kip", description="What the images are made into, here and when the set is judged."
    )


class Whole(Strict):
    """The full training set, for the upper line of the figures. Has no IPC."""

    algorithm: Literal["whole"] = Field(description="Chooses this algorithm.")


class Imported(Strict):
    """A condensed set made elsewhere: safetensors, npz, npy, PyTorch (weights only), or pictures.

    A file holds a mapping with the images under `images`, `image`, `image_syn`, `data`, `x` or
    `arr_0` and the labels under `labels`, `label`, `label_syn`, `targets`, `target`, `y` or
    `arr_1`; or a pair of both; or images alone, in class order. Images are N x C x H x W,
    N x H x W x C, or N x H x W where there is one channel. A folder holds `<class>/*`.
    """

    algorithm: Literal["imported"] = Field(description="Chooses this algorithm.")
    path: str = Field(
        description="The file or folder; `{dataset}`, `{ipc}` and `{seed}` in it are filled in."
    )
    labels_path: str | None = Field(
        None, description="A second file with the labels, where the first holds only images."
    )
    run: int | Literal["seed"] | None = Field(
        None,
        description="Which of several runs in the file, from 0; `seed`: that of the condensation "
        "seed, so that each run is a set of its own.",
    )
    labels: Labels = Field(SOFT_LABELS, description=_LABELS)
    classes: list[ClassName] | None = Field(
        None,
        description="The dataset's classes in the order of the file's labels; null: the dataset's.",
    )
    scale: Literal["standardized", "unit", "uint8"] | None = Field(
        None,
        description="What the pixels are: standardised by mean and std, in [0, 1], or 0 to 255; "
        "null: `uint8` for a folder, else `standardized`. What the numbers contradict is refused "
        "or warned of.",
    )
    mean: list[Finite] | None = Field(
        None, description="The mean the set was standardised with, where it is not the dataset's."
    )
    std: list[Finite] | None = Field(None, description="The standard deviation, as `mean`.")
    restandardize: bool = Field(
        False, description="Convert a set whose `mean` and `std` are not the dataset's."
    )
    preprocessing: Preprocessing = Field(
        "standardize",
        description="What its pixels are, if not standardised: `zca_kip` for the files that KIP's "
        "authors published, `zca` for TM's.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Imported":
        for key, text in (("path", self.path), ("labels_path", self.labels_path)):
            try:
                (text or "").format(dataset="", ipc="", seed="")
            except (KeyError, IndexError, ValueError) as error:
                raise wrong(
                    f"`{key}` {text!r}: only {{dataset}}, {{ipc}} and {{seed}} are filled in "
                    f"({error!r})"
                ) from error
        if (self.mean is None) != (self.std is None):
            raise wrong("give both `mean` and `std`, or neither")
        if self.std is not None and min(self.std, default=0) <= 0:
            raise wrong(f"`std` must be above 0, got {self.std}")
        if self.restandardize and self.mean is None:
            raise wrong("`restandardize` needs the `mean` and `std` that the set was made with")
        if self.mean is not None and self.scale in ("unit", "uint8"):
            raise wrong(
                f"`mean` and `std` are of standardised images; with `scale: {self.scale}` there "
                "are none"
            )
        if isinstance(self.run, int) and self.run < 0:
            raise wrong(f"`run` counts from 0, got {self.run}")
        twice = {name for name in self.classes or () if self.classes.count(name) > 1}
        if twice:
            raise wrong(f"`classes` names {min(twice)!r} twice")
        if self.preprocessing != "standardize" and (
            self.mean or self.scale not in (None, "standardized")
        ):
            raise wrong(
                f"a set with `preprocessing: {self.preprocessing}` is taken as it is: it has no "
                "`mean`, `std` or `scale`"
            )
        return self


class Plugin(Strict):
    """Your own algorithm, one function in one Python file (docs/adding-a-method.md)."""

    model_config = ConfigDict(extra="allow", frozen=True)
    algorithm: str = Field(
        pattern=r"\.py:[A-Za-z_]\w*$",
        description="`file.py:function`; all other keys are the function's keyword arguments.",
    )
    labels: Labels = Field(SOFT_LABELS, description=_LABELS)

    @model_validator(mode="before")
    @classmethod
    def _numbers(cls, data: Any) -> Any:
        """YAML reads 1e-3 as text; a number was meant."""
        return plugins.with_numbers(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _matches_the_function(self) -> "Plugin":
        check_function(self.algorithm, self.model_extra or {}, ("the problem",))
        return self


METHODS = {
    "random": Random,
    "kcenter": KCenter,
    "dc": DC,
    "dsa": DSA,
    "dm": DM,
    "tm": TM,
    "kip": KIP,
    "whole": Whole,
    "imported": Imported,
}
