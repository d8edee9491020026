"""Readers, against images that the tests build themselves, and the file of a dataset.

CIFAR's archives are pickled as by Python 2, like the official archives.
"""

import dataclasses
import gzip
import hashlib
import io
import pickle
import shutil
import struct
import subprocess
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np
import pydantic
import pytest
import torch
from builders import add, encoded, pack, plain
from conftest import SHARED, small_dataset
from PIL import Image
from sklearn.datasets import load_digits

from condensation.config import entries
from condensation.core.errors import InputError
from condensation.data import datasets, readers, sets
from condensation.files import image_files, official
from condensation.files.archives import checksum_of, members
from condensation.files.download import fetch
from condensation.files.official import OFFICIAL, Archive
from condensation.methods.contract import Condensed


def read(*paths, source="image_folder", **entry):
    if source == "image_folder":
        entry.setdefault("path", str(paths[0]))
    return readers.read("d", entries.Dataset(source=source, **entry).model_dump(), list(paths))


def make_official(monkeypatch, source, *paths):
    """Let these files count as the official ones of ``source``."""
    known = tuple(Archive(path.name, (), checksum_of(path, "md5")) for path in paths)
    monkeypatch.setitem(official.OFFICIAL, source, known)
    if source in official.UNPACKED:
        top, files = official.UNPACKED[source]
        packed = dict(members(paths[0]))
        monkeypatch.setitem(
            *(official.UNPACKED, source),
            (top, {name: md5(packed[f"{top}/{name}"]) for name in files}),
        )


def md5(content):
    return f"md5:{hashlib.md5(content).hexdigest()}"


