"""How many bytes a condensed set takes, and what it needs besides.

Images count as uint8, one byte per value, and soft labels as float32, four bytes per value. Hard
labels count as nothing, because the order of the images can say them. A teacher and a whitening
are named and not counted: they come from the real images and serve every set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from condensation.config.experiments import DISTILLED, OWN

COLUMNS = ["bytes_per_class", "beside_images"]  # of tables
_LABEL_VALUE = 4  # bytes


@dataclass(frozen=True)
class Budget:
    """The storage of a set.

    Attributes
    ----------
    images, labels : bytes per class.
    needs : what the set needs besides, by name.
    """

    images: float
    labels: float = 0.0
    needs: tuple[str, ...] = ()

    @property
    def per_class(self) -> float:
        """Bytes per class."""
        return self.images + self.labels

    @property
    def beside_images(self) -> str:
        """What differs from the budget of images with hard labels; empty if nothing does.

        >>> Budget(640.0, 400.0, ("teacher scoring",)).beside_images
        'soft labels (400 B), teacher scoring'
        """
        labels = [f"soft labels ({self.labels:.0f} B)"] if self.labels else []
        return ", ".join([*labels, *self.needs])


def of_set(
    metadata: Mapping[str, Any], images: int, labels: str = OWN, teacher: str = ""
) -> Budget | None:
    """Return the budget of a set under some labels; None for a failed set.

    Parameters
    ----------
    metadata : of the file of the set (``condensation.data.sets``).
    images : how many it holds.
    labels : what networks learn (``config.experiments.Labels``). Labels that a teacher gives to
        each view anew are not stored, so they count as nothing.
    teacher : its name, for labels that come from it.

    Examples
    --------
    Ten grey images of 8 x 8 pixels for each of ten classes:

    >>> facts = {"shape": [1, 8, 8], "classes": list("0123456789"), "labels": "hard"}
    >>> of_set(facts, 100).per_class
    640.0
    >>> of_set(facts, 100, "distilled", "scoring")
    Budget(images=640.0, labels=400.0, needs=('teacher scoring',))
    """
    if metadata.get("status", "ok") != "ok":
        return None
    classes = len(metadata["classes"])
    # a teacher labels each training image, of which a stored one may hold several
    rows = images * (metadata.get("factor", 1) ** 2 if labels in DISTILLED else 1)
    soft = metadata["labels"] == "soft" if labels == OWN else labels == "distilled"
    needs = [f"teacher {teacher}"] if labels in DISTILLED else []
    kind = metadata.get("preprocessing", {}).get("kind", "standardize")
    needs += [f"whitening {kind}"] if kind != "standardize" else []
    return Budget(
        images=images * prod(metadata["shape"]) / classes,
        labels=float(_LABEL_VALUE * rows if soft else 0),  # rows / classes rows of classes
        needs=tuple(needs),
    )
