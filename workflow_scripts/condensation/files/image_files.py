"""Image files of users: which files are images, and their pixels as a viewer shows them.

A folder or archive holds ``train/<class>/*`` and ``test/<class>/*``, at any depth; that of a subset
of ImageNet ``val/<class>/*``, as ImageNet does. This module does not import torch.
"""

import contextlib
import functools
import hashlib
import importlib
import io
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from PIL import ExifTags, Image, ImageColor, ImageOps, UnidentifiedImageError

from condensation.core.errors import InputError
from condensation.files import archives, subsets

if TYPE_CHECKING:
    import numpy as np

MAX_PIXELS = 1 << 26  # of one image: a small compressed file can claim any number
CHECK_SECONDS = 20.0  # most time to check headers before a job; the job checks the others
_MOST_NAMED = 10  # most files in a message

# Formats that are not read: EPS runs a program, FITS has no scale, and Pillow cannot decode the
# others.
_UNREAD = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
# Formats of other packages than Pillow: ending -> module, and the function that registers it.
_PLUG_INS = {
    **dict.fromkeys((".heic", ".heif", ".hif"), ("pillow_heif", "register_heif_opener")),
    ".jxl": ("pillow_jxl", None),
}
_PACKAGES = {"pillow_heif": "pillow-heif", "pillow_jxl": "pillow-jxl-plugin"}
_SPLITS = {"train": "train", "test": "test"}  # folder -> split
_SPLITS_OF_IMAGENET = {"train": "train", "val": "test"}
_LAYOUT_OF_IMAGENET = "train/<WordNet id>/* and val/<WordNet id>/*, such as val/n01440764/a.JPEG"


# --- names ----------------------------------------------------------------------------------------


class Place(NamedTuple):
    """Position of an image: split, class, and path below the class."""

    split: str
    label: str
    file: str


def as_text(name: str) -> str:
    r"""Return the name of a file as text: composed (NFC), with invalid UTF-8 as ``\xe9``."""
    raw = name.encode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", raw.decode("utf-8", "backslashreplace"))


@functools.cache
def endings() -> dict[str, str]:
    """Return ending (``.jpg``) -> Pillow format for all formats read, with installed plug-ins."""
    Image.init()
    for module, register in dict.fromkeys(_PLUG_INS.values()):
        with contextlib.suppress(ImportError):
            loaded = importlib.import_module(module)
            if register:
                getattr(loaded, register)()
    return {
        ending: form
        for ending, form in Image.registered_extensions().items()
        if form in Image.OPEN and form not in _UNREAD
    }


def why_skipped(name: str) -> str | None:
    """Return why the file ``name`` is not read as an image, or None if it is."""
    if aside := archives.why_aside(name):
        return aside
    ending = PurePosixPath(name).suffix.lower()
    if ending in endings():
        return None
    if ending in _PLUG_INS:
        return f"{ending}, which needs the package {_PACKAGES[_PLUG_INS[ending][0]]}"
    return f"{as_text(ending)}, no ending of an image" if ending else "without an ending"


