"""How many images a user's folder or archive holds, by its names alone. Free of torch.

For the plan and for requests, before the dataset is prepared; what is no image after all is found
when it is (``condensation.readers``).
"""

import io
from collections import Counter
from pathlib import Path, PurePosixPath

from PIL import Image

from condensation import archives
from condensation.errors import InputError

_ENDINGS = {
    *(".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff"),
    *(".webp", ".avif", ".heic", ".jp2", ".tga"),
}
_TURNED = {5, 6, 7, 8}  # orientations in which height and width change places
_ORIENTATION = 0x0112


def count(path: str | Path) -> tuple[int, int, int, tuple[int, int]] | None:
    """Return the classes, training and test images below ``path``, and the first one's size.

    The size is height and width in pixels. None where there is nothing to count, or the archive
    cannot be read: the job that prepares it says why.
    """
    images: Counter[str] = Counter()
    classes = set()

    def wanted(name: str) -> bool:
        parts = _parts(name)
        if parts is None:
            return False
        split, folder = parts
        classes.add(folder)
        images[split] += 1
        return images.total() == 1  # the first alone is read

    try:
        contents = [content for _, content in archives.members(path, wanted)]
        with Image.open(io.BytesIO(contents[0])) as first:
            height, width = first.height, first.width
            if first.getexif().get(_ORIENTATION) in _TURNED:
                height, width = width, height
    except (InputError, IndexError, OSError, ValueError, Image.DecompressionBombError):
        return None
    return len(classes), images["train"], images["test"], (height, width)


def _parts(name: str) -> tuple[str, str] | None:
    """Return the split and class of a file that is an image by its name, else None."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in _ENDINGS:
        return None
    for place, part in enumerate(path.parts[:-2]):
        if part in ("train", "test"):
            below = path.parts[place + 1 :]
            hidden = any(each.startswith((".", "@eaDir", "__MACOSX")) for each in path.parts)
            return None if hidden else (part, below[0])
    return None
