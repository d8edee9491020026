"""Readers: official archives and users' own images into one form."""

import gzip
import io
import pickle
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from condensation import archives
from condensation.datasets import Dataset
from condensation.errors import InputError

# The constants of this literature (DC, DSA, DM and DC-BENCH). CIFAR-10's std is smaller than the
# true pixel std (.247 .2435 .2616); it is kept because published sets are stored in this space.
_STANDARDIZATION = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)),
    "fashion_mnist": ((0.2861,), (0.3530,)),
    "tinyimagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def read(name: str, entry: dict, paths: list[str | Path]) -> Dataset:
    """Return the dataset ``name`` from its archives.

    Parameters
    ----------
    name : the name in the config.
    entry : the dataset's options, complete (``options.Dataset``).
    paths : the official archives in the order of ``archives.OFFICIAL``, or the one local path.

    Raises InputError for whatever is wrong with the archives.
    """
    source = entry["source"]
    if source == "digits":
        classes, splits, checksums = *_digits(), []
    elif source == "image_folder":
        if entry["checksum"]:
            archives.verify(paths[0], entry["checksum"])
        classes, splits = _image_folder(paths[0], entry["image_size"], entry["channels"])
        checksums = [entry["checksum"]] if entry["checksum"] else []
    else:
        paths = _in_folder(source, paths)
        checksums = [archive.checksum for archive in archives.OFFICIAL[source]]
        if entry["checksum"]:
            checksums = [entry["checksum"]]
        for path, checksum in zip(paths, checksums, strict=True):
            archives.verify(path, checksum)
        reader = {
            "cifar10": _cifar10,
            "cifar100": _cifar100,
            "fashion_mnist": _fashion_mnist,
            "tinyimagenet": _tinyimagenet,
        }[source]
        classes, splits = reader(paths)
    train, test = (
        (torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.astype(np.int64)))
        for images, labels in splits
    )
    if entry["mean"]:
        mean, std = entry["mean"], entry["std"]
    elif (entry["like"] or source) in _STANDARDIZATION:
        mean, std = _STANDARDIZATION[entry["like"] or source]
    else:
        mean, std = _pixel_statistics(train[0])
    flip = entry["flip"] if entry["flip"] is not None else source != "digits"
    return Dataset(
        name=name,
        classes=tuple(classes),
        train_images=train[0],
        train_labels=train[1],
        test_images=test[0],
        test_labels=test[1],
        mean=tuple(mean),
        std=tuple(std),
        flip=flip,
        source={"reader": source, "checksums": checksums},
    )


def _pixel_statistics(images: torch.Tensor) -> tuple[list[float], list[float]]:
    """Mean and population std per channel on [0, 1], from exact counts of the 256 values."""
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


def _in_folder(source: str, paths: list[str | Path]) -> list[Path]:
    """Where one folder was given for a source, the official file names inside it."""
    official = archives.OFFICIAL[source]
    if len(paths) == 1 and Path(paths[0]).is_dir():
        return [Path(paths[0]) / archive.name for archive in official]
    if len(paths) != len(official):
        names = ", ".join(archive.name for archive in official)
        raise InputError(f"{paths[0]}: expected a folder that holds {names}")
    return [Path(path) for path in paths]