class Listing:
    """Content of a folder or archive, from the names alone.

    Attributes
    ----------
    images : number of images per (split, class); 0 for an empty class folder.
    skipped : number of files that are not read per (split, class, reason); split and class are None
        for files in no class.
    """

    def __init__(
        self, path: str | Path, test_fraction: float | None = None, subset: str | None = None
    ):
        self.path, self.test_fraction, self.subset = path, test_fraction, subset
        self._names = subsets.class_names(subset)
        self._folders = _SPLITS if subset is None else _SPLITS_OF_IMAGENET  # folder -> split
        self._class_folder = "<class>" if subset is None else "<WordNet id>"
        self.images: Counter[tuple[str, str]] = Counter()
        self.skipped: Counter[tuple[str | None, str | None, str]] = Counter()
        self._flat: set[tuple[str, str]] = set()  # (split, class) with images right in its folder
        self._class_folders: dict[tuple[str, str], str] = {}  # (split, as text) -> name on the disk
        self._elsewhere: Counter[str] = Counter()  # images by the folder where a split should be

    def place(self, name: str) -> Place | None:
        """Return the place of a member, or None if it is in no class of a split."""
        parts = PurePosixPath(as_text(name)).parts
        for at, part in enumerate(parts[:-2]):  # the first, as a class may be called `train` too
            if part in self._folders:
                label = parts[at + 1]
                if self._names is not None:
                    label = self._names.get(label, "")
                return Place(self._folders[part], label, "/".join(parts[at + 2 :]))
        return None

    def concerns(self, name: str) -> bool:
        """Return whether a member (a folder if its name ends in a slash) counts for the content."""
        folder = name.endswith("/")
        place = self.place(name + "x" * folder)
        return bool(place and place.label) and why_skipped(name + "x.png" * folder) is None

    def take(self, name: str) -> bool:
        """Count a member (a folder if its name ends in a slash); return whether to read it.

        Raises
        ------
        InputError
            If its class folder is the second of the split whose name is the same text.
        """
        folder = name.endswith("/")
        place = self.place(name + "x" * folder)  # an empty class has only its folder
        reason = why_skipped(name + "x.png" * folder)
        if place and not place.label:
            if not folder:
                self.skipped[None, None, f"of classes that {self.subset} does not have"] += 1
            return False
        if place:
            self._check_class_folder(place, name)
        if folder:
            if place and reason is None:
                self.images[place.split, place.label] += 0
            return False
        if reason is None and place is None:
            parts = PurePosixPath(as_text(name)).parts
            self._elsewhere[parts[-3] if len(parts) > 2 else ""] += 1
            reason = f"images in no class folder of {'/ or '.join(self._folders)}/"
        if reason is None:
            self.images[place.split, place.label] += 1
            if "/" not in place.file:
                self._flat.add((place.split, place.label))
            return True
        self.skipped[(*place[:2], reason) if place else (None, None, reason)] += 1
        if place:  # keep a class none of whose files are read
            folder_name = as_text(name)[: -len(place.file)]
            if why_skipped(f"{folder_name}x.png") is None:
                self.images[place.split, place.label] += 0
        return False

    def _check_class_folder(self, place: Place, name: str) -> None:
        depth = len(PurePosixPath(place.file).parts)
        folder = PurePosixPath(name + "x" * name.endswith("/")).parts[-depth - 1]
        first = self._class_folders.setdefault((place.split, as_text(folder)), folder)
        if first != folder:
            raise InputError(
                f"{self.path}: the {place.split} folders {first!a} and {folder!a} are one text in "
                "two Unicode forms or encodings; merge them or rename one"
            )

    def classes(self) -> list[str]:
        """Return the sorted class names.

        Raises
        ------
        InputError
            If a split has no images, a class has none in one of the splits, ``test_fraction`` is
            set although there are test images or leaves a class no training images, or a split
            itself holds ``train/`` and ``test/``.
        """
        counts = {
            split: {label: n for (part, label), n in self.images.items() if part == split}
            for split in _SPLITS
        }
        for split, other in (("train", "test"), ("test", "train")):
            nested = set(counts[split]) == set(_SPLITS) and not counts[other]
            if nested and not any((split, label) in self._flat for label in _SPLITS):
                raise InputError(
                    f"{self.path}: its folder {split}/ itself holds train/ and test/: name it as "
                    "the path (or pack it alone)"
                )
        if self.test_fraction is None:
            needed = tuple(_SPLITS)
        elif any(counts["test"].values()):
            raise InputError(
                f"{self.path}: holds test images; leave `test_fraction` out to judge on them"
            )
        else:
            needed = ("train",)
        for folder, split in self._folders.items():
            if split in needed and not any(counts[split].values()):
                raise InputError(
                    f"{self.path}: no images under {folder}/{self._class_folder}/{self._instead()}"
                )
        if self._names is None:
            names = sorted({label for split in needed for label in counts[split]})
        else:
            names = sorted(self._names.values())
        for split, kind in zip(needed, ("training", "test"), strict=False):
            if bare := [label for label in names if not counts[split].get(label)]:
                more = f" (nor have {', '.join(map(repr, bare[1:]))})" if bare[1:] else ""
                of_subset = f" of {self.subset}" if self.subset else ""
                raise InputError(
                    f"{self.path}: class {bare[0]!r}{of_subset} has no {kind} images{more}"
                    + self._skipped_of(split, bare[0])
                )
        if self.test_fraction is not None:
            for label in names:
                number = counts["train"][label]
                if held_out(self.test_fraction, number) == number:
                    raise InputError(
                        f"{self.path}: `test_fraction` {self.test_fraction} leaves class {label!r}"
                        f", of {number} images, none to train on; take a smaller one, or more "
                        "images"
                    )
        return names

    def _instead(self) -> str:
        """Return what the folder has instead of a split, and advice."""
        others = [f"{n} images under {name}/" for name, n in self._elsewhere.items() if name]
        if self._elsewhere[""]:
            others.append(f"{self._elsewhere['']} images in folders without train/ or test/ above")
        text = f"; there are {', '.join(others[:_MOST_NAMED])}" if others else ""
        if self.subset:
            return text + f"; {self.subset} needs ImageNet's folders, {_LAYOUT_OF_IMAGENET}"
        if any(n for (split, _), n in self.images.items() if split == "train"):
            other = next((name for name in self._elsewhere if name), None)
            text += f"; rename {other}/ to test/, or set" if other else "; set"
            text += " `test_fraction` to hold out a share of the training images"
        elif others:
            text += "; put the class folders into train/ and test/, or into train/ alone with "
            text += "`test_fraction`"
        return text + self._skipped_of(None, None)

    def _skipped_of(self, split: str | None, label: str | None) -> str:
        reasons = [
            f"{n} {reason}"
            for (part, folder, reason), n in self.skipped.items()
            if split is None or (part, folder) == (split, label)
        ]
        return f"; not read: {', '.join(reasons)}" if reasons else ""


