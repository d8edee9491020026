"""Named entries: datasets, features, trajectories, architectures, augmentations, optimizers.

One pydantic model per kind. Its fields are the only source of defaults, documentation and checks.
The code that an entry selects is imported by the job. Methods are in ``config.methods``.
"""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from condensation.config.base import (
    PluginOptions,
    Preprocessing,
    Strict,
    check_function,
    or_single,
    wrong,
)

_PerChannel = Annotated[list[float], or_single(float)]

Subset = Literal[  # of ImageNet; the classes are in ``files.subsets``
    "imagenette", "imagewoof", "imagefruit", "imagemeow", "imagesquawk", "imageyellow"
]

_SCALE = ", as pixels are on 0 to 1 (divide constants for 0 to 255 by 255)"

# --- datasets -------------------------------------------------------------------------------------


class Dataset(Strict):
    """One dataset: where its images come from and how they are standardised."""

    source: Literal[
        "digits", "cifar10", "cifar100", "fashion_mnist", "tinyimagenet", "image_folder"
    ] = Field(
        description="The reader: scikit-learn's bundled digits, an official archive, or your own "
        "images (`image_folder`)."
    )
    path: str | None = Field(
        None,
        description="A local archive used instead of the download; for `image_folder` (required) "
        "a folder, tar or zip with `train/<class>/*` and `test/<class>/*`; for cifar10 and "
        "cifar100 also the folder that the archive unpacks to.",
    )
    checksum: str | None = Field(
        None,
        pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})$",
        description="`md5:<hex>` or `sha256:<hex>` of the archive, where it is not the official "
        "one. Not for cifar10 and cifar100, whose archives are pickles.",
    )
    image_size: int | None = Field(
        None, ge=4, le=1024, description="Resize images to this height and width (`image_folder`)."
    )
    crop: bool | None = Field(
        None,
        description="Whether `image_size` cuts an image to a square around its middle instead of "
        "stretching it; null: yes for a `subset`, else no.",
    )
    subset: Subset | None = Field(
        None,
        description="For `image_folder`: ten classes of ImageNet by name. `path` then holds "
        "`train/<WordNet id>/*` and `val/<WordNet id>/*`: all of ImageNet, or ImageNette as "
        "fast.ai distributes it.",
    )
    test_fraction: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="For `image_folder` with `train/<class>/*` alone: this share of every class, "
        "at least one image, is held out as the test split, always the same images.",
    )
    background: str = Field(
        "white",
        description="For `image_folder`: the colour behind transparent images, `#rrggbb` or a name "
        "(`black`).",
    )
    channels: Literal[1, 3] = Field(
        3, description="1 for grey, 3 for RGB (`image_folder`; the others know)."
    )
    mean: _PerChannel | None = Field(
        None,
        description="Mean per channel on [0, 1]; null: the field's constants, or computed from "
        "the training images.",
    )
    std: _PerChannel | None = Field(
        None, description="Standard deviation per channel on [0, 1]; as `mean`."
    )
    like: Literal["cifar10", "cifar100", "fashion_mnist", "tinyimagenet"] | None = Field(
        None,
        description="For `image_folder`: the official dataset whose mean, std and hyper-parameter "
        "rows are used, where the folder holds its images.",
    )
    flip: bool | None = Field(
        None,
        description="Whether a mirrored image keeps its class, so that augmentations may flip it; "
        "null: no for digits, yes elsewhere.",
    )

    @property
    def kind(self) -> str:
        """The official dataset that this one is, or is like; else its source."""
        return self.like or self.source

    @model_validator(mode="after")
    def _consistent(self) -> "Dataset":
        if self.source == "image_folder" and not self.path:
            raise wrong("`image_folder` needs `path`: a folder, tar or zip of your images")
        if self.source == "digits" and (self.path or self.checksum):
            raise wrong("`digits` comes with scikit-learn; it takes no `path` or `checksum`")
        if self.source in ("cifar10", "cifar100") and self.checksum:
            raise wrong(
                f"`{self.source}` takes no `checksum`: its archive holds pickles, and only the "
                "official one is unpickled; use `source: image_folder` for other images"
            )
        if self.source == "fashion_mnist" and self.checksum:
            raise wrong("`fashion_mnist` takes no `checksum`: it is four files, each verified")
        for option in ("image_size", "test_fraction", "subset", "crop", "channels"):
            default = type(self).model_fields[option].default
            if self.source != "image_folder" and getattr(self, option) != default:
                raise wrong(f"`{option}` is for `image_folder`, not for `{self.source}`")
        if self.crop and not self.image_size:
            raise wrong("`crop` says how images are made square; set `image_size` as well")
        if self.background != "white":
            self._check_background()
        if self.source != "image_folder" and self.like:
            raise wrong(f"`like` is for `image_folder`, not for `{self.source}`")
        if self.path and set("{}") & set(self.path):
            raise wrong(f"`path` may not hold braces, got {self.path!r}")
        if (self.mean is None) != (self.std is None):
            raise wrong("give both `mean` and `std`, or neither")
        if not all(0 <= value <= 1 for value in self.mean or ()):
            raise wrong(f"`mean` must be from 0 to 1{_SCALE}, got {self.mean}")
        if not all(0 < value <= 1 for value in self.std or ()):
            raise wrong(f"`std` must be above 0 and at most 1{_SCALE}, got {self.std}")
        return self

    def _check_background(self) -> None:
        from PIL import ImageColor  # takes its time, and few configs need it

        if self.source != "image_folder":
            raise wrong(f"`background` is for `image_folder`, not for `{self.source}`")
        try:
            channels = len(ImageColor.getrgb(self.background))
        except ValueError:
            channels = 0
        if channels != 3:
            raise wrong(
                f"`background` must be a colour like '#rrggbb' or 'black', got {self.background!r}"
            )