def _digits() -> tuple[list[str], list]:
    """Optical digits, 1,797 images of 8x8: every fifth image of each class is for testing."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target
    rank = np.zeros(len(labels), int)
    for digit in range(10):
        rank[labels == digit] = np.arange((labels == digit).sum())
    test = rank % 5 == 4
    return [str(d) for d in range(10)], [
        (images[~test], labels[~test]),
        (images[test], labels[test]),
    ]


def _pickles(path: Path) -> dict[str, dict]:
    # Unpickling runs code from the file: only reached for the official checksum.
    return {
        Path(name).name: pickle.loads(content, encoding="latin1")
        for name, content in archives.members(path, lambda name: not name.endswith(".html"))
        if "." not in Path(name).name or name.endswith(".meta")
    }


def _cifar_split(batches: list[dict], labels: str) -> tuple[np.ndarray, np.ndarray]:
    images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return images, np.concatenate([np.asarray(batch[labels]) for batch in batches])


def _cifar10(paths: list[Path]) -> tuple[list[str], list]:
    found = _pickles(paths[0])
    train = [found[f"data_batch_{i}"] for i in range(1, 6)]
    return found["batches.meta"]["label_names"], [
        _cifar_split(train, "labels"),
        _cifar_split([found["test_batch"]], "labels"),
    ]


def _cifar100(paths: list[Path]) -> tuple[list[str], list]:
    found = _pickles(paths[0])
    return found["meta"]["fine_label_names"], [
        _cifar_split([found["train"]], "fine_labels"),
        _cifar_split([found["test"]], "fine_labels"),
    ]


def _fashion_mnist(paths: list[Path]) -> tuple[list[str], list]:
    arrays = [_idx(path) for path in paths]
    classes = [
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ]
    return classes, [(arrays[0][:, None], arrays[1]), (arrays[2][:, None], arrays[3])]


def _idx(path: Path) -> np.ndarray:
    """The array in a gzipped IDX file of unsigned bytes."""
    try:
        content = gzip.decompress(path.read_bytes())
        axes = content[3]
        shape = np.frombuffer(content, ">u4", axes, 4)
        return np.frombuffer(bytearray(content), np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a whole gzip file ({error})") from error
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: not an IDX file of unsigned bytes ({error})") from error


def _tinyimagenet(paths: list[Path]) -> tuple[list[str], list]:
    """TinyImageNet; the labelled val images are the test split, as everywhere in the field."""
    path = paths[0]
    texts, train, val = {}, [], {}

    def wanted(name: str) -> bool:
        parts = Path(name).parts[1:]
        return len(parts) == 1 or (
            parts[:1] in (("train",), ("val",))
            and (parts[-1].endswith(".JPEG") or parts[-1] == "val_annotations.txt")
        )

    for name, content in archives.members(path, wanted):
        parts = Path(name).parts[1:]
        if name.endswith(".JPEG"):
            image = _decode(content, f"{path}:{name}", 3, None)
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
        if columns[0] in val:  # a subset of the archive keeps the whole list
            test.append((columns[1], columns[0], val.pop(columns[0])))
    if val:
        raise InputError(f"{path}: val_annotations.txt gives no label for {min(val)}")
    for wnid, file, _ in train:
        if wnid not in label:
            raise InputError(f"{path}: {file} is of class {wnid!r}, which wnids.txt does not list")
    train.sort(key=lambda item: (item[0], _number(item[1])))
    test.sort(key=lambda item: _number(item[1]))
    splits = [
        (np.stack([image for _, _, image in items]), np.array([label[w] for w, _, _ in items]))
        for items in (train, test)
        if items
    ]
    if len(splits) < 2:
        raise InputError(f"{path}: holds no train or no val images")
    return names, splits


def _number(file: str) -> int:
    return int("".join(c for c in Path(file).stem.rpartition("_")[2] if c.isdigit()) or 0)


MAX_PIXELS = 1 << 26  # of one image; a packed file of a few kB can claim any number
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")  # no EPS: it runs a program
_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}


def _image_folder(
    path: str | Path, image_size: int | None, channels: int
) -> tuple[list[str], list]:
    """``train/<class>/*`` and ``test/<class>/*``; classes in sorted order, images by name."""
    found: dict[str, list] = {"train": [], "test": []}
    shapes: dict[tuple[int, int], str] = {}
    folders = set()

    def wanted(name: str) -> bool:
        parts = _split_parts(name + "x" * name.endswith("/"))  # an empty class has its folder only
        if parts is not None:
            folders.add(parts[1])
        return parts is not None and Path(name).suffix.lower() in _IMAGES

    for name, content in archives.members(path, wanted):
        split, folder, file = _split_parts(name)
        image = _decode(content, f"{path}:{name}", channels, image_size)
        found[split].append((folder, file, image))
        shapes.setdefault(image.shape[1:], name)
        if len(shapes) > 1:
            (a, first), (b, second) = list(shapes.items())[:2]
            raise InputError(
                f"{path}: images of different sizes: {first} is {a[0]}x{a[1]}, {second} is "
                f"{b[0]}x{b[1]} (height x width); set image_size to resize them"
            )
    for split, items in found.items():
        if not items:
            raise InputError(f"{path}: no images under {split}/<class>/")
    classes = sorted(folders)
    label = {folder: position for position, folder in enumerate(classes)}
    for folder in classes:
        if not any(item[0] == folder for item in found["train"]):
            raise InputError(f"{path}: class {folder!r} has no training images")
    splits = []
    for items in found.values():
        items.sort(key=lambda item: item[:2])
        splits.append(
            (np.stack([item[2] for item in items]), np.array([label[item[0]] for item in items]))
        )
    return classes, splits


def _split_parts(name: str) -> tuple[str, str, str] | None:
    """(split, class, file) of a member, wherever the two folders stand in the archive."""
    parts = Path(name).parts
    if "__MACOSX" in parts or parts[-1].startswith("._"):  # not images: what macOS adds to a zip
        return None
    for at, part in enumerate(parts[:-2]):  # the first, as a class may be called `train` too
        if part in ("train", "test"):
            return part, parts[at + 1], "/".join(parts[at + 2 :])
    return None


def _decode(content: bytes, where: str, channels: int, size: int | None) -> np.ndarray:
    """One image as uint8 C x H x W."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(
                    f"{where}: {image.width} x {image.height} pixels; at most {MAX_PIXELS} are "
                    "allowed"
                )
            if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would cut them off
                scaled = np.asarray(image).clip(0, 65535) / 257
                image = Image.fromarray(scaled.round().astype(np.uint8))
            image = image.convert("RGB" if channels == 3 else "L")
            if size and image.size != (size, size):
                image = image.resize((size, size), Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
    except InputError:
        raise
    except Exception as error:  # Pillow raises many kinds on damaged files
        raise InputError(f"{where}: not a readable image ({error})") from error
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
