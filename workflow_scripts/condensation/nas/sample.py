"""The ranked architectures: a seeded draw from a table or from the whole space."""

from typing import Any

from condensation.core import randomness
from condensation.core.errors import InputError
from condensation.nas import benchmark
from condensation.networks import cells201


def sample(
    count: int, seed: int, connected: bool, table: str | None = None, column: str | None = None
) -> dict[str, Any]:
    """Return ``count`` distinct architecture strings and, from ``table``, their true accuracies.

    ``seed`` orders all architectures, so a larger sample, or one from another
    table, begins with the same architectures.

    Raises
    ------
    InputError
        If there are fewer than ``count``, or for a bad table (``benchmark.read``).
    """
    if table is None:
        space = dict.fromkeys(map(cells201.text, cells201.every_cell()))
    else:
        assert column is not None
        space = benchmark.read(table, column)
    if connected:
        cells = map(cells201.parse, space)
        space = {
            name: space[name]
            for name, cell in zip(list(space), cells, strict=True)
            if cells201.connected(cell)
        }
    if count > len(space):
        what = "connected architectures" if connected else "architectures"
        raise InputError(
            f"nas.architectures: {count}, but {table or 'NAS-Bench-201'} has {len(space)} {what}"
        )
    drawn = sorted(space, key=lambda name: randomness.derive_seed(seed, "architecture", name))
    drawn = drawn[:count]
    return {
        "architectures": drawn,
        "truth": None if table is None else [space[name] for name in drawn],
        "space": len(space),
        "best": None if table is None else max(space.values()),
    }
