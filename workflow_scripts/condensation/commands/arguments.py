"""Options that several subcommands share."""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

import yaml

from condensation.core.errors import InputError
from condensation.core.plugins import with_numbers

_DATASET = ("path", "image_size", "test_fraction", "channels", "like", "subset", "crop")
_COMPUTE = ("device", "threads")


def path(text: str) -> Path:
    """Return a path; a shell leaves the ``~`` of ``--into=~/sets`` as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: there is no such user here") from error


def add_dataset_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe the real images."""
    group = parser.add_argument_group("real images")
    group.add_argument("--path", help="folder with the archives of an official dataset")
    group.add_argument("--image-size", type=int, help="resize the images of a folder, in pixels")
    group.add_argument(
        "--test-fraction", type=float, help="share to hold out for tests, if there is only train/"
    )
    group.add_argument("--channels", type=int, help="1 for grey, 3 for RGB images of a folder")
    group.add_argument(
        "--crop",
        action=argparse.BooleanOptionalAction,
        help="cut images to a square before they are resized, instead of stretching them",
    )
    group.add_argument("--subset", help="ten classes of ImageNet by name, such as imagenette")
    group.add_argument("--like", help="the official dataset that the images of a folder are like")


def dataset_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of ``load_dataset`` that were set."""
    return _set(options, _DATASET)


def add_compute_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the machine."""
    group = parser.add_argument_group("machine")
    group.add_argument("--device", help="auto (usual), cpu, cuda or cuda:NUMBER")
    group.add_argument("--threads", type=int, help="CPU threads, by default 1")


def compute_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the section ``compute`` of a config."""
    return _set(options, _COMPUTE)


def _set(options: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of networks that are trained on a set, and their epochs."""
    group = parser.add_argument_group("training on the set")
    group.add_argument("--networks", "--seeds", type=_positive, default=5, help="how many (5)")
    group.add_argument("--epochs", type=_positive, default=1000, help="training epochs (1000)")


def _positive(text: str) -> int:
    """Return a number from 1; other texts are refused before a set is made."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)


def key_values(texts: list[str], where: str) -> dict[str, Any]:
    """Return ``key=value`` texts as a mapping; a value is read as YAML, as in a config.

    Raises
    ------
    InputError
        For a text without ``=``, a key that occurs twice, and a value that is not YAML.
    """
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not (key and equals):
            raise InputError(f"{where} {text!r}: expected key=value, such as iterations=20")
        if key in values:
            raise InputError(f"{where} {text!r}: {key} occurs twice")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"{where} {text!r}: the value is not YAML ({error})") from error
    return with_numbers(values)


def show_progress() -> None:
    """Show estimates of time on stderr, and progress as lines where no bar can be drawn."""
    logging.getLogger("condensation.api").setLevel(logging.INFO)
    if not sys.stderr.isatty():
        logging.getLogger("condensation").setLevel(logging.INFO)