def held_out(test_fraction: float, number: int) -> int:
    """Return how many of ``number`` images of a class are held out as test images."""
    return max(1, round(test_fraction * number))


class Counts(NamedTuple):
    """Numbers of images; ``smallest`` is that of the training images of the smallest class."""

    classes: int
    train: int
    test: int
    smallest: int
    size: tuple[int, int]


def count(
    path: str | Path, test_fraction: float | None = None, subset: str | None = None
) -> Counts | None:
    """Count images by their names, and read (height, width) in the header of the first.

    None if that cannot be done; the job that prepares the dataset reports the reason.
    """
    listing = Listing(path, test_fraction, subset)
    size = None

    def is_first(name: str) -> bool:
        return listing.take(name) and listing.images.total() == 1

    try:
        for name, file in archives.opened(path, is_first):
            size = _shape(file, name, 3)
        classes = listing.classes()
    except (InputError, OSError):
        return None
    counts: dict[str, list[int]] = {"train": [], "test": []}
    for (split, _), number in listing.images.items():
        counts[split].append(number)
    if test_fraction is not None:
        counts["test"] = [held_out(test_fraction, number) for number in counts["train"]]
        counts["train"] = [
            number - held for number, held in zip(counts["train"], counts["test"], strict=True)
        ]
    if size is None:
        return None
    train, test = counts["train"], counts["test"]
    return Counts(len(classes), sum(train), sum(test), min(train), size)


def listing_digest(folder: Path, subset: str | None = None) -> str:
    """Return 16 hex digits of the images below ``folder``, as ``archives.listing_digest``."""
    return archives.listing_digest(folder, Listing(folder, subset=subset).concerns)


def is_among(folder: Path, path: Path, subset: str | None = None) -> bool:
    """Return whether images in ``folder`` would belong to a split of the images at ``path``."""
    folder, path = folder.resolve(), path.resolve()
    if not folder.is_relative_to(path):
        return False
    inside = (folder / "class" / "x.png").relative_to(path).as_posix()
    return Listing(path, subset=subset).place(inside) is not None


def state(path: str | Path, entry: Mapping[str, Any]) -> str:
    """Return 16 hex digits that identify the files, as ``listing_digest`` does, and the options.

    ``entry`` is a complete entry ``datasets`` of the config.
    """
    path = Path(path)
    is_folder = path.is_dir()
    names = listing_digest(path, entry["subset"]) if is_folder else path.stat().st_size
    parts = [names, *(entry[key] for key in ("image_size", "channels", "test_fraction"))]
    parts += [entry["subset"], entry["crop"]] if entry["subset"] or entry["crop"] else []
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


# --- pixels ---------------------------------------------------------------------------------------


