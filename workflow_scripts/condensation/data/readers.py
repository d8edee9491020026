"""Readers that turn official archives and folders of images into a ``Dataset``."""

import gzip
import pickle
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from condensation.core import randomness
from condensation.core.errors import InputError
from condensation.data import reading_report, splits
from condensation.data.datasets import Dataset
from condensation.files import archives, image_files, official

# The constants of DC, DSA, DM and DC-BENCH. The std of CIFAR-10 is smaller than that of its pixels
# (.247 .2435 .2616), but published sets are stored in this space.
_STANDARDIZATION = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)),
    "fashion_mnist": ((0.2861,), (0.3530,)),
    "tinyimagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


@dataclass
class _Images:
    """Result of a reader: class names, and per split uint8 images [n, C, H, W] and labels [n]."""

    classes: list[str]
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    skipped: Counter = field(default_factory=Counter)  # reading_report.Counts
    converted: Counter = field(default_factory=Counter)


def read(name: str, entry: dict, paths: Sequence[str | Path]) -> Dataset:
    """Read a dataset from its archives.

    Parameters
    ----------
    name : the name in the config.
    entry : a complete entry ``datasets`` of the config.
    paths : the official archives in the order of ``official.OFFICIAL``, or one local path.

    Raises
    ------
    InputError
        If an archive is missing, damaged, not the official one, or has the wrong content.
    """
    source = entry["source"]
    origin: dict[str, Any] = {"reader": source, "checksums": []}
    if source == "digits":
        content = _digits()
    elif source == "image_folder":
        if entry["checksum"]:
            archives.verify(paths[0], entry["checksum"])
            origin["checksums"] = [entry["checksum"]]
        content = _image_folder(name, paths[0], entry)
        origin["state"] = image_files.state(paths[0], entry)
    else:
        files = official.official_files(source, paths)
        if files[0].is_dir():
            origin["checksums"] = list(official.UNPACKED[source][1].values())
        else:
            checksums = [archive.checksum for archive in official.OFFICIAL[source]]
            origin["checksums"] = [entry["checksum"]] if entry["checksum"] else checksums
            for path, checksum in zip(files, origin["checksums"], strict=True):
                archives.verify(path, checksum)
        reader = {
            "cifar10": _cifar10,
            "cifar100": _cifar100,
            "fashion_mnist": _fashion_mnist,
            "tinyimagenet": _tinyimagenet,
        }[source]
        content = reader(files)
    train, test = (
        (torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.astype(np.int64)))
        for images, labels in (content.train, content.test)
    )
    if entry["mean"]:
        mean, std = entry["mean"], entry["std"]
    elif (entry["like"] or source) in _STANDARDIZATION:
        mean, std = _STANDARDIZATION[entry["like"] or source]
    else:
        mean, std = _pixel_statistics(train[0])
    flip = entry["flip"] if entry["flip"] is not None else source != "digits"
    dataset = Dataset(
        name=name,
        classes=tuple(content.classes),
        train_images=train[0],
        train_labels=train[1],
        test_images=test[0],
        test_labels=test[1],
        mean=tuple(mean),
        std=tuple(std),
        flip=flip,
        source=origin,
        files=content.files,
    )
    return replace(dataset, report=reading_report.make(dataset, content.skipped, content.converted))


def _pixel_statistics(images: torch.Tensor) -> tuple[list[float], list[float]]:
    """Return mean and population std per channel on [0, 1], from counts of the 256 values."""
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = torch.bincount(images[:, channel].flatten().int(), minlength=256).double()
        share = counts / counts.sum()
        mean = (share * values).sum()
        std = ((share * (values - mean) ** 2).sum()).sqrt()
        means.append(round(float(mean), 6))
        stds.append(round(max(float(std), 1e-3), 6))  # a constant channel must not divide by zero
    return means, stds


