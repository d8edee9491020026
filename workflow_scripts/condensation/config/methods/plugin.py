"""A user's method: one function in a Python file."""

from typing import Self, get_args

from pydantic import Field, model_validator

from condensation.config.base import PluginOptions, Preprocessing, check_function, wrong
from condensation.config.methods.base import LABELS_DESCRIPTION, SOFT_LABELS, Labels, Method
from condensation.core.errors import unknown

# options whose value in the config the pipeline acts on, and the value that needs no action
_FROM_CONFIG = {
    **dict.fromkeys(("architecture", "augmentation", "teacher")),
    "features": "pixels",
    "preprocessing": "standardize",
}


class Plugin(Method, PluginOptions):
    """Your own algorithm: one function in a Python file (docs/adding-a-method.md)."""

    pipeline_options = frozenset({"labels"})

    algorithm: str = Field(
        pattern=r"\.py:[A-Za-z_]\w*$",
        description="`file.py:function`; all other keys are keyword arguments of the function.",
    )
    labels: Labels = Field(SOFT_LABELS, description=LABELS_DESCRIPTION)

    @property
    def function(self) -> str:
        """``file.py:function``."""
        return self.algorithm

    @property
    def sources(self) -> list[str]:
        """The user's file."""
        return [self.algorithm.rpartition(":")[0]]

    @property
    def features_read(self) -> str | None:
        """The option ``features``, unless it is ``pixels``."""
        features = getattr(self, "features", None)
        return None if features == "pixels" else features

    @property
    def teacher_read(self) -> str | None:
        """The option ``teacher``."""
        return getattr(self, "teacher", None)

    @model_validator(mode="after")
    def _check_function(self) -> Self:
        options = self.model_extra or {}
        defaults = check_function(self.algorithm, options, ("the problem",))
        for option, none in _FROM_CONFIG.items():
            if (default := defaults.get(option, none)) != none:
                raise wrong(
                    f"{self.algorithm}: set `{option}` in the config; the default {default!r} of "
                    "the function does not reach the pipeline"
                )
        kind, kinds = options.get("preprocessing", "standardize"), get_args(Preprocessing)
        if kind not in kinds:
            raise wrong(f"`preprocessing`: {unknown('kind', kind, kinds)}")
        if isinstance(options.get("trajectories"), str):
            raise wrong(
                f"{self.algorithm}: `trajectories`: the pipeline gives experts to built-in methods "
                "alone; remove this option"
            )
        return self
