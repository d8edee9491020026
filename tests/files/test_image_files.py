"""Users' images against pixels worked out by hand, and the errors for other files."""

import io
import os
import re
import struct
import sys
import tarfile
import types
import typing
import unicodedata
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pydantic
import pytest
import yaml
from builders import encoded, pack, plain
from conftest import snakemake
from PIL import Image, ImageColor

from condensation.config import entries, loading
from condensation.core import storage
from condensation.core.errors import InputError
from condensation.data import datasets, readers
from condensation.files import image_files, subsets
from condensation.workflow import grid, jobs


def entry(**options):
    return entries.Dataset(source="image_folder", path="x", **options).model_dump()


def saved(image, form="PNG", **how):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, form, **how)
    return buffer.getvalue()


def grey_of(content, name="x.png", **how):
    return image_files.decode(content, name, 1, **how).pixels[0].astype(float)


# --- orientation ----------------------------------------------------------------------------------

# EXIF 2.3, tag 274: where the first row and the first column of what is stored are seen
SEEN = {
    **{1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left")},
    **{5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom")},
}


def as_stored(seen, tag):
    """The array H x W x 3 that is stored so that a viewer shows ``seen``."""
    row, column = SEEN[tag]
    height, width = seen.shape[:2]
    swapped = tag > 4
    stored = np.zeros((width, height, 3) if swapped else seen.shape, np.uint8)
    for i in range(stored.shape[0]):
        for j in range(stored.shape[1]):
            x, y = (i, j) if swapped else (j, i)
            x = width - 1 - x if "right" in (row, column) else x
            y = height - 1 - y if "bottom" in (row, column) else y
            stored[i, j] = seen[y, x]
    return stored


def four_colours(height=16, width=32):
    seen = np.zeros((height, width, 3), np.uint8)
    seen[: height // 2, : width // 2] = 220, 30, 30
    seen[: height // 2, width // 2 :] = 30, 220, 30
    seen[height // 2 :, : width // 2] = 30, 30, 220
    seen[height // 2 :, width // 2 :] = 200, 200, 200
    return seen


def behind_the_pixels(content):
    """A PNG whose eXIf chunk stands behind IDAT, as the standard allows."""
    at = content.index(b"eXIf") - 4
    end = at + 12 + struct.unpack(">I", content[at : at + 4])[0]
    last = content.index(b"IEND") - 4
    return content[:at] + content[end:last] + content[at:end] + content[last:]


FORMS = {
    **{
        "jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
        "png": ("PNG", {}),
        "late.png": ("PNG", {}),
    },
    **{"webp": ("WEBP", {"lossless": True}), "tif": ("TIFF", {})},
    **{
        "packed.tif": ("TIFF", {"compression": "tiff_lzw"}),
        "avif": ("AVIF", {"quality": 95, "subsampling": "4:4:4"}),
    },
}


def oriented(seen, tag, form):
    kind, how = FORMS[form]
    image = Image.fromarray(as_stored(seen, tag))
    exif = image.getexif()
    exif[274] = tag
    content = saved(image, kind, exif=exif, **how)
    return behind_the_pixels(content) if form.startswith("late") else content


@pytest.mark.parametrize("tag", SEEN)
@pytest.mark.parametrize("form", FORMS)
def test_an_image_is_turned_as_its_tag_says(form, tag):
    seen = four_colours()
    got = image_files.decode(oriented(seen, tag, form), f"x.{form}", 3)
    assert got.pixels.shape == (3, 16, 32)
    assert abs(got.pixels.transpose(1, 2, 0).astype(int) - seen).mean() < 4
    assert ("turned by its orientation tag" in got.changes) == (tag > 1)


@pytest.mark.parametrize("form", FORMS)
def test_the_check_compares_sizes_as_they_are_seen(tmp_path, form):
    """Portraits stored on their side have the size of upright ones, so none is refused."""
    seen = four_colours()
    files = {f"{split}/a/0.png": encoded(seen) for split in ("train", "test")}
    files |= {f"train/a/{tag}.{form}": oriented(seen, tag, form) for tag in SEEN}
    path = pack(tmp_path / "images", files, "folder")
    assert image_files.check(path, entry()) is None
    dataset = readers.read("d", entry(), [path])
    assert dataset.shape == (3, 16, 32)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_tags_do_not_make_an_image_unreadable():
    content = saved(four_colours(), "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 40)
    assert image_files.decode(content, "x.jpg", 3).pixels.shape == (3, 16, 32)


# --- transparency ---------------------------------------------------------------------------------

ALPHA = np.tile(np.array([0, 51, 128, 255], np.uint8), (4, 1))


def with_alpha(kind):
    """An image, its colours H x W x 3 and its alpha, both as arrays."""
    colours = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    if kind in ("RGBA", "RGBA tiff", "RGBA webp"):
        image = Image.fromarray(np.dstack([colours, ALPHA]))
        form = kind.partition(" ")[2] or "png"
        how = {"lossless": True, "exact": True} if form == "webp" else {}
        return saved(image, form.upper(), **how), colours, ALPHA
    if kind == "LA":
        grey = colours[..., 0]
        image = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(ALPHA)])
        return saved(image), np.dstack([grey] * 3), ALPHA
    places = np.arange(16, dtype=np.uint8).reshape(4, 4)
    table = colours.reshape(-1, 3)
    image = Image.fromarray(places, "L")
    if kind.startswith("P"):
        image = Image.new("P", (4, 4))
        image.putdata(places.flatten().tolist())
        image.putpalette(table.flatten().tolist())
    if kind == "P, alpha per colour":
        return saved(image, transparency=ALPHA.tobytes()), colours, ALPHA
    clear = np.where(places == 5, 0, 255)
    if kind == "P, one clear":
        return saved(image, transparency=5), colours, clear
    if kind == "P gif":
        return saved(image, "GIF", transparency=5), colours, clear
    if kind == "L, one clear":
        return saved(image, transparency=5), np.dstack([places] * 3), clear
    if kind == "16 bits, one clear":
        image = Image.fromarray(places.astype(np.uint16) * 4000)
        content = saved(image)
        at = content.index(b"IDAT") - 4
        body = b"tRNS" + struct.pack(">H", 5 * 4000)
        chunk = struct.pack(">I", 2) + body + struct.pack(">I", zlib.crc32(body))
        values = np.rint(places.astype(float) * 4000 / 257)
        return content[:at] + chunk + content[at:], np.dstack([values] * 3), clear
    assert kind == "RGB, one clear"
    clear = np.full((4, 4), 255)
    clear[1, 2] = 0
    return (
        saved(Image.fromarray(colours), transparency=tuple(colours[1, 2].tolist())),
        colours,
        clear,
    )


@pytest.mark.parametrize("background", ["white", "black", "#10a0f0"])
@pytest.mark.parametrize(
    "kind",
    [
        *("RGBA", "RGBA tiff", "RGBA webp", "LA", "P, alpha per colour", "P, one clear", "P gif"),
        *("L, one clear", "RGB, one clear", "16 bits, one clear"),
    ],
)
def test_transparent_pixels_show_the_background(kind, background):
    content, colours, alpha = with_alpha(kind)
    got = image_files.decode(content, "x.png", 3, background=background)
    share = alpha[..., None] / 255
    expected = colours * share + np.array(ImageColor.getrgb(background)) * (1 - share)
    assert np.abs(got.pixels.transpose(1, 2, 0) - expected).max() <= 1
    assert "transparency put on the background" in got.changes


def test_a_drawing_made_of_alpha_over_black_is_black_on_white_at_any_size():
    drawing = np.zeros((16, 16, 4), np.uint8)
    drawing[:8, :, 3] = 255
    got = grey_of(saved(drawing), size=8)
    assert (got[:3] == 0).all() and (got[5:] == 255).all()


def test_an_opaque_alpha_channel_is_no_transparency():
    image = np.full((4, 4, 4), 255, np.uint8)
    assert image_files.decode(saved(image), "x.png", 3).changes == ("RGBA to RGB",)


def test_a_background_is_a_colour():
    for wrong in ("blueish", "#12", "#11223344", ""):
        with pytest.raises(ValueError, match="`background` must be a colour"):
            entry(background=wrong)
    with pytest.raises(ValueError, match="`background` is for `image_folder`"):
        entries.Dataset(source="cifar10", background="black")


# --- greys of other types -------------------------------------------------------------------------


def tiff(values, bits, kind, white_is_zero=False, order="<"):
    """A plain TIFF of a grey image: ``kind`` 1 unsigned, 2 signed, 3 float (SampleFormat)."""
    height, width = values.shape
    if bits == 12:  # two values in three bytes
        pairs = values.reshape(-1, 2)
        pixels = b"".join(
            bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs.tolist()
        )
    else:
        letter = {1: "u", 2: "i", 3: "f"}[kind]
        pixels = values.astype(f"{order}{letter}{bits // 8}").tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 0 if white_is_zero else 1)]
    tags += [(273, 8 + 2 + 12 * 10 + 4), (277, 1), (278, height), (279, len(pixels)), (339, kind)]
    mark = b"II*\0" if order == "<" else b"MM\0*"
    body = mark + struct.pack(order + "I", 8) + struct.pack(order + "H", len(tags))
    for tag, value in tags:
        body += struct.pack(order + "HHII", tag, 4, 1, value)
    return body + bytes(4) + pixels


RAMP = np.arange(64).reshape(8, 8)
DEEP = {
    "16 bits": lambda: tiff(RAMP * 1000, 16, 1),
    "16 bits, big-endian": lambda: tiff(RAMP * 1000, 16, 1, order=">"),
    "16 bits, png": lambda: saved((RAMP * 1000).astype(np.uint16)),
    "16 bits, pgm": lambda: b"P5 8 8 65535\n" + (RAMP * 1000).astype(">u2").tobytes(),
    "10 bits, pgm": lambda: (
        b"P5 8 8 1000\n" + np.rint(RAMP * 1000 / 65.535).astype(">u2").tobytes()
    ),
    "16 bits, white is zero": lambda: tiff(65535 - RAMP * 1000, 16, 1, white_is_zero=True),
    "floats": lambda: tiff(RAMP * 1000 / 65535, 32, 3),
    "floats, big-endian": lambda: tiff(RAMP * 1000 / 65535, 32, 3, order=">"),
    "floats, pfm": lambda: b"Pf\n8 8\n-1.0\n" + (RAMP[::-1] / 65.535).astype("<f4").tobytes(),
    "12 bits": lambda: tiff(np.rint(RAMP * 1000 / 65535 * 4095).astype(int), 12, 1),
}


@pytest.mark.parametrize("kind", DEEP)
def test_greys_are_scaled_by_their_type(kind):
    content = DEEP[kind]()
    got = image_files.decode(content, "x.tif", 1)
    expected = RAMP * 1000 / 65535 * 255
    assert np.abs(got.pixels[0] - expected).max() <= 1
    assert len(np.unique(got.pixels)) > 60
    assert any(change.startswith("scaled from ") for change in got.changes)
    assert np.array_equal(image_files.decode(content, "x.tif", 3).pixels, got.pixels.repeat(3, 0))


REFUSED = {
    "integers of 32 bits": tiff(RAMP * 1000, 32, 1),
    "or with a sign": tiff(RAMP * 100 - 3000, 16, 2),
    "floats from 0 to 63": tiff(RAMP, 32, 3),
    "floats from -1 to 62": tiff(RAMP - 1.0, 32, 3),
    "floats from nan": tiff(np.where(RAMP == 3, np.nan, 0.5), 32, 3),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("packed", ["folder", "zip", "tar.gz"])
def test_greys_without_a_known_scale_are_refused_by_name_and_type(tmp_path, packed, kind):
    files = {f"{split}/a/{n}.png": plain(n) for split in ("train", "test") for n in range(2)}
    files["train/a/scan.tif"] = REFUSED[kind]
    path = pack(tmp_path / "images", files, packed)
    for read in (image_files.check, lambda path, options: readers.read("d", options, [path])):
        with pytest.raises(InputError, match=f"train/a/scan.tif: .*{kind}"):
            read(path, entry())


# --- which files ----------------------------------------------------------------------------------


def tree(tmp_path, more=(), leave=(), kind="folder"):
    """Classes a and b with two images to train and one to test on, and ``more``."""
    files = {
        f"{split}/{label}/{n}.png": encoded(np.random.default_rng(seed).integers(0, 256, (8, 8, 3)))
        for seed, (split, label, n) in enumerate(
            (s, c, n)
            for s, count in (("train", 2), ("test", 1))
            for c in "ab"
            for n in range(count)
        )
    }
    files = {name: content for name, content in files.items() if name not in leave}
    return pack(tmp_path / "images", files | dict(more), kind)


ENDINGS = {
    **{"jfif": "JPEG", "jpe": "JPEG", "JPG": "JPEG", "avif": "AVIF", "jp2": "JPEG2000"},
    **{"j2k": "JPEG2000", "tga": "TGA", "pbm": "PPM", "dib": "DIB", "ico": "ICO", "pcx": "PCX"},
    **{"sgi": "SGI", "qoi": "QOI", "apng": "PNG", "dds": "DDS", "icns": "ICNS"},
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_images_of_every_ending_are_read(tmp_path, ending):
    image = Image.new("1" if ending == "pbm" else "RGB", (16, 16), "white")
    more = {f"train/a/more.{ending}": saved(image, ENDINGS[ending])}
    path = tree(tmp_path, more)
    options = entry(image_size=16)
    assert image_files.check(path, options) is None
    got = readers.read("d", options, [path])
    assert got.files["train"] == (
        *("train/a/0.png", "train/a/1.png", f"train/a/more.{ending}"),
        *("train/b/0.png", "train/b/1.png"),
    )
    assert (got.train_images[2] >= 250).all()


def test_an_image_is_read_even_if_its_ending_names_another_format():
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        assert (grey_of(plain(200, form=form), "x.tif") > 190).all()


@pytest.mark.parametrize("name", ["x.png", "x.tga", "x.ico"])
def test_text_is_refused_under_every_image_ending(name):
    with pytest.raises(InputError, match=f"{name}: not a readable image") as caught:
        image_files.decode(b"Name,Label\n1,2\n" * 9, name, 3)
    assert "BytesIO" not in str(caught.value)


SKIPPED = {
    "train/a/.ipynb_checkpoints/0-checkpoint.png": "hidden",
    "train/.ipynb_checkpoints/0-checkpoint.png": "hidden",
    "train/a/@eaDir/0.png/SYNOPHOTO_THUMB_M.png": "system",
    "train/@eaDir/x/0.png": "system",
    "train/a/.thumbnails/0.png": "hidden",
    "train/a/.0.png": "hidden",
    "train/a/._0.png": "hidden",
    "__MACOSX/train/a/0.png": "system",
    "train/a/__MACOSX/0.png": "system",
    "test/b/#recycle/0.png": "system",
    "test/b/$RECYCLE.BIN/0.png": "system",
    "train/a/Thumbs.db": "system",
    "train/a/desktop.ini": "system",
    "train/a/.DS_Store": "hidden",
    "train/a/notes.txt": ".txt, no ending of an image",
    "train/a/labels": "without an ending",
    "train/a/film.mpg": ".mpg, no ending of an image",
    "train/a/drawing.eps": ".eps, no ending of an image",
    "train/a/photo.HEIC": ".heic, which needs the package pillow-heif",
    "train/a/photo.jxl": ".jxl, which needs the package pillow-jxl-plugin",
    "train/0.png": "images in no class folder",
    "val/a/0.png": "images in no class folder",
    "README": "without an ending",
}


@pytest.fixture
def no_plug_ins(monkeypatch):
    for module in ("pillow_heif", "pillow_jxl"):
        monkeypatch.setitem(sys.modules, module, None)
    image_files.endings.cache_clear()
    image_files._admitted.cache_clear()
    yield
    image_files.endings.cache_clear()
    image_files._admitted.cache_clear()


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
def test_files_that_are_no_data_are_counted_and_not_used(tmp_path, kind, no_plug_ins):
    path = tree(tmp_path, dict.fromkeys(SKIPPED, plain(7)), kind=kind)
    got = readers.read("d", entry(), [path])
    assert got.train_labels.tolist() == [0, 0, 1, 1] and got.test_labels.tolist() == [0, 1]
    assert got.classes == ("a", "b")
    listing = image_files.Listing(path)
    for name, reason in SKIPPED.items():
        before = listing.skipped.total()
        assert not listing.take(name)
        assert listing.skipped.total() == before + 1
        assert any(reason in key[2] for key in listing.skipped), name
    counted = sum(sum(row["skipped"].values()) for row in got.report["classes"])
    counted += sum(got.report["skipped"].values())
    assert counted == len(SKIPPED)
    assert got.report["skipped"]["images in no class folder of train/ or test/"] == 2


def test_an_installed_plug_in_adds_its_endings(tmp_path, no_plug_ins, monkeypatch):
    plug_in = types.ModuleType("pillow_heif")

    def register_heif_opener():
        Image.register_open("HEIF", Image.OPEN["PNG"][0], lambda prefix: prefix[:4] == b"HEIF")
        Image.register_extension("HEIF", ".heic")

    plug_in.register_heif_opener = register_heif_opener
    monkeypatch.setitem(sys.modules, "pillow_heif", plug_in)
    for registry in (Image.OPEN, Image.EXTENSION):
        monkeypatch.setattr(Image, "OPEN" if registry is Image.OPEN else "EXTENSION", {**registry})
    monkeypatch.setattr(Image, "ID", [*Image.ID])
    got = readers.read("d", entry(), [tree(tmp_path, {"train/a/photo.heic": plain(7)})])
    assert "train/a/photo.heic" in got.files["train"]


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
@pytest.mark.parametrize(
    ("more", "leave", "fraction", "expected"),
    [
        ((), ("test/b/0.png",), None, ["class 'b' has no test images"]),
        (("test/c/0.png",), (), None, ["class 'c' has no training images"]),
        (
            ("train/c/0.png", "train/d/0.png"),
            (),
            None,
            ["class 'c' has no test images", "'d'"],
        ),
        (
            ("val/a/0.png", "val/b/0.png"),
            ("test/a/0.png", "test/b/0.png"),
            None,
            [
                "no images under test/<class>/",
                "2 images under val/",
                "rename val/",
                "test_fraction",
            ],
        ),
        (
            ("valid/a/0.png",),
            ("test/a/0.png", "test/b/0.png"),
            None,
            ["1 images under valid/", "test_fraction"],
        ),
        ((), ("test/a/0.png", "test/b/0.png"), None, ["no images under test/", "`test_fraction`"]),
        (
            ("Train/a/0.png", "Test/a/0.png"),
            [f"{s}/{c}/{n}.png" for s in ("train", "test") for c in "ab" for n in (0, 1)],
            None,
            ["no images under train/", "under Train/", "under Test/"],
        ),
        (
            ("a/0.png", "b/0.png"),
            [f"{s}/{c}/{n}.png" for s in ("train", "test") for c in "ab" for n in (0, 1)],
            None,
            ["no images under train/", "2 images in folders without train/ or test/ above"],
        ),
        ((), (), 0.5, ["holds test images; leave `test_fraction` out"]),
    ],
)
def test_splits_and_classes_without_images_are_refused_before_and_in_the_job(
    tmp_path, kind, more, leave, fraction, expected
):
    path = tree(tmp_path, dict.fromkeys(more, plain((1, 2, 3))), leave, kind)
    options = entry(test_fraction=fraction)
    for read in (image_files.check, lambda path, options: readers.read("d", options, [path])):
        with pytest.raises(InputError) as caught:
            read(path, options)
        for text in expected:
            assert text in str(caught.value)


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
@pytest.mark.parametrize("fraction", [None, 0.5])
@pytest.mark.parametrize("top", ["train", "test"])
def test_a_split_that_holds_the_splits_is_not_taken_for_two_classes(tmp_path, kind, fraction, top):
    names = [f"{top}/{split}/{label}/0.png" for split in ("train", "test") for label in "ab"]
    path = pack(tmp_path / "q", {name: plain(n) for n, name in enumerate(names)}, kind)
    for read in (image_files.check, lambda path, options: readers.read("d", options, [path])):
        with pytest.raises(InputError, match=f"{top}/ itself holds train/ and test/: name it"):
            read(path, entry(test_fraction=fraction))
    if kind == "folder":
        assert readers.read("d", entry(), [path / top]).classes == ("a", "b")


@pytest.mark.parametrize("more", ["", "more/"])
def test_two_classes_called_train_and_test_may_be_split(tmp_path, more):
    names = [f"train/train/{more}{n}.png" for n in range(2)]
    names += [f"train/test/{n}.png" for n in range(2)]
    path = pack(tmp_path / "q", {name: plain(n) for n, name in enumerate(names)}, "folder")
    assert readers.read("d", entry(test_fraction=0.5), [path]).classes == ("test", "train")


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
@pytest.mark.parametrize("name", ["photo.heic", "notes.txt", ".0.png", "Thumbs.db"])
def test_a_class_without_a_readable_image_is_refused(tmp_path, kind, name, no_plug_ins):
    path = tree(tmp_path, {f"train/c/{name}": plain(7)}, kind=kind)  # no entries of folders
    reason = image_files.why_skipped(name)
    with pytest.raises(InputError) as caught:
        image_files.check(path, entry())
    assert "class 'c' has no training images" in str(caught.value)
    assert f"not read: 1 {reason}" in str(caught.value)


# --- names ----------------------------------------------------------------------------------------


def test_names_that_differ_in_normalisation_are_one_class(tmp_path):
    composed, apart = (unicodedata.normalize(form, "café 가") for form in ("NFC", "NFD"))
    assert composed != apart
    more = {f"train/{composed}/0.png": plain((1, 2, 3)), f"test/{apart}/0.png": plain((3, 2, 1))}
    got = readers.read("d", entry(), [tree(tmp_path, more)])
    assert got.classes == ("a", "b", composed)
    assert got.files["test"][-1] == f"test/{apart}/0.png", "as the disk has it"


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        *((kind, "cafe\u0301", "caf\xe9") for kind in ("folder", "tar", "zip")),
        ("folder", r"caf\xe9", os.fsdecode(b"caf\xe9")),
    ],
)
def test_two_class_folders_with_the_same_text_are_refused(tmp_path, kind, first, second):
    more = {f"train/{name}/0.png": plain((1, 2, 3)) for name in (first, second)}
    path = tree(tmp_path, more, kind=kind)
    for read in (image_files.check, lambda path, options: readers.read("d", options, [path])):
        with pytest.raises(InputError, match="are one text in two Unicode") as caught:
            read(path, entry())
        assert ascii(first) in str(caught.value) and ascii(second) in str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_names_that_are_not_utf_8_are_kept(tmp_path, packed):
    path = tree(tmp_path)
    for split in ("train", "test"):
        folder = path / split / os.fsdecode(b"caf\xe9")
        folder.mkdir()
        (folder / os.fsdecode(b"\xff.png")).write_bytes(plain((len(split), 2, 1)))
    if packed:
        with tarfile.open(tmp_path / "images.tar", "w") as archive:
            archive.add(path, arcname="top")
        path = tmp_path / "images.tar"
    assert image_files.check(path, entry()) is None
    got = readers.read("d", entry(), [path])
    assert got.classes == ("a", "b", r"caf\xe9")
    datasets.write(got, tmp_path / "d.safetensors")
    again = datasets.load(tmp_path / "d.safetensors")
    assert (again.classes, again.files, again.report) == (got.classes, got.files, got.report)
    name = again.files["train"][-1]
    assert os.fsencode(name).endswith(b"train/caf\xe9/\xff.png")
    if not packed:
        assert (path / name).is_file()
    assert len(image_files.state(path, entry())) == 16


def test_utf_8_names_in_a_zip_of_macos_are_read_without_the_flag(tmp_path):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for split in ("train", "test"):
            archive.writestr(f"{split}/猫/0.png", plain(9))
    content = path.read_bytes()
    # the flag of both headers: bit 11
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        parts = content.split(mark)
        parts[1:] = [p[: at - 4] + b"\0\0" + p[at - 2 :] for p in parts[1:]]
        content = mark.join(parts)
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert "猫" not in archive.namelist()[0]
    assert readers.read("d", entry(), [path]).classes == ("猫",)


@pytest.mark.parametrize("name", ["$$", "${x}", "\\alpha$^_", "猫", "a b", "'\"<b>&"])
def test_class_names_of_any_kind_are_kept(tmp_path, name):
    more = {f"{split}/{name}/0.png": plain((1, 2, 3)) for split in ("train", "test")}
    got = readers.read("d", entry(), [tree(tmp_path, more)])
    assert name in got.classes


# --- before any job -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz", "zip"])
def test_the_check_names_every_file_that_is_no_image(tmp_path, kind):
    whole = saved(four_colours())
    more = {
        "train/a/text.png": b"this is text",
        "train/b/empty.jpg": b"",
        "test/b/cut.gif": whole[:20],
        "test/b/large.png": b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + (head := b"IHDR" + struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0))
        + struct.pack(">I", zlib.crc32(head)),
    }
    path = tree(tmp_path, more, kind=kind)
    with pytest.raises(InputError) as caught:
        image_files.check(path, entry())
    assert len(str(caught.value).splitlines()) == 4
    for name in more:
        assert f"{path}:{name}: " in str(caught.value)
    assert "BytesIO" not in str(caught.value)
    many = {f"train/a/{n}.jpg": b"" for n in range(25)}
    with pytest.raises(InputError, match="and 15 more$"):
        image_files.check(tree(tmp_path / "many", many, kind="folder"), entry())


@pytest.mark.parametrize("kind", ["folder", "tar.gz", "zip"])
def test_the_check_names_two_files_of_different_sizes(tmp_path, kind):
    path = tree(tmp_path, {"train/b/wide.png": plain(5, 9, 7)}, kind=kind)
    with pytest.raises(InputError, match=r"train/b/wide.png is 9x7 \(height x width\)"):
        image_files.check(path, entry())
    assert image_files.check(path, entry(image_size=8)) is None


def test_the_check_ends_in_time_and_says_how_far_it_came(tmp_path):
    path = tree(tmp_path, {"train/b/text.png": b"text"})
    ticks = iter(range(0, 1000, 7))
    message = image_files.check(path, entry(), clock=lambda: next(ticks))
    assert "the headers of 2 images were looked at" in message
    (path / "train" / "c").mkdir()
    with pytest.raises(InputError, match="class 'c' has no training images"):  # names are free
        image_files.check(path, entry(), clock=lambda: next(ticks))


def test_the_state_changes_with_files_and_options(tmp_path):
    path = tree(tmp_path)
    states = {image_files.state(path, entry())}
    states.add(image_files.state(path, entry(image_size=8)))
    (path / "train/a/0.png").write_bytes(b"")
    states.add(image_files.state(path, entry()))
    (path / "train/a/0.png").rename(path / "train/a/5.png")
    states.add(image_files.state(path, entry()))
    assert len(states) == 4


def config_of(**dataset):
    return {
        "datasets": {"mine": dataset},
        "methods": {"random": {"algorithm": "random"}},
        "architectures": {"r": {"network": "mlp", "width": 8}},
        "experiments": {
            "a": {"datasets": ["mine"], "methods": ["random"], "ipc": [1], "architectures": ["r"]}
        },
    }


def test_unchanged_images_are_not_checked_again(tmp_path, monkeypatch):
    path = tree(tmp_path)
    content = config_of(source="image_folder", path=str(path)) | {"results_dir": str(tmp_path)}
    used = loading.parse(content)
    checked = []
    monkeypatch.setattr(image_files, "check", lambda path, options: checked.append(path))
    jobs.check_images(used, grid.expand(used))
    assert checked == [path]
    dataset = readers.read("mine", used.datasets["mine"].model_dump(), [path])
    datasets.write(dataset, tmp_path / "mine/dataset.safetensors")
    jobs.check_images(used, grid.expand(used))
    assert checked == [path]
    (path / "train/a/0.png").write_bytes(b"")
    jobs.check_images(used, grid.expand(used))
    assert checked == [path, path]
    (tmp_path / "mine/dataset.safetensors").write_bytes(b"x" * 99)  # damaged: the job's to say
    jobs.check_images(used, grid.expand(used))
    assert len(checked) == 3


@pytest.mark.parametrize("source", ["image_folder", "cifar10"])
def test_only_files_that_are_read_prepare_a_dataset_anew(tmp_path, monkeypatch, source):
    path = tree(tmp_path, {"cifar-10-python.tar.gz": b"x" * 9})
    monkeypatch.chdir(path)
    used = loading.parse(config_of(source=source, path="."))
    before = jobs.prepare(used, "mine")
    assert before == jobs.prepare(loading.parse(config_of(source=source, path=".")), "mine")
    others = ("results/logs/x.log", ".snakemake/x", "figures/x.png", "train/a/.thumbs/x.png")
    pack(path, dict.fromkeys(others, b""), "folder")
    (path / "results" / "nowhere").symlink_to("nothing")
    assert jobs.prepare(used, "mine") == before
    assert jobs.check_images(used, grid.expand(used)) == []
    read = path / ("train/a/0.png" if source == "image_folder" else "cifar-10-python.tar.gz")
    read.write_bytes(read.read_bytes() + b"x")
    assert jobs.prepare(used, "mine") != before


@pytest.mark.parametrize("option", ["results_dir", "figures_dir"])
@pytest.mark.parametrize("folder", ["train", "test/a", "train/results"])
def test_a_folder_of_the_run_among_the_images_is_refused(tmp_path, monkeypatch, option, folder):
    path = tree(tmp_path)
    monkeypatch.chdir(path)
    used = loading.parse(config_of(source="image_folder", path=str(path)) | {option: folder})
    with pytest.raises(InputError, match=f"{option}: {folder} lies among the images of `mine`"):
        jobs.check_images(used, grid.expand(used))


@pytest.mark.slow
def test_the_images_may_be_in_the_folder_of_the_run(tmp_path, checkout):
    (tree(tmp_path) / "train").rename(checkout / "train")
    (tmp_path / "images/test").rename(checkout / "test")
    content = config_of(source="image_folder", path=".")
    (checkout / "c.yaml").write_text(yaml.safe_dump(content))
    for last in ("2 of 2 steps (100%) done", "Nothing to be done"):
        run = ("prepared_datasets", "--cores", "1", "--configfile", "c.yaml", "--verbose")
        done = snakemake(checkout, *run)
        assert done.returncode == 0 and last in done.stdout + done.stderr, done.stderr
        (checkout / "note.txt").write_text("")  # gives the folder a new time


def test_a_folder_without_the_official_files_is_refused_before_any_job(tmp_path):
    used = loading.parse(config_of(source="cifar10", path=str(tree(tmp_path))))
    with pytest.raises(
        InputError, match="cifar-10-python.tar.gz.*cifar-10-batches-py.*test, train"
    ):
        jobs.check_images(used, grid.expand(used))
    used = loading.parse(config_of(source="cifar10"))  # to be downloaded
    assert jobs.check_images(used, grid.expand(used)) == []


@pytest.mark.slow
def test_bad_images_end_a_run_before_any_job_and_good_ones_are_reported(tmp_path, checkout):
    path = tree(tmp_path, {"train/a/text.png": b"text", "train/a/notes.txt": b""})
    run = ("prepared_datasets", "--cores", "1", "--configfile", "c.yaml")
    content = config_of(source="image_folder", path=str(path))
    (checkout / "c.yaml").write_text(yaml.safe_dump(content))
    done = snakemake(checkout, *run)
    output = done.stderr + done.stdout
    assert done.returncode and "train/a/text.png: not a readable image" in output
    assert "Traceback" not in output and not (checkout / "results").exists()
    (path / "train/a/text.png").write_bytes((path / "train/a/0.png").read_bytes())
    (path / "test/b/leak.png").write_bytes((path / "train/b/0.png").read_bytes())
    done = snakemake(checkout, *run)
    output = done.stderr + done.stdout
    assert done.returncode == 0, output
    (line,) = (line for line in output.splitlines() if line.startswith("mine: "))
    assert "skipped 1: .txt, no ending of an image" in line
    assert "1 test images are also among the training images" in line
    assert "1 training images are copies of another" in line
    log = (checkout / "results/logs/prepare_dataset/mine.log").read_text()
    assert line in log and "test/b/leak.png is a copy of train/b/0.png" in log
    report = storage.read_metadata(checkout / "results/mine/dataset.safetensors")["report"]
    assert report["examples"]["copies"] == [
        ["train/a/text.png", "train/a/0.png"],
        ["test/b/leak.png", "train/b/0.png"],
    ]


# --- subsets of ImageNet --------------------------------------------------------------------------


def imagenet(tmp_path, leave=(), kind="folder"):
    """ImageWoof's classes and two others, as ImageNet has them: train/ and val/, wide images."""
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:12] = 200  # the square in the middle
    files = {
        f"imagenet/{split}/{wnid}/{n}.JPEG": saved(wide, "PNG")
        for wnid in [*subsets.SUBSETS["imagewoof"], "n01440764", "n00000001"]
        for split, count in (("train", 3), ("val", 2))
        for n in range(count)
        if f"{split}/{wnid}" not in leave
    }
    return pack(tmp_path / "imagenet", files | {"imagenet/test/0.JPEG": saved(wide)}, kind)


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
def test_a_subset_of_imagenet_has_its_classes_by_name(tmp_path, kind):
    path = imagenet(tmp_path, kind=kind)
    options = entry(subset="imagewoof", image_size=4)
    assert image_files.check(path, options) is None
    got = readers.read("woof", options, [path])
    assert list(got.classes) == sorted(subsets.SUBSETS["imagewoof"].values())
    assert got.train_labels.tolist() == [n for n in range(10) for _ in range(3)]
    assert got.test_labels.tolist() == [n for n in range(10) for _ in range(2)]
    beagle = got.classes.index("beagle")
    of_class = [f for f, n in zip(got.files["train"], got.train_labels, strict=True) if n == beagle]
    assert all("train/n02088364/" in file for file in of_class)
    assert got.train_images.eq(200).all(), "the borders belong to no square"
    assert got.report["skipped"] == {
        "of classes that imagewoof does not have": 10,
        "images in no class folder of train/ or val/": 1,
    }
    assert image_files.count(path, None, "imagewoof") == (10, 30, 20, 3, (8, 16))


def test_images_are_stretched_or_cut_to_a_square(tmp_path):
    path = imagenet(tmp_path)
    stretched = readers.read("d", entry(subset="imagewoof", image_size=4, crop=False), [path])
    assert stretched.train_images[0, 0, 0, 0] < 100 < stretched.train_images[0, 0, 0, 1]
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 90
    path = tree(tmp_path, {"train/a/2.png": saved(wide)})
    cut = readers.read("d", entry(image_size=4, crop=True), [path])
    assert cut.train_images[2].eq(90).all()
    assert readers.read("d", entry(image_size=4), [path]).train_images[2].min() < 45


def test_a_subset_that_lacks_a_class_is_named(tmp_path):
    path = imagenet(tmp_path, leave={"val/n02111889"})
    for read in (image_files.check, lambda path, options: readers.read("d", options, [path])):
        with pytest.raises(InputError, match="class 'Samoyed' of imagewoof has no test images"):
            read(path, entry(subset="imagewoof", image_size=4))
        with pytest.raises(InputError, match="no images under train/<WordNet id>/"):
            read(path, entry(subset="imagemeow", image_size=4))
        with pytest.raises(InputError, match="'English springer' of imagenette has no training"):
            read(path, entry(subset="imagenette", image_size=4))


def test_the_layout_of_imagenet_is_asked_for(tmp_path):
    loose = {"train/n01440764/0.JPEG": plain(1), "val/0.JPEG": plain(1), "val/1.JPEG": plain(1)}
    path = pack(tmp_path / "flat", loose, "folder")
    message = r"no images under val/<WordNet id>/; there are 2 .*; imagenette needs ImageNet's fold"
    with pytest.raises(InputError, match=message):
        image_files.check(path, entry(subset="imagenette", image_size=4))
    with pytest.raises(InputError, match="no images under train/<WordNet id>/"):
        image_files.check(tree(tmp_path), entry(subset="imagenette", image_size=4))


def test_the_subsets_are_those_of_the_config_with_ten_classes_each():
    names = typing.get_args(entries.Subset)
    assert set(names) == set(subsets.SUBSETS)
    for classes in subsets.SUBSETS.values():
        assert len(classes) == len(set(classes.values())) == 10
        assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in classes)


def test_the_ids_are_those_of_their_names():
    info = Path(pytest.importorskip("timm").__file__).parent / "data/_info"
    lines = (info / "imagenet_synset_to_lemma.txt").read_text().splitlines()
    lemmas = dict(line.split("\t")[:2] for line in lines)
    for classes in subsets.SUBSETS.values():
        for wnid, name in classes.items():
            assert name in lemmas[wnid].split(", "), (wnid, name, lemmas[wnid])


def test_options_of_subsets_are_for_folders():
    for options in ({"subset": "imagenette"}, {"crop": True, "image_size": None}):
        with pytest.raises(pydantic.ValidationError, match="is for `image_folder`"):
            entries.Dataset(source="cifar10", **options)
    with pytest.raises(pydantic.ValidationError, match="set `image_size` as well"):
        entry(crop=True)
