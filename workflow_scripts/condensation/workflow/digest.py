"""Digests of source code, so that an edit reruns the cells it can change and no others.

The digest of a module covers the module and every module of this package that
it imports, however deep, as syntax trees without docstrings: comments, layout
and documentation never count, and it does not depend on the Python version.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

PACKAGE = "condensation"
ROOT = Path(__file__).parents[2]  # the folder that holds the package and the rule scripts
# what is said, never what is computed
_SILENT = {
    f"{PACKAGE}/{name}.py" for name in ("core/progress", "core/errors", "workflow/made_from")
}


def source_digest(*sources: str | Path) -> str:
    """Return 16 hex digits for ``sources`` and all they import from this package.

    A source is a dotted module name (``condensation.methods.dm``) or the path
    of a Python file outside the package (a rule script, a user's own method,
    with what it imports from files beside it).

    Raises FileNotFoundError for a source that does not exist, SyntaxError for
    one that is not Python.
    """
    lines = [f"{_name(path)} {_read(path, path.stat().st_mtime_ns)[0]}" for path in _reach(sources)]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def imported_modules(source: str | Path) -> set[str]:
    """Return the names of all files that the digest of ``source`` covers."""
    return {_name(path) for path in _reach([source])}


def _reach(sources: Iterable[str | Path]) -> set[Path]:
    pending, seen = {_locate(source) for source in sources}, set()
    while pending:
        path = pending.pop()
        seen.add(path)
        found = set(_read(path, path.stat().st_mtime_ns)[1])
        pending |= {one for one in found if _name(one) not in _SILENT} - seen
    return seen


def _locate(source: str | Path) -> Path:
    text = str(source)
    if text.endswith(".py"):
        return Path(text).resolve()
    found = _module_path(text)
    if found is None:
        raise FileNotFoundError(f"no module {text} under {ROOT}")
    return found


def _module_path(dotted: str) -> Path | None:
    base = ROOT.joinpath(*dotted.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _name(path: Path) -> str:
    """A name that is the same in every clone: relative inside, the bare file name outside."""
    return _name_under(path, ROOT)


@functools.cache  # pathlib takes its time, and a large grid asks for each file a thousand times
def _name_under(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name


@functools.cache
def _read(path: Path, _mtime: int) -> tuple[str, frozenset[Path]]:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return hashlib.sha256(_dump(tree).encode()).hexdigest(), frozenset(_imports(tree, path))


def _imports(tree: ast.AST, path: Path) -> Iterable[Path]:
    inside = path.is_relative_to(ROOT / PACKAGE)
    package = list(path.relative_to(ROOT).parent.parts) if inside else []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                kept = package[: len(package) - node.level + 1]
                base = ".".join([*kept, base]).strip(".")
            # `from package import name`: the name may be a module of its own
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            beside = path.with_name(name.partition(".")[0] + ".py")
            if not path.is_relative_to(ROOT) and beside.is_file():
                yield beside  # what a user's own file takes from its neighbours
            if name == PACKAGE or name.startswith(PACKAGE + "."):
                found = _module_path(name)
                if found is not None:
                    yield found


def _dump(node: object) -> str:
    """A syntax tree as text: no positions, no docstrings, no empty fields.

    Empty fields are left out because newer Pythons add fields to old nodes.
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
    """A bare string is documentation wherever it stands: it does nothing."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
