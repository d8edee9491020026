"""Imported: a finished condensed set from a file."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from condensation.config.base import Preprocessing, wrong
from condensation.config.methods.base import (
    LABELS_DESCRIPTION,
    SOFT_LABELS,
    ClassName,
    Labels,
    Method,
    PerChannel,
)


def literal(path: str | Path) -> str:
    """Return the option that means this very path: its braces are no placeholders."""
    return str(path).replace("{", "{{").replace("}", "}}")


class Imported(Method):
    """A finished condensed set: safetensors, npz, npy, PyTorch (weights only), or pictures.

    A file holds a mapping with the images under `images`, `image`, `image_syn`, `data`, `x` or
    `arr_0` and the labels under `labels`, `label`, `label_syn`, `targets`, `target`, `y` or
    `arr_1`; or a pair of both; or images alone, in class order. Images are N x C x H x W,
    N x H x W x C, or N x H x W for one channel. A folder holds `<class>/*`.
    """

    algorithm: Literal["imported"] = Field(description="Selects this algorithm.")
    path: str = Field(
        description="The file or folder; `{dataset}`, `{ipc}` and `{seed}` in it are filled in."
    )
    labels_path: str | None = Field(
        None, description="A second file with the labels, if the first one holds only images."
    )
    run: int | Literal["seed"] | None = Field(
        None,
        description="Which run to take from a file with several, counted from 0; `seed`: the one "
        "with the number of the condensation seed, so that each seed has its own set.",
    )
    labels: Labels = Field(SOFT_LABELS, description=LABELS_DESCRIPTION)
    classes: list[ClassName] | None = Field(
        None,
        description="The dataset's classes in the order of the file's labels; null: the order that "
        "the file names, else the dataset's.",
    )
    scale: Literal["standardized", "unit", "uint8"] | None = Field(
        None,
        description="Range of the pixels: standardised by mean and std, in [0, 1], or 0 to 255; "
        "null: `uint8` for a folder, else what the file of an export says, else `standardized`. "
        "Pixels that contradict it are refused or cause a warning.",
    )
    mean: PerChannel | None = Field(
        None,
        description="Mean with which the set was standardised, if it is not the dataset's.",
    )
    std: PerChannel | None = Field(
        None,
        description="Standard deviation with which the set was standardised; as `mean`.",
    )
    restandardize: bool = Field(
        False, description="Convert a set whose `mean` and `std` are not the dataset's."
    )
    preprocessing: Preprocessing = Field(
        "standardize",
        description="Preprocessing of the pixels in the file: `zca_kip` for the files that KIP's "
        "authors published, `zca` for TM's.",
    )

    def files(self, dataset: str, ipc: str, seed: int) -> dict[str, str]:
        """Return ``path`` and, if set, ``labels_path`` with their placeholders filled in."""
        paths = {"path": self.path, "labels_path": self.labels_path}
        return {
            option: path.format(dataset=dataset, ipc=ipc, seed=seed)
            for option, path in paths.items()
            if path
        }

    def arguments(
        self, options: dict[str, Any], dataset: str, ipc: str, seed: int
    ) -> dict[str, Any]:
        """Return the keyword arguments; ``run: seed`` becomes the condensation seed."""
        arguments = super().arguments(options, dataset, ipc, seed)
        return arguments | ({"run": seed} if self.run == "seed" else {})

    @model_validator(mode="after")
    def _check(self) -> Self:
        for option, path in (("path", self.path), ("labels_path", self.labels_path)):
            try:
                (path or "").format(dataset="", ipc="", seed="")
            except (KeyError, IndexError, ValueError) as error:
                raise wrong(
                    f"`{option}` {path!r}: only {{dataset}}, {{ipc}} and {{seed}} are filled in "
                    f"({error!r})"
                ) from error
        if (self.mean is None) != (self.std is None):
            raise wrong("give both `mean` and `std`, or neither")
        if self.std is not None and min(self.std, default=0) <= 0:
            raise wrong(f"`std` must be above 0, got {self.std}")
        if self.restandardize and self.mean is None:
            raise wrong("`restandardize` needs the `mean` and `std` of the set")
        if self.mean is not None and self.scale in ("unit", "uint8"):
            raise wrong(
                f"`mean` and `std` are for standardised images; remove them, or `scale: "
                f"{self.scale}`"
            )
        if isinstance(self.run, int) and self.run < 0:
            raise wrong(f"`run` counts from 0, got {self.run}")
        classes = self.classes or []
        repeated = {name for name in classes if classes.count(name) > 1}
        if repeated:
            raise wrong(f"`classes` names {min(repeated)!r} twice")
        if self.preprocessing != "standardize" and (
            self.mean or self.scale not in (None, "standardized")
        ):
            raise wrong(
                f"a set with `preprocessing: {self.preprocessing}` is used unchanged: remove "
                "`mean`, `std` and `scale`"
            )
        return self
