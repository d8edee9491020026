"""The config: read, validated and completed before anything runs.

``load`` is the one door. Everything behind it may rely on names that exist
and values that make sense. Free of torch.
"""

import os
import re
from collections.abc import Iterable
from itertools import chain, product
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from condensation.config import published
from condensation.config.entries import (
    ARCHITECTURES,
    AUGMENTATIONS,
    OPTIMIZERS,
    Dataset,
    Evaluation,
    Features,
    OtherNetwork,
    Statistics,
    Strict,
    Trajectories,
    wrong,
)
from condensation.config.methods import METHODS, TM, Plugin
from condensation.config.nas import BENCHMARK_COLUMNS, Ranking
from condensation.core.errors import unknown
from condensation.core.memory import DECLARED_MB

# Of a process: torch, its compiler and scikit-learn loaded, and a small job computed (measured).
LEAST_MEMORY_MB = 1200

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
RESERVED_DATASETS = {
    *("benchmarks", "config.yaml", "downloads", "evidence", "leaderboard", "logs"),
    *("made_from.yaml", "plan", "provenance.json", "tables"),
}
RESERVED_METHODS = {"dataset.safetensors", "features", "nas", "trajectories", "whitening"}

# Images in the smallest training class, where it is known before anything is downloaded.
SMALLEST_CLASS = {
    "cifar10": 5000,
    "cifar100": 500,
    "digits": 140,
    "fashion_mnist": 6000,
    "tinyimagenet": 500,
}


def _name(text: str) -> str:
    if not _NAME.fullmatch(str(text)):
        raise wrong(f"{text!r} is no name: letters, digits, '_', '.' and '-', not first")
    return text


Name = Annotated[str, AfterValidator(_name)]
Folder = Annotated[str, Field(pattern=r"^[^{}]+$"), AfterValidator(os.path.normpath)]


def _entry(
    kind: str,
    key: str,
    models: dict[str, type[BaseModel]],
    other: type[BaseModel] | None = None,
    hint: str = "",
) -> Any:
    """The type of one named entry, told apart by ``key``; the error names what is allowed.

    A value with a colon, ``file.py:function`` say, is an ``other``, which ``hint`` describes.
    """

    def check(value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value
        if not isinstance(value, dict) or key not in value:
            raise wrong(f"expected a mapping with `{key}`, got {value!r}")
        name = value[key]
        if not isinstance(name, str) or (name not in models and not (other and ":" in name)):
            raise wrong(unknown(kind, name, models) + hint)
        return value

    def tag(value: Any) -> str:
        chosen = value[key] if isinstance(value, dict) else getattr(value, key)
        return chosen if chosen in models else "other"

    members = [Annotated[model, Tag(name)] for name, model in models.items()]
    if other:
        members.append(Annotated[other, Tag("other")])
    union = members[0]
    for member in members[1:]:
        union = union | member
    return Annotated[union, Discriminator(tag), BeforeValidator(check)]


_OWN = ", or your own as file.py:function"
Method = _entry("algorithm", "algorithm", METHODS, Plugin, _OWN)
Architecture = _entry(
    *("network", "network", ARCHITECTURES, OtherNetwork),
    f", or timm:NAME, torchvision:NAME{_OWN}",
)
Augmentation = _entry("policy", "policy", AUGMENTATIONS)
Optimizer = _entry("algorithm", "algorithm", OPTIMIZERS)

BUILT_IN = {
    "architectures": {
        "convnet": {"network": "convnet"},
        "mlp": {"network": "mlp"},
        "resnet18": {"network": "resnet", "depth": 18},
        "resnet152": {"network": "resnet", "depth": 152},
        "vit": {"network": "vit"},
    },
    "augmentations": {
        "none": {"policy": "none"},
        "dsa": {"policy": "dsa"},
        "imagenet_aug": {
            "policy": "torchvision",
            "transforms": [
                {"RandomCrop": {"padding": 4}},
                {"RandomHorizontalFlip": {}},
                {
                    "ColorJitter": {
                        "brightness": 0.4,
                        "contrast": 0.4,
                        "saturation": 0.4,
                        "hue": 0.2,
                    }
                },
            ],
        },
        "randaug": {
            "policy": "torchvision",
            "transforms": [{"RandAugment": {"num_ops": 1, "magnitude": 9}}],
        },
        "autoaug": {"policy": "torchvision", "transforms": [{"AutoAugment": {}}]},
    },
    "optimizers": {name: {"algorithm": name} for name in OPTIMIZERS},
    "features": {"embedding": {}},
    "trajectories": {"experts": {}},
}


class Data(Strict):
    """Where archives come from."""

    mirror: str | None = Field(
        None,
        description="A folder or URL prefix that is looked in first for every archive, by file "
        "name; for machines without internet.",
    )


class Compute(Strict):
    """What the jobs run on."""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="`auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:<number>`.",
    )
    threads: int = Field(
        1, ge=1, description="CPU threads per job; two one-thread jobs beat one of two threads."
    )
    compile: bool | Literal["auto"] = Field(
        "auto",
        description="Compile networks with torch.compile (needs a C++ compiler on the CPU; moves "
        "results within float noise); `auto`: in jobs long enough to repay it.",
    )
    stack: bool | Literal["auto"] = Field(
        "auto",
        description="Train the networks of a job as one computation (moves results within float "
        "noise; not those with dropout or batch statistics); `auto`: where it is faster, on the "
        "CPU in small steps. On CUDA always, which is a guess: no GPU has measured it yet.",
    )
    precision: Literal["auto", "float32", "tf32", "bf16"] = Field(
        "float32",
        description="`bf16`: of the passes over real images in DC, DSA, DM and expert training; "
        "`auto`: bf16 there in long jobs, where the processor computes it in hardware; `tf32`: of "
        "all products and convolutions on CUDA. Else everything is float32 proper.",
    )
    deterministic: bool = Field(
        False,
        description="On CUDA, use deterministic algorithms where torch has them, which is slower; "
        "docs/gpu.md says what then repeats to the byte. A CPU always does.",
    )
    mix_devices: bool = Field(
        False,
        description="Whether results of CPU and GPU may stand in one table. To go on with those of "
        "the other kind without making them anew, run with `--rerun-triggers mtime input`.",
    )
    memory_limit_mb: int | None = Field(
        None,
        ge=LEAST_MEMORY_MB,
        description="A job that needs more is ended, a condensation or an evaluation as a result "
        "`oom`, before the machine runs out; null: no limit. Changes no result that exists. A "
        f"process needs {LEAST_MEMORY_MB} MiB with its libraries before it computes.",
    )
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="At most so long between two checkpoints of a condensation."
    )
    speed: float | None = Field(
        None,
        gt=0,
        description="G operations a second that a job is assumed to reach, for the time limits "
        "that clusters are asked for and the plan; null: what `snakemake plan` measured, else 50 a "
        "thread on the CPU, 1000 on a GPU.",
    )
    device_memory_mb: float | None = Field(
        None,
        gt=0,
        description="Memory of the GPU that will be used, for `snakemake plan`; null: that of the "
        "device where the plan is made.",
    )

    @property
    def declared_mb(self) -> float:
        """Memory that a job may count on, in MB."""
        on_device = self.device_memory_mb if self.device != "cpu" else None
        return on_device or self.memory_limit_mb or DECLARED_MB


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


