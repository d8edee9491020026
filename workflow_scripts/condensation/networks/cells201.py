"""The search space of NAS-Bench-201: cells of four nodes and five operations (arXiv:2001.00326).

Node 0 is the input of the cell and node 3 its output. Each of the six edges carries an operation,
and a node is the sum of its incoming edges. This module does not import torch.
"""

import re
from itertools import product

from condensation.core.errors import InputError, nearest

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))  # (node, source)
OUTPUT = 3
Cell = tuple[str, ...]  # an operation for each of EDGES
_FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"


def text(cell: Cell) -> str:
    """Return a cell as the benchmark writes it: ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
    nodes: dict[int, str] = {}
    for (node, source), operation in zip(EDGES, cell, strict=True):
        nodes[node] = nodes.get(node, "|") + f"{operation}~{source}|"
    return "+".join(nodes.values())


def parse(written: str) -> Cell:
    """Return the cell of an architecture string.

    Raises
    ------
    InputError
        If the string is malformed; names the first wrong character.

    Examples
    --------
    >>> cell = parse("|skip_connect~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|avg_pool_3x3~2|")
    >>> cell
    ('skip_connect', 'none', 'none', 'nor_conv_3x3', 'none', 'avg_pool_3x3')
    >>> useful(cell)  # nothing reaches node 2, and nothing leads on from node 1
    (False, False, False, True, False, True)
    """
    cell, at = [], 0
    for number, (_node, source) in enumerate(EDGES):
        start = "+|" if source == 0 and number else "|" if number == 0 else ""
        at = _expect(written, at, start)
        operation = re.compile(r"[A-Za-z0-9_]*").match(written, at)[0]
        if operation not in OPERATIONS:
            known = f"one of {', '.join(OPERATIONS)}{nearest(operation, OPERATIONS)}"
            raise _fault(written, at, known)
        at = _expect(written, at + len(operation), f"~{source}|")
        cell.append(operation)
    if at != len(written):
        raise _fault(written, at, "the end")
    return tuple(cell)


def _expect(written: str, at: int, token: str) -> int:
    for character in token:
        if written[at : at + 1] != character:
            raise _fault(written, at, repr(character))
        at += 1
    return at


def _fault(written: str, at: int, expected: str) -> InputError:
    got = repr(written[at : at + 12]) if at < len(written) else "the end"
    return InputError(
        f"architecture {written!r}: at character {at + 1} found {got}, expected {expected}; "
        f"the form is {_FORM}"
    )


def every_cell() -> list[Cell]:
    """Return all 15,625 cells, in another order than the index of the benchmark."""
    return list(product(OPERATIONS, repeat=len(EDGES)))


def connected(cell: Cell) -> bool:
    """Return whether the output depends on the input."""
    reached = {0}
    for (node, source), operation in zip(EDGES, cell, strict=True):
        if operation != "none" and source in reached:
            reached.add(node)
    return OUTPUT in reached


def useful(cell: Cell) -> tuple[bool, ...]:
    """Return for each edge whether its operation is not ``none`` and it leads to the output."""
    leads = {OUTPUT}
    used = []
    for (node, source), operation in zip(reversed(EDGES), reversed(cell), strict=True):
        used.append(operation != "none" and node in leads)
        if used[-1]:
            leads.add(source)
    return tuple(reversed(used))
