"""Functions of users, named ``file.py:function``: check them without running, and load them."""

import ast
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from condensation.core.errors import InputError, unknown

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def with_numbers(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with numbers instead of texts like 1e-3, which YAML reads as text."""
    return {
        key: float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
        for key, value in options.items()
    }


def check(function: str, options: dict[str, Any], positional: Sequence[str], page: str) -> None:
    """Check a function and its options. The file is parsed, not run.

    Parameters
    ----------
    positional : names of the arguments before the ``*``.
    page : page of the documentation that describes such a function.

    Raises
    ------
    InputError
        If the file or the function is missing, if the function takes other positional arguments,
        or if an option is unknown or missing.
    """
    arguments, takes_any = _arguments(function, positional, page)
    for key in options:
        if key not in arguments and not takes_any:
            raise InputError(unknown(f"option of {function}", key, arguments))
    missing = [key for key, needed in arguments.items() if needed and key not in options]
    if missing:
        raise InputError(f"{function} needs {', '.join(missing)}: it has no default there")


def _arguments(function: str, positional: Sequence[str], page: str) -> tuple[dict[str, bool], bool]:
    """Return which options a function has, which it requires, and whether it takes any other."""
    file, _, name = function.rpartition(":")
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"), filename=file)
    except OSError as error:
        raise InputError(f"{file}: cannot read the file ({error.strerror})") from error
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{file}: not valid Python ({error})") from error
    functions = {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}
    if name not in functions:
        raise InputError(f"{file}: {unknown('function', name, functions)}")
    signature = functions[name]
    taken = len(signature.posonlyargs) + len(signature.args)
    if taken != len(positional):
        count = "one positional argument" if len(positional) == 1 else "positional arguments"
        raise InputError(
            f"{function} must take {count}, {' and '.join(positional)}, and its options after a "
            f"`*`; it takes {taken} ({page})"
        )
    options = {
        argument.arg: default is None
        for argument, default in zip(signature.kwonlyargs, signature.kw_defaults, strict=True)
    }
    return options, signature.kwarg is not None


def load(function: str) -> Callable[..., Any]:
    """Return the function. Its file may import other files beside it.

    Raises
    ------
    InputError
        If the name does not end in .py, the import fails or the file lacks the function.
    """
    file, _, name = function.rpartition(":")
    path = Path(file).resolve()
    specification = importlib.util.spec_from_file_location(f"users_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise InputError(f"{file}: not a Python file; its name must end in .py")
    loaded = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = loaded  # dataclasses look up their module there
    sys.path.append(str(path.parent))
    try:
        specification.loader.exec_module(loaded)
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"{file}: the file fails on import: {error!r} ({line.filename}, line {line.lineno})"
        ) from error
    if not callable(getattr(loaded, name, None)):
        raise InputError(f"{file}: has no function {name!r}")
    return getattr(loaded, name)