def pixels(count, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


# --- digits ---------------------------------------------------------------------------------------


def test_every_fifth_digit_of_each_class_is_for_testing_and_all_are_there():
    got = read(source="digits")
    bunch = load_digits()
    seen = dict.fromkeys(range(10), 0)
    expected = {"train": [], "test": []}
    for image, label in zip(bunch.images, bunch.target, strict=True):
        seen[label] += 1
        expected["test" if seen[label] % 5 == 0 else "train"].append((image, label))
    assert len(expected["train"]) + len(expected["test"]) == 1797
    for split, items in expected.items():
        assert getattr(got, f"{split}_labels").tolist() == [label for _, label in items]
        images = getattr(got, f"{split}_images")
        assert images.shape == (len(items), 1, 8, 8) and images.dtype == torch.uint8
        sixteenths = np.stack([image for image, _ in items])
        assert np.array_equal(images[:, 0], np.rint(sixteenths * 255 / 16))
    assert got.classes == tuple("0123456789")
    assert not got.flip


# --- CIFAR ----------------------------------------------------------------------------------------


class Python2Pickler(pickle._Pickler):
    """Writes text as Python 2's byte strings."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_text(self, text):
        content = text.encode("latin1") if isinstance(text, str) else text
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_text


def pickled(content):
    buffer = io.BytesIO()
    Python2Pickler(buffer, 2).dump(content)
    return buffer.getvalue()


def rows(images):
    """CIFAR's rows, as its page says: 1024 red values, then the green, then the blue, row-major."""
    return np.array(
        [
            [image[y][x][channel] for channel in range(3) for y in range(32) for x in range(32)]
            for image in images.tolist()
        ],
        np.uint8,
    )


def cifar10_files(images, labels):
    """Four images in each of the five training batches and four to test."""
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    files = {"cifar-10-batches-py/readme.html": b"<html></html>"}
    for i in (3, 0, 5, 1, 4, 2):  # the official tar's order is not that of the numbers either
        part = slice(4 * i, 4 * i + 4)
        files[f"cifar-10-batches-py/{names[i]}"] = pickled(
            {
                "batch_label": f"batch {i}",
                "labels": labels[part],
                "data": rows(images[part]),
                "filenames": ["x.png"] * 4,
            }
        )
    meta = {"num_cases_per_batch": 4, "label_names": list("abcdefghij"), "num_vis": 3072}
    return {**files, "cifar-10-batches-py/batches.meta": pickled(meta)}


def assert_split(got, split, images, labels):
    """``images``: N x H x W x 3."""
    assert np.array_equal(getattr(got, f"{split}_images").numpy(), images.transpose(0, 3, 1, 2))
    assert getattr(got, f"{split}_labels").tolist() == list(labels)
    assert getattr(got, f"{split}_images").dtype == torch.uint8
    assert getattr(got, f"{split}_labels").dtype == torch.int64


@pytest.mark.parametrize("in_folder", [False, True])
def test_cifar10_batches_come_in_order_and_channels_first(tmp_path, monkeypatch, in_folder):
    images, labels = pixels(24, 32, 32, 3), [i * 7 % 10 for i in range(24)]
    path = pack(tmp_path / "cifar-10-python.tar.gz", cifar10_files(images, labels), "tar.gz")
    make_official(monkeypatch, "cifar10", path)
    got = read(tmp_path if in_folder else path, source="cifar10")
    assert_split(got, "train", images[:20], labels[:20])
    assert_split(got, "test", images[20:], labels[20:])
    assert got.classes == tuple("abcdefghij") and got.flip
    assert got.mean == (0.4914, 0.4822, 0.4465) and got.std == (0.2023, 0.1994, 0.2010)
    assert got.source == {"reader": "cifar10", "checksums": [checksum_of(path, "md5")]}


def cifar100_files(images, fine):
    """Six images to train and the others to test, with their fine labels."""

    def batch(part):
        coarse = [label // 5 for label in fine[part]]
        return {
            "data": rows(images[part]),
            "fine_labels": fine[part],
            "coarse_labels": coarse,
            "filenames": ["x.png"] * len(coarse),
            "batch_label": "b",
        }

    names = [f"class {i}" for i in range(100)]
    meta = {"fine_label_names": names, "coarse_label_names": ["c"] * 20}
    contents = {"file.txt~": b"", "meta": pickled(meta)}
    contents |= {"test": pickled(batch(slice(6, 9))), "train": pickled(batch(slice(6)))}
    return {f"cifar-100-python/{name}": content for name, content in contents.items()}


def test_cifar100_has_the_fine_labels(tmp_path, monkeypatch):
    images, fine = pixels(9, 32, 32, 3), [99, 0, 5, 50, 3, 2, 1, 98, 7]
    files = cifar100_files(images, fine)
    path = pack(tmp_path / "cifar-100-python.tar.gz", files, "tar.gz")
    make_official(monkeypatch, "cifar100", path)
    got = read(path, source="cifar100")
    assert_split(got, "train", images[:6], fine[:6])
    assert_split(got, "test", images[6:], fine[6:])
    assert got.classes == tuple(f"class {i}" for i in range(100))
    assert got.mean == (0.5071, 0.4866, 0.4409) and got.std == (0.2673, 0.2564, 0.2762)


UNPACKED = {
    "cifar10": lambda: cifar10_files(pixels(24, 32, 32, 3), [i * 7 % 10 for i in range(24)]),
    "cifar100": lambda: cifar100_files(pixels(9, 32, 32, 3), [99, 0, 5, 50, 3, 2, 1, 98, 7]),
}


@pytest.mark.parametrize("source", UNPACKED)
@pytest.mark.parametrize("within", [False, True])
def test_an_unpacked_archive_is_read_like_the_archive(tmp_path, monkeypatch, source, within):
    files = UNPACKED[source]()
    path = pack(tmp_path / OFFICIAL[source][0].name, files, "tar.gz")
    make_official(monkeypatch, source, path)
    packed = read(path, source=source)
    path.unlink()
    pack(tmp_path, files, "folder")
    top, checksums = official.UNPACKED[source]
    got = read(tmp_path if within else tmp_path / top, source=source)
    for field in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(got, field), getattr(packed, field))
    assert got.classes == packed.classes
    assert got.source["checksums"] == list(checksums.values())
    lost = tmp_path / top / next(iter(checksums))
    lost.write_bytes(lost.read_bytes() + b"x")
    with pytest.raises(InputError, match=f"{lost.name}: wrong checksum"):
        read(tmp_path / top, source=source)


@pytest.mark.parametrize("source", UNPACKED)
@pytest.mark.parametrize("kind", ["folder", "tar.gz"])
def test_no_pickle_but_the_verified_ones_is_unpickled(tmp_path, monkeypatch, source, kind):
    """Files of the same names deeper in the folder or archive, and changes after the check."""
    sprung = tmp_path / "sprung"
    files = UNPACKED[source]()
    top, names = official.UNPACKED[source]
    nested = {f"{top}/x/{name}": pickle.dumps(Trap(sprung)) for name in names}
    path = pack(tmp_path / OFFICIAL[source][0].name, {**files, **nested}, "tar.gz")
    make_official(monkeypatch, source, path)
    if kind == "folder":
        path.unlink()
        path = pack(tmp_path, {**files, **nested}, "folder") / top
    assert len(read(path, source=source).train_labels)
    monkeypatch.setattr(readers.archives, "verify", lambda path, expected: None)
    swapped = {f"{top}/{name}": pickle.dumps(Trap(sprung)) for name in names}
    pack(tmp_path if kind == "folder" else path, swapped, kind)
    with pytest.raises(InputError, match="wrong checksum"):
        read(path, source=source)
    assert not sprung.exists()


def test_the_checksums_of_unpacked_files_are_torchvisions():
    from torchvision.datasets import CIFAR10, CIFAR100

    for source, theirs in (("cifar10", CIFAR10), ("cifar100", CIFAR100)):
        top, files = official.UNPACKED[source]
        listed = dict(theirs.train_list + theirs.test_list)
        listed[theirs.meta["filename"]] = theirs.meta["md5"]
        assert top == theirs.base_folder
        assert files == {name: f"md5:{digest}" for name, digest in listed.items()}


@pytest.mark.parametrize(
    ("source", "holds", "expected"),
    [
        ("cifar10", ["x.txt"], "cifar-10-python.tar.gz .* what it unpacks to, cifar-10-batches-py"),
        ("cifar100", [], "cifar-100-python; this folder holds nothing"),
        ("fashion_mnist", ["train-images-idx3-ubyte"], "train-images-idx3-ubyte.gz.*all of them"),
        (
            "tinyimagenet",
            ["wnids.txt", "words.txt"],
            "tiny-imagenet-200.zip as .* wnids.txt, words",
        ),
    ],
)
def test_an_unfitting_folder_is_refused_with_the_names_of_what_fits(
    tmp_path, source, holds, expected
):
    for name in holds:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=expected):
        read(tmp_path, source=source)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("source", ["cifar10", "cifar100"])
