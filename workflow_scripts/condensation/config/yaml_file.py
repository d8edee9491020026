"""A config file, read so that nothing in it means something else than it seems to.

What YAML takes in silence is refused with file and line: a key given twice, of which it keeps the
last; 010, which is eight; 1:30, which is ninety. Free of torch.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from condensation.core.errors import InputError, nearest

# Of a config; paper.yaml has 480 entries, 5 deep.
MAX_BYTES, MAX_ENTRIES, MAX_DEPTH = 1 << 20, 100_000, 50

_OCTAL = re.compile(r"[-+]?0[0-7_]+")


class _Shallow(yaml.SafeLoader):
    """Stops where brackets are open by the thousand, over which YAML would take hours."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        if self.depth > MAX_DEPTH:
            line = self.peek_event().start_mark.line + 1
            raise yaml.YAMLError(f"nested more than {MAX_DEPTH} deep in line {line}")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read(path: str | Path) -> Any:
    """Return what a YAML or JSON file holds.

    Raises
    ------
    InputError
        With file and, where there is one, line.
    """
    text = _text(Path(path))
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        loaded = False
    else:
        # JSON is YAML but for tabs between its words, and a number like 010 is not valid there
        loaded, text = True, text.replace("\t", " ")
    try:
        root = yaml.compose(text, _Shallow)
        check_size(root, str(path))  # merge keys copy in YAML itself
        for line, reason in _misleading(root):
            raise InputError(f"{path}, line {line}: {reason}")
        return data if loaded else yaml.safe_load(text)
    except InputError:
        raise
    except yaml.MarkedYAMLError as error:
        raise InputError(_invalid(path, error)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(f"{path}, line {line}: not valid YAML: {error.reason}") from error
    # numbers and dates that there are not are ValueErrors
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from error


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES} bytes; is this a config?")
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except FileNotFoundError as error:
        there = [file.name for file in path.parent.glob("*.yaml")]
        hint = nearest(path.name, there)
        if not path.suffix:  # `--configfile x.yaml tables`
            hint = "; targets stand before --configfile, which takes all that follows it"
        raise InputError(f"{path}: cannot read the config: there is no such file{hint}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot read the config ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}: cannot read the config: it is not UTF-8 ({error.reason})"
        ) from error


def _invalid(path: str | Path, error: yaml.MarkedYAMLError) -> str:
    """Return the message of a YAML error in one line."""
    mark = error.problem_mark or error.context_mark
    where = f"{path}, line {mark.line + 1}" if mark else str(path)
    message = f"{where}: not valid YAML: "
    if error.context and error.context_mark:
        message += f"{error.context} that begins in line {error.context_mark.line + 1}, "
    if "\\t" in str(error.problem):
        return f"{message}a tab; YAML is indented with spaces only"
    return message + str(error.problem or error.context)


def check_size(data: Any, origin: str) -> None:
    """Raise InputError for a config that is far larger, by aliases too, than any that is meant.

    ``data`` is Python's own, or the nodes that YAML has before it.
    """
    known: dict[int, int] = {}

    def size(value: Any, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise InputError(f"{origin}: nested more than {MAX_DEPTH} deep, or in itself")
        if id(value) not in known:
            within = value.value if isinstance(value, yaml.CollectionNode) else value
            if isinstance(within, dict):
                within = [*within, *within.values()]
            elif not isinstance(within, (list, tuple)):
                return 1
            known[id(value)] = 1 + sum(size(part, depth + 1) for part in within)
        return known[id(value)]

    if size(data, 0) > MAX_ENTRIES:
        raise InputError(f"{origin}: more than {MAX_ENTRIES} entries, counting aliases out")


def _misleading(root: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Yield line and reason of what YAML reads as something else than it looks like."""
    pending, seen = [root] if root else [], set()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield from _repeated(node)
            pending += [part for pair in reversed(node.value) for part in reversed(pair)]
        elif isinstance(node, yaml.SequenceNode):
            pending += reversed(node.value)
        elif reason := _number(node):
            yield node.start_mark.line + 1, reason


def _repeated(node: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    first: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if (key.tag, key.value) in first:
                before = first[key.tag, key.value]
                yield line, f"{key.value!r} is given twice, first in line {before}; keep one"
            first.setdefault((key.tag, key.value), line)


def _number(node: yaml.ScalarNode) -> str | None:
    """Why a scalar is not the number that it looks like."""
    kind = node.tag.rpartition(":")[2]
    if node.style is not None or kind not in ("int", "float"):
        return None
    if kind == "int" and _OCTAL.fullmatch(node.value) and node.value.strip("+-0_"):
        value = yaml.safe_load(node.value)
        plain = re.sub(r"^([-+]?)[0_]+", r"\1", node.value)
        return f"{node.value} is {value} in YAML (octal); write {plain}, or '{node.value}' for text"
    if ":" in node.value:
        value = yaml.safe_load(node.value)
        return (
            f"{node.value} is {value} in YAML (base 60); write {value}, or '{node.value}' for text"
        )
    return None


def named(arguments: Sequence[str]) -> list[str]:
    """Return the config files that the arguments of a ``snakemake`` command name."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", action="extend", default=[])
    return parser.parse_known_args(list(arguments))[0].configfile


def refuse_bad(paths: Iterable[str | Path]) -> None:
    """End the program with one message if one of ``paths`` cannot be read as a config."""
    try:
        for path in paths:
            read(path)
    except InputError as error:
        sys.exit(f"error: {error}")
