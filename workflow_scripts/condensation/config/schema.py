"""A whole config: its sections, and the checks across them.

``loading.load`` reads one from a file. Code that has a ``Config`` relies on names that exist
and on values that make sense.
"""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from condensation.config import checks
from condensation.config.base import Folder, Name, Strict, item, tagged_union, wrong
from condensation.config.built_in import BUILT_IN
from condensation.config.compute import Compute, Data
from condensation.config.entries import (
    ARCHITECTURES,
    AUGMENTATIONS,
    OPTIMIZERS,
    AugmentationEntry,
    Dataset,
    Evaluation,
    Features,
    NetworkEntry,
    OptimizerEntry,
    OtherNetwork,
    Statistics,
    Trajectories,
)
from condensation.config.experiments import Experiment, Figure7, Teacher
from condensation.config.methods import METHODS, base
from condensation.config.methods.plugin import Plugin
from condensation.config.nas import Ranking

_PLUGIN_HINT = ", or your own as file.py:function"
_LIBRARY_HINT = f", or timm:NAME, torchvision:NAME{_PLUGIN_HINT}"
Method = Annotated[
    base.Method, tagged_union("algorithm", "algorithm", METHODS, Plugin, _PLUGIN_HINT)
]
Architecture = Annotated[
    NetworkEntry, tagged_union("network", "network", ARCHITECTURES, OtherNetwork, _LIBRARY_HINT)
]
Augmentation = Annotated[AugmentationEntry, tagged_union("policy", "policy", AUGMENTATIONS)]
Optimizer = Annotated[OptimizerEntry, tagged_union("algorithm", "algorithm", OPTIMIZERS)]


class Config(Strict):
    """A whole config file."""

    results_dir: Folder = Field(
        "results",
        description="Folder of all results except the figures. Each config needs its own folder; a "
        "folder with the results of another config file is refused.",
    )
    figures_dir: Folder = Field("figures", description="Folder of the figures; as `results_dir`.")
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
    evaluation: Evaluation = Field(Evaluation(), description="How a condensed set is evaluated.")
    teacher: Teacher = Field(Teacher(), description="The network of `labels: distilled`.")
    statistics: Statistics = Field(Statistics(), description="How methods are compared.")
    compute: Compute = Field(Compute(), description="Hardware and precision of the jobs.")
    experiments: dict[Name, Experiment] = Field(
        min_length=1, description="Named grids: one block of axes, or a list of blocks."
    )
    figure7: Figure7 | None = Field(
        None, description="Content of figure 7 (t-SNE of features); null: no figure 7."
    )
    nas: Ranking | None = Field(
        None, description="Ranking of architectures by networks trained on condensed sets."
    )
    partial: bool = Field(
        False,
        description="Make tables, figures and leaderboard from existing results; start no other "
        "job; cells without a result show `missing`. After failed jobs under `--keep-going` this "
        "happens automatically at the end.",
    )

    @model_validator(mode="before")
    @classmethod
    def _add_built_in_entries(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for section, entries in BUILT_IN.items():
            named = data.get(section)
            if named is None or isinstance(named, dict):
                data[section] = entries | (named or {})
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        checks.check(self)
        for name, blocks in self.experiments.items():
            for number, axes in enumerate(blocks):
                plugins = [name for name in axes.methods if isinstance(self.methods[name], Plugin)]
                if axes.snapshots and plugins:
                    raise wrong(
                        f"experiments.{name}{item(number, blocks)}.snapshots: {plugins[0]!r} is a "
                        "method of your own and keeps none; name it in a block without `snapshots`"
                    )
        return self

    def preprocessing_of(self, method: str) -> str:
        """Return how a method's images are preprocessed."""
        entry = self.methods[method]
        if entry.experts_read:
            return self.trajectories[entry.experts_read[0]].preprocessing
        return getattr(entry, "preprocessing", "standardize")

    def completed(self, dataset: str, method: str, ipc: int) -> base.Method:
        """Return a method's options with published values in place of None.

        Raises
        ------
        KeyError
            With the IPC values that have a published row if one is needed and missing.
        """
        zca = self.preprocessing_of(method) != "standardize"
        return self.methods[method].completed(self.datasets[dataset].kind, ipc, zca)

    def options_of(self, dataset: str, method: str, ipc: int | None) -> dict[str, Any]:
        """Return the ``completed`` options as a mapping; ``ipc`` is None for the whole dataset."""
        entry = self.methods[method] if ipc is None else self.completed(dataset, method, ipc)
        return entry.model_dump(exclude={"algorithm"})