# --- features -------------------------------------------------------------------------------------


class Features(Strict):
    """An embedding of every training image, by a network trained briefly on all of them."""

    architecture: str = Field("convnet", description="A name under `architectures`.")
    epochs: int = Field(1, ge=0, description="Training epochs on the whole training set.")
    optimizer: str = Field("sgd", description="A name under `optimizers`; no decay is applied.")
    batch_size: int = Field(256, ge=1, description="Images per training step.")
    layer: Literal["classifier_input", "before_pooling"] = Field(
        "classifier_input",
        description="The values that are clustered: those that the classifier takes, or those "
        "before the last pooling (convnet, resnet). Figure 7 shows the first.",
    )
    precision: Literal["float32", "bf16"] = Field(
        "float32",
        description="Precision of the training's forward and backward passes; `bf16` is faster "
        "where the hardware computes it. The embedding itself is always float32.",
    )
    scores: bool = Field(
        False,
        description="Also score each image, for `el2n` and `forgetting`: the length of the error "
        "after the training, and how often the training forgot the image. Needs two epochs.",
    )

    @model_validator(mode="after")
    def _check_scores(self) -> Self:
        if self.scores and self.epochs < 2:
            raise wrong(
                f"`scores` with {self.epochs} epochs: an image cannot be forgotten before the "
                "second epoch; set `epochs` to 2 or more (20 are usual)"
            )
        return self


# --- trajectories ---------------------------------------------------------------------------------


class Trajectories(Strict):
    """Experts for TM and DATM: networks trained on real images, kept after each epoch."""

    architecture: str = Field("convnet", description="A name under `architectures`.")
    epochs: int | None = Field(
        None,
        ge=1,
        description="Epochs to train and keep; null: as many as the sets of the config need. The "
        "paper trained 50; a set reads the first max_start - 1 + expert_epochs, and `label_epoch`.",
    )
    lr: float = Field(0.01, gt=0, description="Learning rate of SGD; it is not decayed.")
    momentum: float = Field(0.0, ge=0, lt=1, description="Momentum of SGD.")
    batch_size: int = Field(256, ge=1, description="Images per training step.")
    together: int = Field(
        1,
        ge=1,
        description="Experts that one job trains in one computation. 8 to 16 suit a GPU, whose "
        "launches then serve all of them; a CPU gains nothing. Jobs are always full, so `experts` "
        "of the methods should be a multiple.",
    )
    augmentation: str = Field("dsa", description="A name under `augmentations`.")
    preprocessing: Preprocessing = Field(
        "standardize",
        description="Preprocessing of the images: `zca` for TM's rows with ZCA; the paper says "
        "that it used none.",
    )


# --- evaluation -----------------------------------------------------------------------------------


class NetworkEntry(Strict):
    """What all entries of ``architectures`` share."""

    network: str


