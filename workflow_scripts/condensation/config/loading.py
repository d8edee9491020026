"""Loading a config: ``load`` reads a file, ``parse`` takes the content of one."""

import os
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from condensation.config import yaml_file
from condensation.config.base import item
from condensation.config.entries import ARCHITECTURES, AUGMENTATIONS, OPTIMIZERS
from condensation.config.methods import METHODS
from condensation.config.schema import BUILT_IN, Config
from condensation.core.errors import InputError, nearest

_MOST_LINES, _LONGEST_LINE = 50, 1000  # of an error message
_VARIABLE = re.compile(r"(?:^|/)\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})(?=/|$)")  # part of a path


def parse(data: Any, origin: str = "config", variables: bool = True) -> Config:
    """Return the validated config.

    Parameters
    ----------
    origin : the file, for messages.
    variables : whether to expand environment variables, as in a file. Arguments of a function are
        meant as they are.

    Raises
    ------
    InputError
        With one line per mistake: ``origin`` (a file name), the key, the bad value, and
        what is allowed.
    """
    if not isinstance(data, dict) or not data:
        raise InputError(f"{origin}: expected a mapping with datasets, methods and experiments")
    yaml_file.check_size(data, origin)
    data = _expanded(data, origin, variables)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        problems = error.errors()
        lines = [f"{origin}: {_line(problem, data)}" for problem in problems[:_MOST_LINES]]
        if more := len(problems) - len(lines):
            lines.append(f"{origin}: and {more} more")
        raise InputError("\n".join(lines)) from error


def _expanded(value: Any, origin: str, variables: bool) -> Any:
    """Expand ``~``, and environment variables if asked to, in all texts, as a shell does."""
    if isinstance(value, dict):
        return {key: _expanded(inner, origin, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expanded(inner, origin, variables) for inner in value]
    if not isinstance(value, str):
        return value
    if value.startswith("~"):
        try:
            value = str(Path(value).expanduser())
        except RuntimeError as error:
            raise InputError(f"{origin}: {value!r}: there is no such user here") from error
    if not variables:
        return value
    expanded = os.path.expandvars(value)
    if unset := _VARIABLE.search(expanded):
        name = unset[1] or unset[2]
        raise InputError(f"{origin}: {value!r}: the environment variable {name} is not set")
    return expanded


def _place(keys: list[str | int], data: Any) -> str:
    """Return where in ``data`` an error is: the keys, and the items of lists in words.

    The models read a single value as a list, in which the user gave it no position. A union adds
    the kind that it tried; below a single value that is no key.
    """
    place = ""
    for key in keys:
        if isinstance(data, list) and isinstance(key, int):
            place += item(key, data)
            data = data[key]
        elif isinstance(data, dict) and (key in data or isinstance(key, str)):
            place += f".{key}" if place else str(key)
            data = data.get(key)
    return place


def _line(problem: ErrorDetails, data: Any) -> str:
    # pydantic adds the tag of a union member to the location; it is no key of the file
    tags = {"other", *METHODS, *ARCHITECTURES, *AUGMENTATIONS, *OPTIMIZERS}
    keys = [key for key in problem["loc"] if key != "[key]"]
    if len(keys) > 2 and keys[0] in BUILT_IN | {"methods": {}} and keys[2] in tags:
        del keys[2]
    where = _place(keys, data)
    text = problem["msg"]
    if problem["type"] == "missing":
        text = "required, but not given"
    elif problem["type"] == "literal_error":
        allowed = re.findall(r"'([^']+)'", str(problem["ctx"]["expected"]))
        text = f"{text}, got {problem['input']!r}{nearest(str(problem['input']), allowed)}"
    elif problem["type"] != "input":
        text = f"{text}, got {problem['input']!r}"
    line = f"{where}: {text}" if where else text
    return line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + " …"


def load(path: str | Path) -> Config:
    """Return the config in a YAML file; raises InputError as ``read`` and ``parse`` do."""
    return parse(yaml_file.read(path), str(path))
