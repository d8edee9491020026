"""Which packages may import which: the table below, held against every import in the code."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPTS = ROOT / "workflow_scripts"
PACKAGE = SCRIPTS / "condensation"

# A package may import itself, those in its row, and what these may import.
# Free of torch, read while Snakemake parses the workflow:
TORCH_FREE = {
    "files": ["core"],
    "config": ["core", "files"],
    "workflow": ["config"],
    "planning": ["workflow"],
}
# With torch, run in jobs:
COMPUTED = {
    "data": ["core", "files"],
    "networks": ["data"],
    "augmentation": ["data"],
    "training": ["networks", "augmentation"],
    "methods": ["networks", "augmentation"],
    "nas": ["training", "methods"],
}
# Tables and figures, made from results:
REPORTED = {
    "results": ["workflow"],
    "nas.tables": ["results", "nas"],
    "paper": ["results"],
    "figures": ["paper", "data"],
    "leaderboard": ["results", "data"],
}
ALLOWED = {"core": [], **TORCH_FREE, **COMPUTED, **REPORTED}
# Only these stand above the packages, and may import all of them.
TOP = {"__init__", "__main__", "api", "cli", "commands"}
HEAVY = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "scipy", "sklearn")


def modules() -> dict[str, Path]:
    """Return the path of every module by its name within the package."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imported(tree: ast.AST, package: list[str]):
    """Yield dotted names of all imports, wherever they stand, but for type checking."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            for statement in node.orelse:
                yield from imported(statement, package)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level + 1], base]).strip(".")
            yield from (f"{base}.{alias.name}" for alias in node.names)
        else:
            yield from imported(node, package)


@cache
def graph() -> dict[str, set[str]]:
    """Return, per module of the package, the modules of the package that it imports."""
    paths = modules()

    def module_of(dotted: str) -> str | None:
        parts = dotted.split(".")[1:]
        for end in (len(parts), len(parts) - 1):
            for name in (".".join(parts[:end]), ".".join([*parts[:end], "__init__"])):
                if name in paths:
                    return name
        return None

    edges = {}
    for name, path in paths.items():
        package = ["condensation", *name.split(".")[:-1]]
        names = imported(ast.parse(path.read_text(encoding="utf-8")), package)
        internal = filter(lambda dotted: dotted.split(".")[0] == "condensation", names)
        edges[name] = {module for dotted in internal if (module := module_of(dotted))} - {name}
    return edges


def group(module: str) -> str:
    return module if module in ALLOWED else module.partition(".")[0]


def reachable(package: str) -> set[str]:
    """Return the packages that a package may import."""
    direct = ALLOWED[package]
    return {package, "core", *direct}.union(*(reachable(name) for name in direct))


def violations(edges: dict[str, set[str]]) -> list[str]:
    return sorted(
        f"{module} imports {other}"
        for module, others in edges.items()
        if module.partition(".")[0] not in TOP
        for other in others
        if other in TOP - {"__init__"}
        or group(other) not in {*reachable(group(module)), "__init__"}
    )


def longest_chain(edges: dict[str, set[str]]) -> list[str]:
    """Return the longest chain of imports; raises AssertionError for a circle."""
    chains: dict[str, list[str]] = {}

    def chain(module: str, above: tuple[str, ...] = ()) -> list[str]:
        assert module not in above, f"circle: {' -> '.join([*above, module])}"
        if module not in chains:
            below = (chain(other, (*above, module)) for other in sorted(edges[module]))
            chains[module] = [module, *max(below, key=len, default=[])]
        return chains[module]

    return max((chain(module) for module in edges), key=len)


def test_packages_import_only_what_the_table_allows():
    assert not violations(graph())


def test_the_page_on_the_architecture_shows_the_same_table():
    page = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| `([\w.]+)` \| .* \|([^|]*)\|$", page, flags=re.M)
    shown = {package: re.findall(r"`(\w+)`", imports) for package, imports in rows}
    direct = {
        package: [name for name in names if name != "core"] for package, names in ALLOWED.items()
    }
    assert {package: shown.get(package) for package in direct} == direct


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("core.storage", "files.archives"),
        ("config.nas", "nas.benchmark"),
        ("workflow.jobs", "networks.__init__"),
        ("methods.dm", "results.frames"),
        ("results.frames", "paper.cells"),
        ("nas.ranking", "nas.tables"),
        ("core.storage", "cli"),
    ],
)
def test_an_import_in_the_wrong_direction_is_seen(module, other):
    assert violations({module: {other}}) == [f"{module} imports {other}"]


def test_imports_are_seen_wherever_they_stand():
    text = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from condensation.paper import cells
def function():
    if True:
        from ..nas import ranking
        import condensation.core.errors
"""
    names = set(imported(ast.parse(text), ["condensation", "config"]))
    expected = {"condensation.nas.ranking", "condensation.core.errors"}
    assert names == {"typing.TYPE_CHECKING", *expected}


def test_no_module_lies_outside_the_packages():
    assert {name for name in modules() if "." not in name} <= TOP
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == (set(ALLOWED) | {"commands"}) - {"nas.tables"}


def test_no_module_imports_itself_through_others(record_property):
    chain = longest_chain(graph())
    record_property("longest_import_chain", " -> ".join(chain))
    print(f"longest import chain ({len(chain)} modules): {' -> '.join(chain)}")


@pytest.mark.parametrize("package", TORCH_FREE)
def test_a_torch_free_package_loads_nothing_heavy(package):
    """Snakemake reads these again in every job."""
    names = [
        f"condensation.{name.removesuffix('.__init__')}"
        for name in modules()
        if group(name) == package
    ]
    program = (
        "import importlib, sys\n"
        f"sys.path.insert(0, {str(SCRIPTS)!r})\n"
        f"[importlib.import_module(name) for name in {names!r}]\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr
