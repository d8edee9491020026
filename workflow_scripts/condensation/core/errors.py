"""The error that bad input raises, and parts of its messages."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input. The message says what is wrong, where, and what would be right."""


def nearest(name: str, allowed: Iterable[str], most: int = 1) -> str:
    """Return ``; did you mean 'x' or 'y'?`` for the closest allowed names, or nothing."""
    folded = {str(choice).casefold(): str(choice) for choice in allowed}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=most)
    names = " or ".join(repr(folded[match]) for match in close)
    return f"; did you mean {names}?" if close else ""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> str:
    """Return the message for a name that is not among ``allowed``."""
    names = sorted(map(str, allowed))
    listed = ", ".join(names) if names else "none"
    return f"unknown {kind} {name!r} (known: {listed}){nearest(name, names)}"
