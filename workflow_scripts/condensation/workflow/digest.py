"""Digests of source code, so that an edit reruns only the jobs whose results it can change.

The digest of a module covers the module and every module of this package that
it imports, directly or not, as syntax trees without docstrings: comments,
layout and documentation do not count, nor does the version of Python.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PACKAGE = "condensation"
ROOT = Path(__file__).parents[2]  # the folder that holds the package and the rule scripts

# Modules that no digest covers, because no result depends on them, with the reason.
WITHOUT_EFFECT = {
    "__init__": "names the version and loads the API on demand",
    "core/allocator": "chooses when freed memory goes back to the system",
    "core/checksums": "compares files with the checksums beside them",
    "core/devices": "chooses among the GPUs of a machine; the kind of device is a param",
    "core/errors": "words messages",
    "core/progress": "shows how far a job is",
    "workflow/digest": "computes these digests",
    "workflow/made_from": "keeps one config from overwriting the results of another",
}
_WITHOUT_EFFECT = {f"{PACKAGE}/{name}.py" for name in WITHOUT_EFFECT}


def code_of(*sources: str) -> dict[str, Any]:
    """Return ``sources`` and their ``source_digest`` as ``source``: the params of a job.

    A job compares what it loaded with its ``sources`` (``uncovered``).
    """
    return {"source": source_digest(*sources), "sources": list(sources)}


def source_digest(*sources: str | Path) -> str:
    """Return 16 hex digits for ``sources`` and all they import from this package.

    A source is a dotted module name (``condensation.methods.dm``, or ``condense``
    for a rule script) or the path of a Python file elsewhere (a user's method,
    with what it imports from modules and packages beside it).

    Raises
    ------
    FileNotFoundError
        For a source that does not exist.
    SyntaxError
        For one that is not Python.
    """
    lines = [f"{_name_under(*file)} {_read(*file, _mtime(file))[0]}" for file in _reach(sources)]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def imported_modules(*sources: str | Path) -> set[str]:
    """Return the names of all files that the digest of ``sources`` covers."""
    return {_name_under(*file) for file in _reach(sources)}


def uncovered(sources: Iterable[str | Path], loaded: Iterable[str]) -> list[str]:
    """Return the files of this package in ``loaded`` that the digest of ``sources`` misses.

    Modules without effect do not count, nor does what ``job.py`` loads to run any
    job: a script that computes with such a module imports it itself.

    Parameters
    ----------
    loaded : paths of the Python files of the modules that a job has loaded.
    """
    covered = imported_modules(*sources) | _WITHOUT_EFFECT
    covered |= {_name_under(*file) for file in _reach(["job"], skip=frozenset())}
    names = {_name_under(Path(path), ROOT) for path in loaded}
    return sorted(name for name in names - covered if name.startswith(f"{PACKAGE}/"))


# A file, and the folder where it finds what it imports: ROOT, or that of a user's file. The name of
# the file under the folder is the same in every clone.
_File = tuple[Path, Path]


def _reach(sources: Iterable[str | Path], skip: Iterable[str] = _WITHOUT_EFFECT) -> set[_File]:
    pending, reached = {_locate(source) for source in sources}, set()
    while pending:
        file = pending.pop()
        reached.add(file)
        imported = _read(*file, _mtime(file))[1]
        pending |= {other for other in imported if _name_under(*other) not in skip} - reached
    return reached


def _locate(source: str | Path) -> _File:
    text = str(source)
    if text.endswith(".py"):
        path = Path(text).resolve()
        return path, ROOT if path.is_relative_to(ROOT) else path.parent
    found = _module_path(text, ROOT)
    if found is None:
        raise FileNotFoundError(f"no module {text} under {ROOT}")
    return found, ROOT


def _module_path(dotted: str, root: Path) -> Path | None:
    base = root.joinpath(*dotted.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


@functools.cache  # pathlib is slow, and a large grid needs each name a thousand times
def _name_under(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name


def _mtime(file: _File) -> int:
    return file[0].stat().st_mtime_ns


@functools.cache
def _read(path: Path, root: Path, _mtime: int) -> tuple[str, frozenset[_File]]:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return hashlib.sha256(_dump(tree).encode()).hexdigest(), frozenset(_imports(tree, path, root))


def _imports(tree: ast.AST, path: Path, root: Path) -> Iterable[_File]:
    package = path.relative_to(root).parent.parts
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                kept = package[: len(package) - node.level + 1]
                base = ".".join([*kept, base]).strip(".")
            # `from package import name`: the name may be a module
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            home = ROOT if parts[0] == PACKAGE else root
            # of what lies beside a rule script, only this package counts
            if not parts[0] or (home == ROOT and parts[0] != PACKAGE):
                continue
            # Python runs the `__init__` of every package on the way, too
            packages = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
            found = (_module_path(package, home) for package in packages)
            yield from ((module, home) for module in found if module)


def _dump(node: object) -> str:
    """Return a syntax tree as text, without positions, docstrings and empty fields.

    Newer versions of Python add fields to old nodes, and leave them empty.
    """
    if isinstance(node, ast.AST):
        parts = []
        for field, value in ast.iter_fields(node):
            if field == "body" and isinstance(value, list):
                value = [statement for statement in value if not _is_text(statement)]
            if field in ("type_comment", "kind") or value is None or value == []:
                continue
            parts.append(f"{field}={_dump(value)}")
        return f"{type(node).__name__}({','.join(parts)})"
    if isinstance(node, list):
        return "[" + ",".join(map(_dump, node)) + "]"
    return repr(node)


def _is_text(statement: ast.stmt) -> bool:
    """Return whether a statement is a bare string: documentation, wherever it stands."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