def test_a_cifar_archive_that_is_not_the_official_one_is_never_unpickled(tmp_path, source):
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    pickle.loads(trap).close()
    assert sprung.exists()  # so it works
    sprung.unlink()
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
    files = {f"x/{name}": trap for name in (*names, "train", "test", "meta")}
    path = pack(tmp_path / OFFICIAL[source][0].name, files, "tar.gz")
    unpacked = official.UNPACKED[source][0]
    pack(tmp_path / "more", {f"{unpacked}/{n}": trap for n in (*names, "train", "test")}, "folder")
    with pytest.raises(InputError, match="wrong checksum"):
        read(tmp_path / "more", source=source)
    for location in (path, tmp_path):
        with pytest.raises(InputError) as caught:
            read(location, source=source)
        assert OFFICIAL[source][0].checksum in str(caught.value)
        assert checksum_of(path, "md5") in str(caught.value)
    with pytest.raises(pydantic.ValidationError, match="pickles"):
        read(path, source=source, checksum=checksum_of(path, "md5"))
    assert not sprung.exists()


# --- Fashion-MNIST --------------------------------------------------------------------------------


def idx(array):
    """The IDX format: two zeros, 8 for unsigned bytes, the axes, their big-endian lengths."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def fashion(folder, train=12, test=5, change=lambda name, content: content):
    arrays = [pixels(train, 28, 28), np.arange(train, dtype=np.uint8) % 10]
    arrays += [pixels(test, 28, 28, seed=1), np.arange(test, dtype=np.uint8) % 10]
    paths = [folder / archive.name for archive in OFFICIAL["fashion_mnist"]]
    for path, array in zip(paths, arrays, strict=True):
        path.write_bytes(change(path.name, gzip.compress(idx(array))))
    return paths, arrays


@pytest.mark.parametrize("in_folder", [False, True])
def test_fashion_mnist_is_read_from_its_four_files(tmp_path, monkeypatch, in_folder):
    paths, arrays = fashion(tmp_path)
    make_official(monkeypatch, "fashion_mnist", *paths)
    got = read(*([tmp_path] if in_folder else paths), source="fashion_mnist")
    assert np.array_equal(got.train_images.numpy(), arrays[0][:, None])
    assert np.array_equal(got.test_images.numpy(), arrays[2][:, None])
    assert got.train_labels.tolist() == arrays[1].tolist()
    assert got.test_labels.tolist() == arrays[3].tolist()
    assert len(got.classes) == 10 and (got.classes[0], got.classes[9]) == (
        "T-shirt/top",
        "Ankle boot",
    )
    assert (got.mean, got.std) == ((0.2861,), (0.3530,))


@pytest.mark.parametrize("kept", [0, 3, 15, 100, -9, -1])
def test_a_truncated_gzip_file_is_refused(tmp_path, monkeypatch, kept):
    paths, _ = fashion(
        tmp_path, change=lambda name, content: content[:kept] if "t10k-i" in name else content
    )
    make_official(monkeypatch, "fashion_mnist", *paths)
    with pytest.raises(InputError, match="t10k-images"):
        read(tmp_path, source="fashion_mnist")


def test_a_damaged_gzip_file_is_refused(tmp_path, monkeypatch):
    def damage(name, content):
        return content[:10] + b"\xff" * 50 + content[60:] if "t10k-i" in name else content

    make_official(monkeypatch, "fashion_mnist", *fashion(tmp_path, change=damage)[0])
    with pytest.raises(InputError, match="t10k-images"):
        read(tmp_path, source="fashion_mnist")


def test_an_idx_file_shorter_than_it_says_is_refused(tmp_path, monkeypatch):
    def shorten(name, content):
        return gzip.compress(gzip.decompress(content)[:-7]) if "train-i" in name else content

    make_official(monkeypatch, "fashion_mnist", *fashion(tmp_path, change=shorten)[0])
    with pytest.raises(InputError, match="train-images"):
        read(tmp_path, source="fashion_mnist")


def test_one_wrong_file_of_four_is_named(tmp_path, monkeypatch):
    paths, _ = fashion(tmp_path)
    make_official(monkeypatch, "fashion_mnist", *paths)
    paths[3].write_bytes(paths[1].read_bytes())
    with pytest.raises(InputError, match="t10k-labels.*wrong checksum"):
        read(tmp_path, source="fashion_mnist")
    paths[2].unlink()
    with pytest.raises(InputError, match="t10k-images.*no such file"):
        read(tmp_path, source="fashion_mnist")


def test_a_single_file_for_fashion_mnist_is_refused_with_the_names_it_needs(tmp_path):
    paths, _ = fashion(tmp_path)
    with pytest.raises(InputError, match="train-images-idx3-ubyte.gz.*t10k-labels"):
        read(paths[0], source="fashion_mnist")


def test_one_checksum_for_the_four_files_of_fashion_mnist_is_refused(tmp_path):
    paths, _ = fashion(tmp_path)
    with pytest.raises((InputError, pydantic.ValidationError)):
        read(tmp_path, source="fashion_mnist", checksum=checksum_of(paths[0], "md5"))


# --- TinyImageNet ---------------------------------------------------------------------------------

WNIDS = ["n03", "n01", "n02"]  # as the official list is not sorted


def tiny_files():
    """Per class the images 0, 2, 10, shaded by label and number; val 0, 2, 10 of n02, n03, n01."""
    top = "tiny-imagenet-200"
    files = {
        f"{top}/wnids.txt": "\n".join(WNIDS).encode() + b"\n",
        f"{top}/words.txt": b"".join(f"{w}\tsome, words\n".encode() for w in (*WNIDS, "n09")),
    }
    for wnid in WNIDS:
        for number in (10, 0, 2):
            shade = 60 * int(wnid[1:]) + number
            grey = wnid == "n02" and number == 2
            files[f"{top}/train/{wnid}/images/{wnid}_{number}.JPEG"] = plain(
                shade if grey else (shade, shade, 255 - shade), 64, 64, "JPEG"
            )
        files[f"{top}/train/{wnid}/{wnid}_boxes.txt"] = f"{wnid}_0.JPEG\t0\t0\t62\t63\n".encode()
    lines = []
    for number, wnid in ((10, "n01"), (0, "n02"), (2, "n03")):
        files[f"{top}/val/images/val_{number}.JPEG"] = plain((number, 9, 9), 64, 64, "JPEG")
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    files[f"{top}/val/val_annotations.txt"] = "".join(lines).encode()
    files[f"{top}/test/images/test_0.JPEG"] = plain((255, 255, 255), 64, 64, "JPEG")
    files[f"{top}/test/images/test_1.JPEG"] = b"not even an image"
    return files


def read_tiny(tmp_path, files):
    path = pack(tmp_path / "tiny-imagenet-200.zip", files, "zip")
    return read(path, source="tinyimagenet", checksum=checksum_of(path, "sha256"))


def test_tinyimagenet_labels_are_ranks_of_sorted_wnids_and_val_is_the_test_split(tmp_path):
    files = tiny_files()
    got = read_tiny(tmp_path, files)

    def expected(name):
        with Image.open(io.BytesIO(files[f"tiny-imagenet-200/{name}"])) as image:
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)

    order = [(wnid, number) for wnid in ("n01", "n02", "n03") for number in (0, 2, 10)]
    train = [expected(f"train/{wnid}/images/{wnid}_{number}.JPEG") for wnid, number in order]
    assert np.array_equal(got.train_images.numpy(), np.stack(train))
    assert got.train_labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    shades = got.train_images.double().mean((2, 3))[:, 0]
    assert shades.tolist() == pytest.approx([60, 62, 70, 120, 122, 130, 180, 182, 190], abs=2.5)
    test = [expected(f"val/images/val_{number}.JPEG") for number in (0, 2, 10)]
    assert np.array_equal(got.test_images.numpy(), np.stack(test))
    assert got.test_labels.tolist() == [1, 2, 0]
    assert got.classes == ("n01", "n02", "n03") and got.shape == (3, 64, 64)
    grey = got.train_images[4]
    assert torch.equal(grey[0], grey[1]) and torch.equal(grey[0], grey[2])
    assert got.mean == (0.485, 0.456, 0.406) and got.std == (0.229, 0.224, 0.225)


def test_a_subset_of_tinyimagenet_may_keep_the_whole_annotations(tmp_path):
    files = tiny_files()
    del files["tiny-imagenet-200/val/images/val_2.JPEG"]
    assert read_tiny(tmp_path, files).test_labels.tolist() == [1, 0]


def test_tinyimagenet_without_the_override_must_be_the_official_archive(tmp_path):
    path = pack(tmp_path / "tiny-imagenet-200.zip", tiny_files(), "zip")
    with pytest.raises(InputError, match=f"wrong checksum.*{OFFICIAL['tinyimagenet'][0].checksum}"):
        read(path, source="tinyimagenet")


@pytest.mark.parametrize("missing", ["wnids.txt", "val/val_annotations.txt"])
def test_tinyimagenet_without_its_lists_is_refused(tmp_path, missing):
    files = tiny_files()
    del files[f"tiny-imagenet-200/{missing}"]
    with pytest.raises(InputError, match=f"{Path(missing).name} is missing"):
        read_tiny(tmp_path, files)


@pytest.mark.parametrize("split", ["train", "val"])
def test_tinyimagenet_without_images_is_refused(tmp_path, split):
    files = {k: v for k, v in tiny_files().items() if f"/{split}/" not in k or ".txt" in k}
    with pytest.raises(InputError, match="no train or no val images"):
        read_tiny(tmp_path, files)


def test_a_tinyimagenet_class_outside_the_list_is_refused(tmp_path):
    files = tiny_files()
    files["tiny-imagenet-200/train/n99/images/n99_0.JPEG"] = plain((1, 2, 3), 64, 64, "JPEG")
    with pytest.raises(InputError, match="n99"):
        read_tiny(tmp_path, files)


@pytest.mark.parametrize("line", [b"val_0.JPEG n01 0 0 1 1\n", b"val_0.JPEG\tn99\t0\t0\t1\t1\n"])
def test_a_meaningless_tinyimagenet_annotation_is_refused(tmp_path, line):
    files = tiny_files()
    files["tiny-imagenet-200/val/val_annotations.txt"] += line
    with pytest.raises(InputError, match="val_annotations|n99"):
        read_tiny(tmp_path, files)


# --- image_folder ---------------------------------------------------------------------------------


def folder_files(channels=3):
    """Two training images and a test image of each of b, a, c; the content by name."""
    shape = (8, 8, 3) if channels == 3 else (8, 8)
    raw = pixels(9, *shape)
    names = [f"train/{c}/{n}.png" for c in "bac" for n in ("2", "10")]
    names += [f"test/{c}/1.png" for c in "bac"]
    return dict(zip(names, raw, strict=True))


def stacked(raw, *names):
    images = np.stack([raw[f"{name}.png"] for name in names])
    return images.transpose(0, 3, 1, 2) if images.ndim == 4 else images[:, None]


def packed(tmp_path, raw, kind="folder", top=""):
    files = {top + name: encoded(image) for name, image in raw.items()}
    return pack(tmp_path / "images", files, kind)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("top", ["", "my data/set/"])
@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz", "zip"])
def test_a_folder_a_tar_and_a_zip_of_images_are_read_alike(tmp_path, kind, top, channels):
    raw = folder_files(channels)
    got = read(packed(tmp_path, raw, kind, top), channels=channels)
    train = [f"train/{c}/{n}" for c in "abc" for n in ("10", "2")]  # classes and names in order
    assert np.array_equal(got.train_images.numpy(), stacked(raw, *train))
    test = [f"test/{c}/1" for c in "abc"]
    assert np.array_equal(got.test_images.numpy(), stacked(raw, *test))
    assert got.train_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert got.test_labels.tolist() == [0, 1, 2]
    assert got.classes == ("a", "b", "c") and got.shape == (channels, 8, 8) and got.flip
    values = stacked(raw, *train).astype(np.float64) / 255
    assert got.mean == pytest.approx(values.mean(axis=(0, 2, 3)), abs=1e-6)
    assert got.std == pytest.approx(values.std(axis=(0, 2, 3)), abs=1e-6)


def test_channels_turn_colours_into_grey_and_grey_into_rgb(tmp_path):
    raw = folder_files(1)
    got = read(packed(tmp_path, raw), channels=3)
    expected = stacked(raw, *(f"test/{c}/1" for c in "abc")).repeat(3, axis=1)
    assert np.array_equal(got.test_images.numpy(), expected)
    for name in raw:
        (tmp_path / "images" / name).write_bytes(plain((250, 20, 120)))
    luma = 0.299 * 250 + 0.587 * 20 + 0.114 * 120  # ITU-R 601
    got = read(tmp_path / "images", channels=1)
    assert got.shape == (1, 8, 8)
    assert np.allclose(got.train_images.numpy(), luma, atol=1)


@pytest.mark.parametrize("kind", ["folder", "tar"])
@pytest.mark.parametrize("top", ["", "set/"])
def test_a_class_may_be_called_train_or_test(tmp_path, kind, top):
    names = [f"{split}/{label}/1.png" for split in ("train", "test") for label in ("train", "test")]
    raw = dict(zip(names, pixels(4, 8, 8, 3), strict=True))
    got = read(packed(tmp_path, raw, kind, top))
    assert got.classes == ("test", "train")
    assert np.array_equal(got.train_images, stacked(raw, "train/test/1", "train/train/1"))
    assert np.array_equal(got.test_images, stacked(raw, "test/test/1", "test/train/1"))


def test_a_test_image_of_a_class_called_train_is_not_trained_on(tmp_path):
    raw = folder_files()
    raw["train/train/1.png"], raw["test/train/more/1.png"] = pixels(2, 8, 8, 3, seed=1)
    got = read(packed(tmp_path, raw))
    assert got.classes == ("a", "b", "c", "train")
    assert np.array_equal(got.test_images[3:], stacked(raw, "test/train/more/1"))


@pytest.mark.parametrize("top", ["train/", "test/"])
def test_a_top_folder_called_train_or_test_does_not_mix_the_splits(tmp_path, top):
    raw = folder_files()
    try:
        got = read(packed(tmp_path, raw, "tar", top))
    except InputError:
        return
    assert got.classes == ("a", "b", "c")
    assert np.array_equal(got.test_images, stacked(raw, *(f"test/{c}/1" for c in "abc")))


def test_other_files_beside_the_images_are_left_out(tmp_path):
    raw = folder_files()
    path = packed(tmp_path, raw)
    for name in ("train/a/notes.txt", "train/Thumbs.db", "README", "val/a/1.png", "train/1.png"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"anything")
    assert read(path).train_labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_linked_class_folders_are_read_or_refused_but_not_left_out(tmp_path):
    path = packed(tmp_path, folder_files())
    (path / "test" / "c").rename(tmp_path / "elsewhere")
    (path / "test" / "c").symlink_to(tmp_path / "elsewhere")
    try:
        got = read(path)
    except InputError:
        return
    assert got.test_labels.tolist() == [0, 1, 2]


def test_sixteen_bit_images_are_scaled_or_refused_but_not_cut(tmp_path):
    path = packed(tmp_path, folder_files(1))
    ramp = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    Image.fromarray(ramp).save(path / "test" / "a" / "1.png")
    try:
        got = read(path, channels=1)
    except InputError:
        return
    assert np.allclose(got.test_images[0, 0].numpy(), ramp / 257, atol=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_image_size_resizes_every_image(tmp_path, channels):
    names = [f"{split}/{c}/1.png" for split in ("train", "test") for c in "ab"]
    files = {}
    for i, name in enumerate(names):
        image = np.full((12 + 3 * i, 20 - i, 3), 40, np.uint8)
        image[:, image.shape[1] // 2 :] = 200  # dark left, light right, at any size
        files[name] = encoded(image)
    got = read(pack(tmp_path / "images", files, "folder"), image_size=8, channels=channels)
    for images in (got.train_images, got.test_images):
        assert images.shape == (2, channels, 8, 8)
        assert bool((images[..., :3] == 40).all()) and bool((images[..., 5:] == 200).all())


def test_images_of_the_configured_size_are_not_resampled(tmp_path):
    raw = folder_files()
    got = read(packed(tmp_path, raw), image_size=8)
    assert np.array_equal(got.test_images.numpy(), stacked(raw, *(f"test/{c}/1" for c in "abc")))


def test_the_constants_of_the_config_are_used(tmp_path):
    path = packed(tmp_path, folder_files())
    got = read(path, mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6], like="cifar10")
    assert (got.mean, got.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_the_constants_of_another_dataset_are_used(tmp_path):
    got = read(packed(tmp_path, folder_files()), like="cifar10")
    assert (got.mean, got.std) == ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


def test_a_constant_channel_does_not_divide_by_zero(tmp_path):
    files = {name: plain((7, 7, 7)) for name in folder_files()}
    got = read(pack(tmp_path / "images", files, "folder"))
    assert bool(got.standardize(got.train_images).isfinite().all())


@pytest.mark.parametrize("kind", ["folder", "tar.gz", "zip"])
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_a_share_of_each_class_is_held_out_where_there_is_no_test_split(tmp_path, kind, fraction):
    counts = {"a": 20, "b": 9, "c": 12}
    raw = {
        f"train/{label}/{n:02}.png": pixels(1, 8, 8, 3, seed=100 * seed + n)[0]
        for seed, (label, count) in enumerate(counts.items())
        for n in range(count)
    }
    path = packed(tmp_path, raw, kind)
    got = read(path, test_fraction=fraction)
    held = {label: round(fraction * count) for label, count in counts.items()}
    assert torch.bincount(got.test_labels).tolist() == list(held.values())
    assert sorted(got.files["train"] + got.files["test"]) == sorted(raw)
    assert list(got.files["test"]) == sorted(got.files["test"])
    for split in ("train", "test"):
        names = got.files[split]
        assert np.array_equal(
            getattr(got, f"{split}_images"), stacked(raw, *(n[:-4] for n in names))
        )
        assert [got.classes[n] for n in getattr(got, f"{split}_labels")] == [n[6] for n in names]
    again = read(path, test_fraction=fraction)
    assert again.files == got.files
    first = {f"train/{label}/{n:02}.png" for label in counts for n in range(held[label])}
    assert set(got.files["test"]) != first, "drawn, not the first"


def test_a_class_keeps_a_training_image_and_gives_a_test_image(tmp_path):
    files = [*(f"train/a/{n}.png" for n in range(8)), "train/b/0.png", "train/b/1.png"]
    path = packed(tmp_path, dict(zip(files, pixels(10, 8, 8, 3), strict=True)))
    options = entries.Dataset(source="image_folder", path="x", test_fraction=0.1).model_dump()
    assert image_files.check(path, options) is None
    got = read(path, test_fraction=0.1)
    assert got.test_labels.tolist() == [0, 1]
    counted = image_files.count(path, 0.1)
    assert (counted.train, counted.test, counted.smallest) == (8, 2, 1)
    for check in (image_files.check, lambda path, options: readers.read("d", options, [path])):
        with pytest.raises(InputError, match="0.9 leaves class 'b', of 2 images, none to train on"):
            check(path, options | {"test_fraction": 0.9})
    for wrong in (0, 1, -0.5, 2):
        with pytest.raises(pydantic.ValidationError):
            entries.Dataset(source="image_folder", path="x", test_fraction=wrong)
    with pytest.raises(pydantic.ValidationError, match="`test_fraction` is for `image_folder`"):
        entries.Dataset(source="cifar10", test_fraction=0.1)


@pytest.mark.parametrize("flip", [True, False])
def test_the_user_decides_whether_images_are_flipped(tmp_path, flip):
    assert read(packed(tmp_path, folder_files()), flip=flip).flip is flip


def test_a_users_archive_must_have_its_checksum(tmp_path):
    path = packed(tmp_path, folder_files(), "zip")
    right = checksum_of(path, "sha256")
    assert read(path, checksum=right).source["checksums"] == [right]
    with pytest.raises(InputError, match=f"wrong checksum: {right}"):
        read(path, checksum="sha256:" + 64 * "0")


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
def test_mixed_sizes_name_two_files_and_the_option(tmp_path, kind):
    raw = folder_files()
    raw["test/c/1.png"] = np.zeros((9, 7, 3), np.uint8)
    with pytest.raises(InputError) as caught:
        read(packed(tmp_path, raw, kind))
    for word in ("test/c/1.png", "9x7", "8x8", "image_size"):
        assert word in str(caught.value)
    assert any(name in str(caught.value) for name in raw if name != "test/c/1.png")


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_a_class_without_training_images_is_named(tmp_path, kind):
    raw = folder_files()
    del raw["train/b/2.png"], raw["train/b/10.png"]
    with pytest.raises(InputError, match="class 'b' has no training images"):
        read(packed(tmp_path, raw, kind))


def test_an_empty_class_folder_is_named(tmp_path):
    path = packed(tmp_path, folder_files())
    (path / "train" / "empty").mkdir()
    with pytest.raises(InputError, match="class 'empty' has no training images"):
        read(path)


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_images_is_named(tmp_path, kind, split):
    raw = {name: image for name, image in folder_files().items() if not name.startswith(split)}
    with pytest.raises(InputError, match=f"no images under {split}/<class>/"):
        read(packed(tmp_path, raw, kind))


def break_png_chunk(whole):
    """Damage the name of the second data chunk, which is only met while decoding."""
    head = whole.index(b"IDAT") - 4
    data = whole[head + 8 : head + 8 + struct.unpack(">I", whole[head : head + 4])[0]]
    chunk = struct.pack(">I", 20) + b"IDAT" + data[:20]
    chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
    return whole[:head] + chunk + struct.pack(">I", 20) + b"\x01\x02\x03\x04" + data[20:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"this is text",
        lambda whole: b"",
        lambda whole: whole[: len(whole) // 2],
        break_png_chunk,
    ],
    ids=["text", "empty", "truncated", "bad chunk"],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_file_that_is_no_readable_image_is_named(tmp_path, kind, damage):
    files = {name: encoded(image) for name, image in folder_files().items()}
    files["train/c/10.png"] = damage(files["train/c/10.png"])
    with pytest.raises(InputError, match="train/c/10.png: not a readable image"):
        read(pack(tmp_path / "images", files, kind))


def test_hostile_archives_are_refused_by_the_reader_too(tmp_path):
    with tarfile.open(tmp_path / "t", "w") as archive:
        for name, image in folder_files().items():
            add(archive, name, encoded(image))
        add(archive, "train/a/3.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    with pytest.raises(InputError, match="'train/a/3.png' is a link"):
        read(tmp_path / "t")


@pytest.mark.parametrize(
    "constants",
    [
        {"mean": [0.5], "std": [0.5]},
        {"mean": [0.5] * 4, "std": [0.5] * 4},
        {"mean": [0.5] * 3, "std": [0.5]},
        {"like": "fashion_mnist"},
    ],
)
def test_constants_of_the_wrong_number_of_channels_are_refused(tmp_path, constants):
    path = packed(tmp_path, folder_files())
    with pytest.raises(InputError, match="of 3 channels"):
        datasets.write(read(path, **constants), tmp_path / "d.safetensors")
    assert not (tmp_path / "d.safetensors").exists()


# --- datasets -------------------------------------------------------------------------------------


def test_a_dataset_comes_back_as_it_was_written(tmp_path):
    dataset = dataclasses.replace(
        small_dataset(),
        classes=("a b", "ü", "c/d"),
        mean=(0.1, 1 / 3, 0.7),
        flip=False,
        source={"reader": "x", "checksums": ["md5:1"]},
    )
    datasets.write(dataset, tmp_path / "d.safetensors")
    got = datasets.load(tmp_path / "d.safetensors")
    for field in dataclasses.fields(dataset):
        ours, theirs = getattr(dataset, field.name), getattr(got, field.name)
        if isinstance(ours, torch.Tensor):
            assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype
        else:
            assert ours == theirs and type(ours) is type(theirs)
    assert [path.name for path in tmp_path.iterdir()] == ["d.safetensors"]


def test_standardize_follows_its_formula():
    dataset = small_dataset()
    dataset = dataclasses.replace(
        dataset, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)
    )
    before = dataset.train_images.clone()
    got = dataset.standardize(dataset.train_images)
    assert got.dtype == torch.float32
    for channel in range(3):
        exact = dataset.train_images[:, channel].numpy().astype(np.float64) / 255
        exact = (exact - dataset.mean[channel]) / dataset.std[channel]
        np.testing.assert_allclose(got[:, channel], exact, atol=1e-6)
    assert torch.equal(dataset.train_images, before)


def test_pixels_survive_standardization():
    dataset = small_dataset()
    dataset = dataclasses.replace(
        dataset, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)
    )
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(2, 3, 16, 16)
    assert torch.equal(dataset.to_pixels(dataset.standardize(every)), every)


def test_pixels_outside_the_range_are_clipped():
    dataset = small_dataset()  # mean 0.4, std 0.3
    images = torch.tensor([-100.0, -1.4, 0.0, 1.9999, 2.1, 100.0]).expand(1, 3, 1, 6)
    expected = [0, 0, 102, 255, 255, 255]
    assert dataset.to_pixels(images)[0].tolist() == [[expected]] * 3


def test_indices_by_class_are_ascending_and_complete():
    dataset = small_dataset(classes=4, per_class=7)
    labels = dataset.train_labels.tolist()
    for label, indices in enumerate(dataset.indices_by_class()):
        assert indices.tolist() == [i for i, other in enumerate(labels) if other == label]


def tiny_dataset():
    return small_dataset(classes=2, per_class=2, shape=(1, 2, 2), test_per_class=1)


def test_a_flipped_byte_anywhere_is_refused(tmp_path):
    path = tmp_path / "d.safetensors"
    datasets.write(tiny_dataset(), path)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x15]) + whole[at + 1 :])
        with pytest.raises(InputError, match="d.safetensors"):
            datasets.load(path)


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path = tmp_path / "d.safetensors"
    datasets.write(tiny_dataset(), path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="d.safetensors"):
            datasets.load(path)


def test_a_condensed_set_is_no_dataset(tmp_path):
    dataset = small_dataset()
    condensed = Condensed(torch.zeros(3, *dataset.shape), torch.arange(3))
    sets.write(condensed, dataset, tmp_path / "c.safetensors")
    with pytest.raises(InputError, match="holds a condensed set, not a dataset"):
        datasets.load(tmp_path / "c.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="none.safetensors: no such file"):
        datasets.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("label", [3, -1])
def test_labels_out_of_range_are_not_written(tmp_path, split, label):
    dataset = small_dataset()
    labels = getattr(dataset, f"{split}_labels").clone()
    labels[1] = label
    with pytest.raises(InputError, match=f"a {split} label is outside the classes"):
        datasets.write(
            dataclasses.replace(dataset, **{f"{split}_labels": labels}), tmp_path / "d.safetensors"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_of_one_class_is_not_written(tmp_path):
    with pytest.raises(InputError, match="has 1 class; a classifier needs two or more"):
        datasets.write(small_dataset(classes=1), tmp_path / "d.safetensors")
    assert list(tmp_path.iterdir()) == []


MISFITS = {
    "a class without training images": {"train_labels": torch.zeros(60, dtype=torch.int64)},
    "fewer labels than images": {"train_labels": torch.arange(59) % 3},
    "no channel axis": {"test_images": torch.zeros(15, 8, 8, dtype=torch.uint8)},
    "floats": {"train_images": torch.zeros(60, 3, 8, 8)},
    "test images of another size": {"test_images": torch.zeros(15, 3, 9, 9, dtype=torch.uint8)},
    "a class without test images": {"test_labels": torch.zeros(15, dtype=torch.int64)},
    "no test images": {
        "test_images": torch.zeros(0, 3, 8, 8, dtype=torch.uint8),
        "test_labels": torch.zeros(0, dtype=torch.int64),
    },
    "too few means": {"mean": (0.5,)},
    "too many stds": {"std": (0.5,) * 4},
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_dataset_that_does_not_fit_together_is_not_written(tmp_path, misfit):
    dataset = dataclasses.replace(small_dataset(), **MISFITS[misfit])
    with pytest.raises(InputError, match="small: "):
        datasets.write(dataset, tmp_path / "d.safetensors")
    assert list(tmp_path.iterdir()) == []


# --- real data ------------------------------------------------------------------------------------

# Debian's packaging takes the name and the time out of the gzip headers; with them put back the
# files are the official ones, byte for byte.
DEBIAN_TIMES = {"train": 1504176606, "t10k": 1504176627}


@pytest.fixture
def debian_fashion_mnist(tmp_path):
    """A folder with the four official files, from Debian's package."""
    listed = ""
    if shutil.which("dpkg"):
        command = ["dpkg", "-L", "dataset-fashion-mnist"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    files = [Path(line) for line in listed.split() if line.endswith("ubyte.gz")]
    if len(files) != 4 or not all(file.is_file() for file in files):
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    folder = tmp_path / "mirror"
    folder.mkdir()
    for file in files:
        content, time = file.read_bytes(), DEBIAN_TIMES[file.name.partition("-")[0]]
        if not content[3] & 8:  # the header holds no name
            head = content[:3] + b"\x08" + struct.pack("<I", time) + content[8:10]
            content = head + file.stem.encode() + b"\0" + content[10:]
        (folder / file.name).write_bytes(content)
    return folder


def test_the_real_fashion_mnist_passes_the_official_checksums(tmp_path, debian_fashion_mnist):
    paths = [tmp_path / archive.name for archive in OFFICIAL["fashion_mnist"]]
    for archive, path in zip(OFFICIAL["fashion_mnist"], paths, strict=True):
        fetch(Archive(archive.name, (), archive.checksum), path, str(debian_fashion_mnist))
    got = read(*paths, source="fashion_mnist")
    assert got.train_images.shape == (60_000, 1, 28, 28)
    assert got.test_images.shape == (10_000, 1, 28, 28)
    assert torch.bincount(got.train_labels).tolist() == [6000] * 10
    assert torch.bincount(got.test_labels).tolist() == [1000] * 10
    assert got.train_labels[0] == 9 and got.classes[9] == "Ankle boot"
    values = got.train_images.numpy() / np.float32(255)  # the published constants are its own
    assert float(values.mean(dtype=np.float64)) == pytest.approx(got.mean[0], abs=1e-3)
    assert float(values.std(dtype=np.float64)) == pytest.approx(got.std[0], abs=1e-3)


def test_real_images_of_tinyimagenet_are_read(tmp_path):
    path = SHARED / "tiny-imagenet-200-subset.zip"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    checksum = "sha256:69e55e8b3286a7ccda83b9976c1ad68e72e8cc69086c2c1347fefd2036fd09ca"
    got = read(path, source="tinyimagenet", checksum=checksum)
    assert got.train_images.shape == (10_000, 3, 64, 64)
    assert got.test_images.shape == (2_000, 3, 64, 64)
    assert torch.bincount(got.train_labels).tolist() == [50] * 200
    assert torch.bincount(got.test_labels).tolist() == [10] * 200
    assert len(got.classes) == 200 and list(got.classes) == sorted(got.classes)
    with zipfile.ZipFile(path) as archive:
        lines = archive.read("tiny-imagenet-200/val/val_annotations.txt").decode().splitlines()
        present = {Path(name).name for name in archive.namelist() if "/val/images/" in name}
        first = min(present - {""}, key=lambda name: int(name[4:-5]))
        with Image.open(io.BytesIO(archive.read(f"tiny-imagenet-200/val/images/{first}"))) as image:
            expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    wnid = dict(line.split("\t")[:2] for line in lines)[first]
    assert got.classes[got.test_labels[0]] == wnid
    assert np.array_equal(got.test_images[0].numpy(), expected)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("holds", [None, "photo.heic"])
def test_a_class_without_readable_images_is_not_left_out(tmp_path, packed, holds):
    folder = tmp_path / "mine"
    for name in ("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)
    (folder / "train/c").mkdir()
    if holds:
        (folder / "train/c" / holds).write_bytes(b"no image that we read")
    path = folder
    if packed:
        path = tmp_path / "mine.tar"
        with tarfile.open(path, "w") as archive:
            archive.add(folder, arcname="top")
    with pytest.raises(InputError, match="class 'c' has no training images"):
        read(path, source="image_folder")


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "train/a").mkdir(parents=True)
    (tmp_path / "train/a/1.png").symlink_to("nothing.png")
    with pytest.raises(InputError, match="a link that leads nowhere"):
        read(tmp_path, source="image_folder")