def _blocks(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Experiment = Annotated[
    list[Axes],
    BeforeValidator(_blocks, json_schema_input_type=list[Axes] | Axes),
    Field(min_length=1),
]


class Config(Strict):
    """A whole config file."""

    results_dir: Folder = Field(
        "results",
        description="Where everything but the figures goes. A second config needs a folder of its "
        "own: one that holds the results of another config file is refused.",
    )
    figures_dir: Folder = Field("figures", description="Where the figures go; as `results_dir`.")
    data: Data = Field(Data(), description="Where archives come from.")
    datasets: dict[Name, Dataset] = Field(min_length=1, description="Named datasets.")
    methods: dict[Name, Method] = Field(
        min_length=1, description="Named methods: an algorithm with its options."
    )
    features: dict[Name, Features] = Field(
        validate_default=True, default={}, description="Named feature extractors."
    )
    trajectories: dict[Name, Trajectories] = Field(
        validate_default=True, default={}, description="Named sets of experts."
    )
    architectures: dict[Name, Architecture] = Field(
        validate_default=True, default={}, description="Named networks to train on the sets."
    )
    augmentations: dict[Name, Augmentation] = Field(
        validate_default=True, default={}, description="Named augmentations."
    )
    optimizers: dict[Name, Optimizer] = Field(
        validate_default=True, default={}, description="Named optimizers."
    )
    evaluation: Evaluation = Field(Evaluation(), description="How a condensed set is judged.")
    statistics: Statistics = Field(Statistics(), description="How methods are compared.")
    compute: Compute = Field(Compute(), description="What the jobs run on.")
    experiments: dict[Name, Experiment] = Field(
        min_length=1, description="Named grids: one block of axes, or a list of blocks."
    )
    figure7: Figure7 | None = Field(
        None, description="What figure 7 (t-SNE of features) shows; null: it is not made."
    )
    nas: Ranking | None = Field(
        None, description="Ranking of architectures by what they learn from condensed sets."
    )
    partial: bool = Field(
        False,
        description="Make tables, figures and leaderboard of the results that are there, and start "
        "no job behind them; cells without a result read `missing`. Where jobs fail under "
        "`--keep-going`, it is done unasked at the end.",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_built_in_names(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for section, entries in BUILT_IN.items():
            given = data.get(section)
            if given is None or isinstance(given, dict):
                data[section] = entries | (given or {})
        return data

    @model_validator(mode="after")
    def _names_exist(self) -> "Config":
        for section, reserved in (("datasets", RESERVED_DATASETS), ("methods", RESERVED_METHODS)):
            for name in getattr(self, section):
                if name in reserved:
                    raise wrong(f"{section}.{name}: this name is taken in the results folder")
        for section in ("methods", "features", "trajectories"):
            for name, entry in getattr(self, section).items():
                self._check_references(f"{section}.{name}", entry)
        for name, blocks in self.experiments.items():
            for number, axes in enumerate(blocks):
                where = f"experiments.{name}" + (f"[{number}]" if len(blocks) > 1 else "")
                self._check_axes(where, axes)
        if self.figure7:
            self._check_figure7(self.figure7)
        if self.nas is not None:
            self._check_ranking(self.nas)
        return self

    def _check_references(self, where: str, entry: BaseModel) -> None:
        """Options that are names of other entries."""
        for option, section in (
            ("architecture", "architectures"),
            ("augmentation", "augmentations"),
            ("optimizer", "optimizers"),
            ("features", "features"),
            ("trajectories", "trajectories"),
        ):
            value = getattr(entry, option, None)
            if isinstance(value, str):
                also = ["pixels"] if option == "features" else []
                _require(f"{where}.{option}", section, value, [*getattr(self, section), *also])
        if getattr(entry, "layer", None) == "before_pooling":
            network = self.architectures[entry.architecture].network
            if network not in ("convnet", "resnet") and ".py:" not in network:
                raise wrong(
                    f"{where}.layer: before_pooling needs a convnet or resnet, not {network!r}; "
                    "set layer: classifier_input"
                )
        name = getattr(entry, "augmentation", None)
        differentiable = where.startswith("methods.")  # experts are trained like any network
        if (
            differentiable
            and isinstance(name, str)
            and self.augmentations[name].policy == "torchvision"
        ):
            raise wrong(
                f"{where}.augmentation: {name!r} works on uint8 images and cannot be "
                "differentiated; take one like 'dsa' or 'none'"
            )

    def _check_axes(self, where: str, axes: Axes) -> None:
        sections = ("datasets", "methods", "architectures", "augmentations", "optimizers")
        for section in sections:
            for name in getattr(axes, section):
                _require(f"{where}.{section}", section, name, getattr(self, section))
        for name in axes.datasets:
            self._check_ipc(where, name, axes.methods, axes.ipc)

    def _check_ipc(self, where: str, dataset: str, methods: list[str], ipcs: list[int]) -> None:
        largest = SMALLEST_CLASS.get(self.datasets[dataset].kind)
        if largest and max(ipcs) > largest:
            raise wrong(
                f"{where}.ipc: {max(ipcs)} is more than the smallest class of "
                f"{dataset} has ({largest} training images)"
            )
        for method in methods:
            for ipc in ipcs:
                self._check_rows(where, dataset, method, ipc)

    def _check_ranking(self, nas: Ranking) -> None:
        _require("nas.dataset", "datasets", nas.dataset, self.datasets)
        kind = self.datasets[nas.dataset].kind
        if nas.truth == "benchmark" and not nas.column and kind not in BENCHMARK_COLUMNS:
            raise wrong(
                f"nas.column: NAS-Bench-201 has no accuracies on {nas.dataset}; name the column "
                "of a table of your own, or set nas.truth to 'whole'"
            )
        for name in nas.references:
            if not _NAME.fullmatch(name):
                raise wrong(f"nas.references.{name}: letters, digits, '_', '.' and '-', not first")
        for number, block in enumerate(nas.sets):
            where = "nas.sets" + (f"[{number}]" if len(nas.sets) > 1 else "")
            for method in block.methods:
                _require(f"{where}.methods", "methods", method, self.methods)
                if self.methods[method].algorithm == "whole":
                    raise wrong(
                        f"{where}.methods: {method!r} would train on the images that are held "
                        "out; the whole training set is a reference: `nas.references: {whole: {}}`"
                    )
            self._check_ipc(where, nas.dataset, block.methods, block.ipc)

    def _check_figure7(self, wanted: Figure7) -> None:
        """Its sets are in some experiment."""
        _require("figure7.features", "features", wanted.features, self.features)
        for section in ("datasets", "methods"):
            for name in getattr(wanted, section):
                _require(f"figure7.{section}", section, name, getattr(self, section))
        for name in wanted.methods:
            if self.methods[name].algorithm == "whole":
                raise wrong(f"figure7.methods: {name!r} is the real images themselves")
        made = {
            (dataset, method, ipc)
            for axes in chain.from_iterable(self.experiments.values())
            for dataset, method, ipc in product(axes.datasets, axes.methods, axes.ipc)
        }
        for dataset in wanted.datasets:
            if not any((dataset, method, wanted.ipc) in made for method in wanted.methods):
                raise wrong(
                    f"figure7: no experiment makes one of its sets of {dataset} at IPC {wanted.ipc}"
                )

    def _check_rows(self, where: str, dataset: str, method: str, ipc: int) -> None:
        """Every hyper-parameter has a value, and TM's experts are trained for long enough."""
        entry = self.methods[method]
        if isinstance(entry, Plugin):
            return
        kind = self.datasets[dataset].kind
        try:
            options = self.options_of(dataset, method, ipc)
        except KeyError as error:
            missing = [key for key, value in entry if value is None and key != "batch_syn"]
            known = published.known_ipc(entry.algorithm, kind)
            missing = [key for key in missing if key != "chunk"]
            raise wrong(
                f"{where}: method {method!r} has no published values for {dataset} at IPC {ipc} "
                f"(they exist for IPC {known}); set methods.{method}.{', '.join(missing)}"
            ) from error
        if isinstance(entry, TM):
            epochs = self.trajectories[entry.trajectories].epochs
            needed = options["max_start"] - 1 + options["expert_epochs"]
            if epochs is not None and needed > epochs:
                raise wrong(
                    f"trajectories.{entry.trajectories}.epochs: {epochs}, but {method!r} at IPC "
                    f"{ipc} on {dataset} reads up to epoch {needed} (max_start "
                    f"{options['max_start']} - 1 + expert_epochs {options['expert_epochs']})"
                )

    def preprocessing_of(self, method: str) -> str:
        """Return what a method's images are made into."""
        entry = self.methods[method]
        if isinstance(entry, TM):
            return self.trajectories[entry.trajectories].preprocessing
        return getattr(entry, "preprocessing", "standardize")

    def options_of(self, dataset: str, method: str, ipc: int | None) -> dict[str, Any]:
        """Return a built-in method's options for a dataset and IPC, complete.

        Raises KeyError where a published row is needed and there is none.
        """
        entry = self.methods[method]
        options = entry.model_dump(exclude={"algorithm"})
        if ipc is None:
            return options
        zca = self.preprocessing_of(method) != "standardize"
        return published.filled(entry.algorithm, options, self.datasets[dataset].kind, ipc, zca)


_SINGULAR = {
    "datasets": "dataset",
    "methods": "method",
    "features": "features",
    "trajectories": "trajectories",
    "architectures": "architecture",
    "augmentations": "augmentation",
    "optimizers": "optimizer",
}


def _require(where: str, section: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise wrong(f"{where}: {unknown(_SINGULAR[section], name, known)}")