class Picture(NamedTuple):
    """An image, uint8 [C, H, W], and the names of the changes made to it."""

    pixels: "np.ndarray"
    changes: tuple[str, ...]


def decode(
    file: bytes | BinaryIO,
    where: str,
    channels: int,
    size: int | None = None,
    background: str = "white",
    crop: bool = False,
) -> Picture:
    """Return an image as a viewer shows it: turned by its orientation tag, with 8 bits.

    Greys of 16 bits are divided by 65535, of 12 bits by 4095; floats must be in [0, 1].

    Parameters
    ----------
    file : the content, or a file that can be searched.
    where : the name, for messages; its ending admits formats that the content does not reveal.
    channels : 1 for grey, 3 for RGB.
    size : height and width to resize to; None keeps the size.
    background : colour behind transparent pixels, as ``PIL.ImageColor`` reads it.
    crop : cut an image to a square around its middle before it is resized, instead of stretching
        it.

    Raises
    ------
    InputError
        If the file is not an image, has too many pixels, or has values without a known scale
        (integers of 32 bits, floats outside [0, 1]).
    """
    import numpy as np

    changes: list[str] = []
    with _opened(file, where) as image:
        if _has_more_frames(image):
            changes.append("first frame of several")
        tag = _orientation(image)
        image.load()
        if tag in range(2, 9):
            changes.append("turned by its orientation tag")
        picture = ImageOps.exif_transpose(image) if tag in range(2, 9) else image
        if picture.mode == "F" or picture.mode.startswith("I"):
            picture = _eight_bits(picture, image, where, changes)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            if picture.getextrema()[3][0] < 255:
                changes.append("transparency put on the background")
            canvas = Image.new("RGBA", picture.size, ImageColor.getrgb(background))
            picture = Image.alpha_composite(canvas, picture)
        target = "RGB" if channels == 3 else "L"
        if image.mode not in (target, "F") and not image.mode.startswith("I"):
            changes.append(f"{image.mode} to {target}")
        picture = picture.convert(target)
        if size and picture.size != (size, size):
            changes.append("cut to a square and resized" if crop else "resized")
            if crop:
                side = min(picture.size)
                left, top = ((length - side) // 2 for length in picture.size)
                picture = picture.crop((left, top, left + side, top + side))
            picture = picture.resize((size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture)
    return Picture(pixels[None] if channels == 1 else pixels.transpose(2, 0, 1), tuple(changes))


@contextlib.contextmanager
def _opened(file: bytes | BinaryIO, where: str) -> Iterator[Image.Image]:
    """Open an image; errors, in the block too, become an InputError with its name."""
    try:
        source = io.BytesIO(file) if isinstance(file, bytes) else file
        with Image.open(source, formats=_admitted(PurePosixPath(where).suffix.lower())) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(
                    f"{where}: {image.width} x {image.height} pixels; at most {MAX_PIXELS} are "
                    "allowed"
                )
            yield image
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{where}: not a readable image (its content is of no known format)"
        ) from error
    except Exception as error:  # Pillow raises many kinds on damaged files
        reason = str(error) or type(error).__name__
        raise InputError(f"{where}: not a readable image ({reason})") from error


@functools.cache
def _admitted(ending: str) -> tuple[str, ...]:
    """Return the Pillow formats that a file with this ending may have, the usual one first."""
    usual = endings().get(ending)
    # formats without a signature would accept any file: only by their ending
    marked = {form for form in endings().values() if Image.OPEN[form][1] or form == usual}
    return tuple(sorted(marked, key=lambda form: (form != usual, form)))


def _has_more_frames(image: Image.Image) -> bool:
    try:  # MPO holds two pictures of a camera, not an animation
        return image.format != "MPO" and getattr(image, "is_animated", False)
    except Exception:  # damaged after the first frame, which alone is read
        return False


def _orientation(image: Image.Image) -> int:
    """Return the orientation tag, 1 to 8; 1 if it is missing or unreadable."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # viewers show images with damaged tags
        return 1


def _eight_bits(
    picture: Image.Image, image: Image.Image, where: str, changes: list[str]
) -> Image.Image:
    """Scale greys of more than 8 bits by their type; ``image`` is the opened file."""
    import numpy as np

    values = np.asarray(picture).astype(np.float64)
    tags = getattr(image, "tag_v2", {})
    if picture.mode == "F":
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):
            raise InputError(
                f"{where}: floats from {low:.6g} to {high:.6g}, whose scale is not known; floats "
                "are read in [0, 1]; save the image with 8 or 16 bits"
            )
        top, kind = 1.0, "floats"
    elif picture.mode == "I" and image.format != "PPM":  # Pillow scales these to 16 bits
        raise InputError(
            f"{where}: integers of 32 bits or with a sign, whose scale is not known; save the "
            "image with 8 or 16 bits"
        )
    else:
        bits = tags.get(ExifTags.Base.BitsPerSample, (16,))[0]
        top, kind = float(2**bits - 1), f"{bits} bits"
    changes.append(f"scaled from {kind}")
    scaled = values.clip(0, top) * (255 / top)
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # white is zero
        scaled = 255 - scaled
    grey = Image.fromarray(scaled.round().astype(np.uint8))
    if isinstance(clear := image.info.get("transparency"), int):
        alpha = Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
        grey = Image.merge("LA", (grey, alpha))
    return grey


# --- before any job -------------------------------------------------------------------------------


def check(
    path: str | Path, entry: Mapping[str, Any], clock: Callable[[], float] = time.monotonic
) -> str | None:
    """Check names and headers of images before the job that reads them.

    Parameters
    ----------
    path : a folder or archive.
    entry : a complete entry ``datasets`` of the config.
    clock : returns seconds.

    Returns
    -------
    A message if the check of headers stopped after ``CHECK_SECONDS``, else None.

    Raises
    ------
    InputError
        If there are no images, images differ in size and ``image_size`` is not set, or a class has
        no images in a split; names the files.
    """
    listing, began = Listing(path, entry["test_fraction"], entry["subset"]), clock()
    problems: list[str] = []
    first: tuple[str, tuple[int, int]] | None = None
    looked_at, late = 0, False
    for name, file in archives.opened(path, listing.take):
        if late := clock() - began > CHECK_SECONDS:
            break
        looked_at += 1
        where = f"{path}:{as_text(name)}"
        try:
            shape = _shape(file, where, entry["channels"])
            if first is None or (shape != first[1] and not entry["image_size"]):
                file.seek(0)  # in some formats the tag follows the pixels
                shape = decode(file, where, entry["channels"]).pixels.shape[1:]
            first = first or (as_text(name), shape)
        except InputError as error:
            problems.append(str(error))
            continue
        if shape != first[1] and not entry["image_size"]:
            raise different_sizes(path, *first, as_text(name), shape)
    if problems:
        more = len(problems) - _MOST_NAMED
        rest = [f"and {more} more"] if more > 0 else []
        raise InputError("\n".join(problems[:_MOST_NAMED] + rest))
    if late and not Path(path).is_dir():
        return _looked_at(path, looked_at)
    if late:
        listing = Listing(path, entry["test_fraction"], entry["subset"])
        for _ in archives.files_below(Path(path), listing.take):
            pass
    listing.classes()
    return _looked_at(path, looked_at) if late else None


def _looked_at(path: str | Path, count: int) -> str:
    return (
        f"{path}: in {CHECK_SECONDS:.0f} s the headers of {count} images were looked at and are in "
        "order; the job looks at the others"
    )


def different_sizes(
    path: str | Path, first: str, a: tuple[int, int], second: str, b: tuple[int, int]
) -> InputError:
    """Return the error for two files with different (height, width)."""
    return InputError(
        f"{path}: images of different sizes: {first} is {a[0]}x{a[1]}, {second} is "
        f"{b[0]}x{b[1]} (height x width); set image_size to resize them"
    )


def _shape(file: BinaryIO, where: str, channels: int) -> tuple[int, int]:
    """Return height and width as shown, from the header; decodes greys of more than 8 bits."""
    with _opened(file, where) as image:
        in_header = image.format not in ("PNG", "TIFF") or "exif" in image.info
        # a PNG may have its tags after the pixels; Pillow turns the size of a TIFF itself
        turned = in_header and image.format != "TIFF" and _orientation(image) in range(5, 9)
        height, width = image.size if turned else image.size[::-1]
        deep = image.mode == "F" or image.mode.startswith("I")
        if deep:
            file.seek(0)
            decode(file.read(), where, channels)
    return height, width