class ConvNet(NetworkEntry):
    """Blocks of 3x3 convolution, instance norm, ReLU and 2x2 average pooling; then linear."""

    network: Literal["convnet"] = Field(description="Chooses this network.")
    width: int = Field(128, ge=1, description="Filters per convolution.")
    depth: int | None = Field(
        None,
        ge=1,
        description="Blocks; null: as many as leave a 4x4 map (3 for 32x32, 4 for 64x64).",
    )


class MLP(NetworkEntry):
    """Two hidden layers with ReLU."""

    network: Literal["mlp"] = Field(description="Chooses this network.")
    width: int = Field(128, ge=1, description="Units per hidden layer.")


class ResNet(NetworkEntry):
    """ResNet with instance norm; by image size in the form for CIFAR or for ImageNet."""

    network: Literal["resnet"] = Field(description="Chooses this network.")
    depth: Literal[18, 152] = Field(18, description="18 (basic blocks) or 152 (bottlenecks).")
    width: int = Field(64, ge=1, description="Channels of the first stage.")
    stem: Literal["cifar", "imagenet"] | None = Field(
        None,
        description="3x3 without pooling, or 7x7 with; null: cifar where it ends in a 4x4 map, as "
        "28 and 32 pixels do, else imagenet.",
    )
    stages: int = Field(
        4, ge=1, le=4, description="The first of its four stages; fewer for small images."
    )


class ViT(NetworkEntry):
    """Vision transformer with a class token (Dosovitskiy et al., 2021)."""

    network: Literal["vit"] = Field(description="Chooses this network.")
    patch: int = Field(4, ge=1, description="Side of a patch in pixels.")
    width: int = Field(512, ge=1, description="Width of the tokens and of the hidden layers.")
    depth: int = Field(6, ge=1, description="Transformer blocks.")
    heads: int = Field(8, ge=1, description="Attention heads, of 64 values each.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout; none on attention weights.")


class OtherNetwork(NetworkEntry, PluginOptions):
    """A network of timm or torchvision, untrained, or your own function in a Python file."""

    network: str = Field(
        pattern=r"^(timm:|torchvision:)[A-Za-z0-9_.-]+$|\.py:[A-Za-z_]\w*$",
        description="`timm:NAME`, `torchvision:NAME`, or `file.py:function`, called as "
        "`function(shape, classes, *, option=...)` and giving a `torch.nn.Module`; all other keys "
        "are its keyword arguments.",
    )

    @model_validator(mode="after")
    def _matches_the_function(self) -> "OtherNetwork":
        if ".py:" in self.network:
            check_function(self.network, self.model_extra or {}, ("shape", "classes"))
        return self


ARCHITECTURES: dict[str, type[NetworkEntry]] = {
    "convnet": ConvNet,
    "mlp": MLP,
    "resnet": ResNet,
    "vit": ViT,
}


class AugmentationEntry(Strict):
    """What all entries of ``augmentations`` share."""

    policy: str


class NoAugmentation(AugmentationEntry):
    """Images as they are."""

    policy: Literal["none"] = Field(description="Chooses this policy.")


DSAOperator = Literal["color", "crop", "cutout", "flip", "scale", "rotate"]
DSA_OPERATORS: tuple[DSAOperator, ...] = get_args(DSAOperator)
_Operators = Annotated[list[DSAOperator], Field(min_length=1), or_single(DSAOperator, least=1)]


class SiameseAugmentation(AugmentationEntry):
    """Differentiable siamese augmentation: one operator a batch (Zhao & Bilen, 2021)."""

    policy: Literal["dsa"] = Field(description="Chooses this policy.")
    operators: _Operators = Field(
        list(DSA_OPERATORS),
        description="Operators to draw from, each as likely; `flip` is left out for datasets "
        "whose `flip` is false.",
    )
    align_corners: bool = Field(
        False,
        description="Grid convention of scale and rotate; the released code of the paper ran "
        "with false, the code of TM with true.",
    )


_Transforms = Annotated[
    list[dict[str, dict[str, Any]]],
    Field(min_length=1),
    or_single(dict[str, dict[str, Any]], least=1),
]