def _digits() -> _Images:
    """Return the 1,797 optical digits of 8x8 pixels; each fifth one of a class is for testing."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target
    rank = np.zeros(len(labels), int)
    for digit in range(10):
        rank[labels == digit] = np.arange((labels == digit).sum())
    test = rank % 5 == 4
    return _Images(
        [str(d) for d in range(10)],
        (images[~test], labels[~test]),
        (images[test], labels[test]),
    )


def _pickles(path: Path, source: str) -> dict[str, dict]:
    """Return the content of the official pickles in an archive or in the folder it unpacks to.

    Unpickling runs code from the file, so only bytes with the official checksum are unpickled.
    """
    top, checksums = official.UNPACKED[source]

    def unpickled(name: str, where: Path, content: bytes) -> dict:
        archives.verify_content(content, checksums[name], where)
        return pickle.loads(content, encoding="latin1")

    if path.is_dir():
        return {name: unpickled(name, path / name, _content(path / name)) for name in checksums}
    names = {f"{top}/{name}": name for name in checksums}
    return {
        names[member]: unpickled(names[member], path / member, content)
        for member, content in archives.members(path, names.__contains__)
    }


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return path.read_bytes()


def _cifar_split(batches: list[dict], labels: str) -> tuple[np.ndarray, np.ndarray]:
    images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return images, np.concatenate([np.asarray(batch[labels]) for batch in batches])


def _cifar10(paths: list[Path]) -> _Images:
    pickles = _pickles(paths[0], "cifar10")
    train = [pickles[f"data_batch_{i}"] for i in range(1, 6)]
    return _Images(
        pickles["batches.meta"]["label_names"],
        _cifar_split(train, "labels"),
        _cifar_split([pickles["test_batch"]], "labels"),
    )


def _cifar100(paths: list[Path]) -> _Images:
    pickles = _pickles(paths[0], "cifar100")
    return _Images(
        pickles["meta"]["fine_label_names"],
        _cifar_split([pickles["train"]], "fine_labels"),
        _cifar_split([pickles["test"]], "fine_labels"),
    )


def _fashion_mnist(paths: list[Path]) -> _Images:
    arrays = [_idx(path) for path in paths]
    classes = [
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ]
    return _Images(classes, (arrays[0][:, None], arrays[1]), (arrays[2][:, None], arrays[3]))


def _idx(path: Path) -> np.ndarray:
    """Return the array in a gzipped IDX file of unsigned bytes."""
    try:
        content = gzip.decompress(path.read_bytes())
        axes = content[3]
        shape = np.frombuffer(content, ">u4", axes, 4)
        return np.frombuffer(bytearray(content), np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a whole gzip file ({error})") from error
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: not an IDX file of unsigned bytes ({error})") from error


def _tinyimagenet(paths: list[Path]) -> _Images:
    """Return TinyImageNet, with the labelled val images as test split, as is usual."""
    path = paths[0]
    texts, train, val, changes = {}, [], {}, {}

    def select(name: str) -> bool:
        parts = Path(name).parts[1:]
        return len(parts) == 1 or (
            parts[:1] in (("train",), ("val",))
            and (parts[-1].endswith(".JPEG") or parts[-1] == "val_annotations.txt")
        )

    for name, content in archives.members(path, select):
        parts = Path(name).parts[1:]
        if name.endswith(".JPEG"):
            image, changes[parts[-1]] = image_files.decode(content, f"{path}:{name}", 3)
            if parts[0] == "train":
                train.append((parts[1], parts[-1], image))
            else:
                val[parts[-1]] = image
        else:
            texts[parts[-1]] = content.decode()
    for needed in ("wnids.txt", "val_annotations.txt"):
        if needed not in texts:
            raise InputError(f"{path}: {needed} is missing; is this the official archive?")
    names = sorted(texts["wnids.txt"].split())
    label = {wnid: position for position, wnid in enumerate(names)}
    test = []
    for number, line in enumerate(texts["val_annotations.txt"].splitlines(), 1):
        columns = line.split("\t")
        if len(columns) < 2 or columns[1] not in label:
            raise InputError(
                f"{path}: val_annotations.txt, line {number}: no class of wnids.txt in {line!r}"
            )
        if columns[0] in val:  # a subset of the archive keeps the full list
            test.append((columns[1], columns[0], val.pop(columns[0])))
    if val:
        raise InputError(f"{path}: val_annotations.txt gives no label for {min(val)}")
    for wnid, file, _ in train:
        if wnid not in label:
            raise InputError(f"{path}: {file} is of class {wnid!r}, which wnids.txt does not list")
    train.sort(key=lambda item: (item[0], _number(item[1])))
    test.sort(key=lambda item: _number(item[1]))
    if not train or not test:
        raise InputError(f"{path}: holds no train or no val images")
    converted = Counter(
        (split, wnid, change)
        for split, items in (("train", train), ("test", test))
        for wnid, file, _ in items
        for change in changes[file]
    )

    def arrays(items: list[tuple[str, str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        return np.stack([item[2] for item in items]), np.array([label[item[0]] for item in items])

    return _Images(names, arrays(train), arrays(test), converted=converted)


def _number(file: str) -> int:
    return int("".join(c for c in Path(file).stem.rpartition("_")[2] if c.isdigit()) or 0)


def _image_folder(name: str, path: str | Path, entry: Mapping[str, Any]) -> _Images:
    """Return ``train/<class>/*`` and ``test/<class>/*``; classes and images sorted by name."""
    listing = image_files.Listing(path, entry["test_fraction"], entry["subset"])
    crop = entry["subset"] is not None if entry["crop"] is None else entry["crop"]
    by_split: dict[str, list] = {"train": [], "test": []}
    first: tuple[str, tuple[int, int]] | None = None
    for member, content in archives.members(path, listing.take):
        place, shown = listing.place(member), image_files.as_text(member)
        if place is None:  # `take` selects none of these
            continue
        picture = image_files.decode(
            content,
            f"{path}:{shown}",
            *(entry["channels"], entry["image_size"], entry["background"], crop),
        )
        _, height, width = picture.pixels.shape
        shape = height, width
        first = first or (shown, shape)
        if shape != first[1]:
            raise image_files.different_sizes(path, *first, shown, shape)
        by_split[place.split].append((place.label, place.file, member, picture))
    classes = listing.classes()
    number = {label: position for position, label in enumerate(classes)}
    for items in by_split.values():
        items.sort(key=lambda item: item[:3])
    if entry["test_fraction"] is not None:
        by_split = _split(name, by_split["train"], number, entry["test_fraction"])

    def arrays(items: list) -> tuple[np.ndarray, np.ndarray]:
        pixels = np.stack([picture.pixels for *_, picture in items])
        return pixels, np.array([number[label] for label, *_ in items])

    return _Images(
        classes,
        arrays(by_split["train"]),
        arrays(by_split["test"]),
        files={split: tuple(member for *_, member, _ in by_split[split]) for split in by_split},
        skipped=listing.skipped,
        converted=Counter(
            (split, label, change)
            for split, items in by_split.items()
            for label, *_, picture in items
            for change in picture.changes
        ),
    )


def _split(name: str, items: list, number: dict[str, int], share: float) -> dict[str, list]:
    """Hold out ``share`` of each class as test split, drawn with a fixed seed."""
    labels = torch.tensor([number[label] for label, *_ in items])
    kept, held = splits.stratified(
        *(labels, list(number), lambda count: image_files.held_out(share, count)),
        randomness.generator(0, "test images"),
        f"{name}: `test_fraction` {share}",
    )
    return {"train": [items[n] for n in kept], "test": [items[n] for n in held]}
