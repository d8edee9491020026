"""The error that bad input raises, and parts of its messages."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input. The message says what is wrong, where, and what would be right."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the closest allowed name, or nothing."""
    folded = {str(choice).casefold(): str(choice) for choice in allowed}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> str:
    """Return the message for a name that is not among ``allowed``."""
    names = sorted(map(str, allowed))
    listed = ", ".join(names) if names else "none"
    return f"unknown {kind} {name!r} (known: {listed}){nearest(name, names)}"