class Torchvision(AugmentationEntry):
    """Any pipeline of `torchvision.transforms.v2`, on uint8 images.

    Images are brought back to pixels, clipped and cut to uint8, transformed, and standardised
    again, as the released evaluator does.
    """

    policy: Literal["torchvision"] = Field(description="Chooses this policy.")
    transforms: _Transforms = Field(
        description="Class names with their arguments, in order, e.g. "
        "`[{RandomCrop: {padding: 4}}, {RandAugment: {}}]`. Where `size` is required and not "
        "given it is the image's; `AutoAugment` takes the CIFAR-10 policy up to 32 pixels and "
        "ImageNet's above; `RandomHorizontalFlip` is left out where the dataset's `flip` is false.",
    )
    draw: Literal["per_batch", "per_image"] = Field(
        "per_batch",
        description="One draw for all images of a batch, as the released evaluator does, or one "
        "for each image, as its names suggest.",
    )
    whitened: Literal["as_standardized", "inverted"] = Field(
        "as_standardized",
        description="How whitened images (KIP, TM's rows with ZCA) become pixels: as if they were "
        "standardised, which clips them, as the released evaluator does; or with the whitening "
        "inverted, and whitened again afterwards.",
    )


AUGMENTATIONS: dict[str, type[AugmentationEntry]] = {
    "none": NoAugmentation,
    "dsa": SiameseAugmentation,
    "torchvision": Torchvision,
}


class OptimizerEntry(Strict):
    """What all entries of ``optimizers`` share."""

    algorithm: str


class SGD(OptimizerEntry):
    """Stochastic gradient descent with momentum."""

    algorithm: Literal["sgd"] = Field(description="Chooses this algorithm.")
    lr: float = Field(0.01, gt=0, description="Learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum.")
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty on all parameters.")
    decay: bool = Field(
        True,
        description="Multiply lr by 0.1, with momentum cleared, after half of the epochs.",
    )


class Adam(OptimizerEntry):
    """Adam with its usual betas; the released evaluator does not decay its rate (Table 7)."""

    algorithm: Literal["adam"] = Field(description="Chooses this algorithm.")
    lr: float = Field(0.003, gt=0, description="Learning rate.")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty on all parameters.")
    decay: bool = Field(False, description="As for `sgd`.")


OtherAlgorithm = Literal["adadelta", "adagrad", "adamax", "adamw", "nadam", "radam", "rmsprop"]


class OtherOptimizer(OptimizerEntry):
    """Another optimizer of `torch.optim`, by its name in small letters."""

    algorithm: OtherAlgorithm = Field(description="Chooses this algorithm.")
    lr: float = Field(0.001, gt=0, description="Learning rate.")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay, as torch takes it.")
    decay: bool = Field(False, description="As for `sgd`.")
    options: dict[str, Any] = Field(
        {}, description="Further arguments, e.g. `{betas: [0.9, 0.99]}`."
    )


OPTIMIZERS: dict[str, type[OptimizerEntry]] = {
    "sgd": SGD,
    "adam": Adam,
    **dict.fromkeys(get_args(OtherAlgorithm), OtherOptimizer),
}


class Evaluation(Strict):
    """Evaluation of a condensed set: networks trained on it are tested on the real test images."""

    epochs: int = Field(1000, ge=1, description="Training epochs E; the paper has 1000.")
    epochs_without_augmentation: int | None = Field(
        None,
        ge=1,
        description="Training epochs without augmentation (`none`); null: as `epochs`. The paper's "
        "text says 1000, its released code trains 300.",
    )
    inclusive: bool = Field(
        True, description="Count epochs 0..E as the released code does: E + 1 epochs are trained."
    )
    batch_size: int = Field(
        256, ge=1, description="Images per training step; the last batch may be smaller."
    )
    seeds_per_job: int = Field(
        5, ge=1, description="Evaluation seeds that share one job; 1 gives one job per seed."
    )
    corruptions: bool = Field(
        False,
        description="Also test each network on corrupted test images (Hendrycks & Dietterich, "
        "2019, arXiv:1903.12261): noise, blur, brightness, contrast, JPEG and pixelation at five "
        "strengths. Makes `tables/robustness.csv`. A change repeats all evaluations.",
    )


class Statistics(Strict):
    """How methods are compared in `results/tables`."""

    alpha: float = Field(0.05, gt=0, lt=1, description="Level of the tests.")
    equivalence_margin: float = Field(
        1.0,
        gt=0,
        description="Percentage points within which a method counts as equivalent to random.",
    )
    equivalence_from_ipc: int = Field(
        200, ge=1, description="Smallest IPC at which methods are tested against random."
    )
    bootstrap: int = Field(
        2000, ge=1, description="Bootstrap samples of the blocks, for the stability of ranks."
    )
