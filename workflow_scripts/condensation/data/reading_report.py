"""Report of a reading: counts per split and class of images read, skipped, converted, copied."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

import torch

from condensation.data.datasets import Dataset
from condensation.files.image_files import as_text

_MOST_NAMED = 10  # most examples of a kind
# (split, class, reason or kind) -> count; split and class are None for files of no class
Counts = Mapping[tuple[str | None, str | None, str], int]
_Kinds = dict[str, int]  # kind or reason -> count
_Row = TypedDict(
    "_Row",
    {
        "split": str,
        "class": str,
        "read": int,
        "constant": int,
        "copies": int,
        "converted": _Kinds,
        "skipped": _Kinds,
    },
)


def make(dataset: Dataset, skipped: Counts, converted: Counts) -> dict[str, Any]:
    """Return the report of a dataset, ready for JSON.

    Returns
    -------
    ``classes``
        A row per split and class with the number of images ``read``, ``constant`` (of one colour)
        and ``copies`` (equal to an earlier training image; in the test split, to any training
        image, which is a leak), images ``converted`` by kind, and files ``skipped`` by reason.
    ``skipped``
        Files of no class, by reason.
    ``copies_of_other_classes``
        Copies whose original has another class.
    ``examples``
        Names of some constant images, and of some copies with their originals.
    """
    rows: dict[tuple[str, str], _Row] = {
        (split, name): {
            "split": split,
            "class": name,
            "read": 0,
            "constant": 0,
            "copies": 0,
            "converted": {},
            "skipped": {},
        }
        for split in ("train", "test")
        for name in dataset.classes
    }
    examples: dict[str, list] = {"constant": [], "copies": []}
    of_other_classes = 0
    first: dict[bytes, tuple[str, int]] = {}
    for split, images, labels in _splits(dataset):
        flat = images.flatten(2)
        constant = (flat.amin(2) == flat.amax(2)).all(1).tolist()
        names = [as_text(name) for name in dataset.files.get(split, ())]
        names = names or [f"{split} image {position}" for position in range(len(labels))]
        pixels = images.contiguous().numpy()
        for image, label, name, plain in zip(pixels, labels, names, constant, strict=True):
            row = rows[split, dataset.classes[label]]
            row["read"] += 1
            if plain:
                row["constant"] += 1
                examples["constant"].append(name)
            digest = hashlib.blake2b(image, digest_size=16).digest()
            if original := first.get(digest):
                row["copies"] += 1
                of_other_classes += original[1] != label
                examples["copies"].append([name, original[0]])
            elif split == "train":
                first[digest] = name, label
    unplaced: _Kinds = {}
    _add(converted, {place: row["converted"] for place, row in rows.items()}, unplaced)
    _add(skipped, {place: row["skipped"] for place, row in rows.items()}, unplaced)
    return {
        "classes": list(rows.values()),
        "skipped": unplaced,
        "copies_of_other_classes": of_other_classes,
        "examples": {kind: named[:_MOST_NAMED] for kind, named in examples.items()},
    }


def _add(
    counts: Counts, by_place: Mapping[tuple[str | None, str | None], _Kinds], unplaced: _Kinds
) -> None:
    """Add each count to those of its split and class, or to ``unplaced``."""
    for (split, label, kind), count in sorted(counts.items(), key=str):
        kinds = by_place.get((split, label), unplaced)
        kinds[kind] = kinds.get(kind, 0) + count


def _splits(dataset: Dataset) -> Iterator[tuple[str, torch.Tensor, list[int]]]:
    yield "train", dataset.train_images, dataset.train_labels.tolist()
    yield "test", dataset.test_images, dataset.test_labels.tolist()


def lines(report: Mapping[str, Any]) -> list[str]:
    """Return the report as text: a line per split and class, then files of no class."""
    notes = []
    for row in report["classes"]:
        counts = {word: row[kind] for kind, word in _WORDS[row["split"]] if row[kind]}
        counts |= row["converted"]
        counts |= {f"skipped, {reason}": count for reason, count in row["skipped"].items()}
        parts = [f"{row['read']} images", *(f"{what}: {n}" for what, n in counts.items())]
        notes.append(f"{row['split']}/{row['class']}: {'; '.join(parts)}")
    notes += [f"skipped, {reason}: {count}" for reason, count in report["skipped"].items()]
    if count := report["copies_of_other_classes"]:
        notes.append(f"{count} of the copies are of an image of another class")
    notes += [f"of one colour: {name}" for name in report["examples"]["constant"]]
    return notes + [f"{copy} is a copy of {of}" for copy, of in report["examples"]["copies"]]


_WORDS = {
    "train": (("constant", "of one colour"), ("copies", "copies of another training image")),
    "test": (("constant", "of one colour"), ("copies", "also among the training images")),
}


def summary(name: str, report: Mapping[str, Any]) -> str | None:
    """Return a line for the terminal if files were skipped or images copied, else None."""
    skipped = Counter(report["skipped"])
    copies: Counter[str] = Counter()
    for row in report["classes"]:
        skipped.update(row["skipped"])
        copies[row["split"]] += row["copies"]
    notes = [f"skipped {count}: {reason}" for reason, count in skipped.items()]
    if copies["test"]:
        notes.append(f"{copies['test']} test images are also among the training images (a leak)")
    if copies["train"]:
        notes.append(f"{copies['train']} training images are copies of another")
    if count := report["copies_of_other_classes"]:
        notes.append(f"{count} copies have another class than their original")
    return f"{name}: {'; '.join(notes)}" if notes else None
