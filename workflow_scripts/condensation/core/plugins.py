"""Functions of users, named ``file.py:function``: check them without running, and load them."""

import ast
import contextlib
import functools
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from condensation.core.errors import InputError, unknown

# types of an annotation that are checked, and the values of YAML that fit
_CHECKED: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "bool": bool,
    "str": str,
    "None": type(None),
}
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")

_SCRIPTS = tuple(Path(__file__).parents[2].glob("*.py"))  # the rule scripts
# by folder: what users' files imported from it, with the time of each file's last edit
_beside: dict[Path, dict[str, tuple[ModuleType, int]]] = {}
# folders of the users' files that run now, the innermost last, with what was imported before
_running: list[tuple[Path, set[str]]] = []


def with_numbers(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with numbers instead of texts like 1e-3, which YAML reads as text."""
    return {
        key: float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
        for key, value in options.items()
    }


def check(
    function: str, options: dict[str, Any], positional: Sequence[str], page: str
) -> dict[str, str]:
    """Check a function and its options, and return the texts that are defaults of other options.

    The file is parsed, not run.

    Parameters
    ----------
    positional : names of the arguments before the ``*``.
    page : page of the documentation that describes such a function.

    Raises
    ------
    InputError
        If the file or the function is missing, if the function takes other positional arguments,
        if an option is unknown or missing, or if its type contradicts the annotation.
    """
    signature = _signature(function, positional, page)
    arguments = dict(
        zip((node.arg for node in signature.kwonlyargs), signature.kw_defaults, strict=True)
    )
    for key in options:
        if key not in arguments and signature.kwarg is None:
            raise InputError(unknown(f"option of {function}", key, arguments))
    missing = [key for key, default in arguments.items() if default is None and key not in options]
    if missing:
        raise InputError(f"{function} needs {', '.join(missing)}: it has no default there")
    for node in signature.kwonlyargs:
        if node.arg in options:
            types = _types(node.annotation, arguments[node.arg])
            if types and not any(_fits(options[node.arg], kind) for kind in types):
                raise InputError(_mismatch(function, node.arg, options[node.arg], types))
    return {
        key: default.value
        for key, default in arguments.items()
        if key not in options
        and isinstance(default, ast.Constant)
        and isinstance(default.value, str)
    }


def _types(annotation: ast.expr | None, default: ast.expr | None) -> list[str]:
    """Return the types that an annotation like ``int | None`` names; none if it is another one."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return []
    names = {"None"} if isinstance(default, ast.Constant) and default.value is None else set()
    pending = [annotation]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            pending += [node.left, node.right]
        elif isinstance(node, ast.Name) and node.id in _CHECKED:
            names.add(node.id)
        elif isinstance(node, ast.Constant) and node.value is None:
            names.add("None")
        else:
            return []
    return [name for name in _CHECKED if name in names]


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool):  # in Python a bool is an int
        return kind == "bool"
    return isinstance(value, _CHECKED[kind])


def _mismatch(function: str, option: str, value: Any, types: list[str]) -> str:
    message = (
        f"{function}: the option {option!r} is annotated as {' or '.join(types)}, got {value!r} "
        f"({type(value).__name__})"
    )
    if "int" in types and isinstance(value, float) and value.is_integer():
        return f"{message}; write {int(value)}"
    if "str" in types and isinstance(value, (bool, int, float)):
        return f"{message}; write it in quotes"
    return message


def _signature(function: str, positional: Sequence[str], page: str) -> ast.arguments:
    """Return the arguments of a function that takes ``positional`` before its options."""
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
    return signature


def load(function: str) -> Callable[..., Any]:
    """Return the function. Its file may import modules and packages beside it.

    They come before others of the same name, of other users' files too. An edited one is loaded
    again.

    Raises
    ------
    InputError
        If the name does not end in .py, the import fails or the file lacks the function; when the
        function is called, if it imports a module that is missing.
    """
    file, _, name = function.rpartition(":")
    path = Path(file).resolve()
    specification = importlib.util.spec_from_file_location(f"users_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise InputError(f"{file}: not a Python file; its name must end in .py")
    loaded = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = loaded  # dataclasses look up their module there
    try:
        with _first(path.parent):
            specification.loader.exec_module(loaded)
    except ModuleNotFoundError as error:
        raise InputError(_missing_module(error)) from error
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"{file}: the file fails on import: {error!r} ({line.filename}, line {line.lineno})"
        ) from error
    if not callable(getattr(loaded, name, None)):
        raise InputError(f"{file}: has no function {name!r}")
    user_function = getattr(loaded, name)

    @functools.wraps(user_function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            with _first(path.parent):
                return user_function(*arguments, **options)
        except ModuleNotFoundError as error:
            raise InputError(_missing_module(error)) from error

    return call


@contextlib.contextmanager
def _first(folder: Path) -> Iterator[None]:
    """Import from a user's folder first, and keep what is imported from it apart from the rest."""
    if _running:
        _keep(*_running[-1])
    _enter(folder)
    _running.append((folder, set(sys.modules)))
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if str(folder) not in sys.path:  # for an import in the `forward` of a network
            sys.path.append(str(folder))
        _keep(*_running.pop())
        if _running:
            _enter(_running[-1][0])


def _keep(folder: Path, before: set[str]) -> None:
    """Keep the modules that were imported from a user's folder since ``before``."""
    for name in sys.modules.keys() - before:
        if _lies_in(folder, name):
            module = sys.modules[name]
            _beside[folder][name] = module, _edited(module)


def _enter(folder: Path) -> None:
    """Give ``sys.modules`` what was imported from a user's folder, and hide others' modules.

    If one has been edited, all of them will be loaded again.
    """
    kept = _beside.setdefault(folder, {})
    for name in {name for modules in _beside.values() for name in modules}:
        sys.modules.pop(name, None)
    if any(_edited(module) != edited for module, edited in kept.values()):
        kept.clear()
    sys.modules.update({name: module for name, (module, _) in kept.items()})
    for script in _SCRIPTS:
        loaded = getattr(sys.modules.get(script.stem), "__file__", None)
        if loaded == str(script) and (folder / script.name).is_file():
            del sys.modules[script.stem]


def _lies_in(folder: Path, name: str) -> bool:
    """Return whether an imported module, or the package that holds it, lies in a user's folder."""
    top = name.partition(".")[0]
    if top == __name__.partition(".")[0] or top not in sys.modules:
        return False
    module = sys.modules[top]
    places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", [])]
    known = {folder / f"{top}.py", folder / top / "__init__.py", folder / top}
    return any(Path(place) in known for place in places)


def _edited(module: ModuleType) -> int:
    """Return the time of the last edit of a module's file; 0 if it has none."""
    path = Path(getattr(module, "__file__", None) or "")
    return path.stat().st_mtime_ns if path.is_file() else 0


def _missing_module(error: ModuleNotFoundError) -> str:
    """Return the message for a module that a user's file imports and that is not installed."""
    line = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{line.filename}, line {line.lineno}: the module {error.name!r} is missing. Install it in "
        f"the environment in which snakemake runs, {sys.prefix}; a file of your own must lie "
        "beside the file that imports it"
    )
