"""The one kind of error that bad input raises, and the words it uses."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: says what was wrong, where, and what would be right."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the closest allowed name, or nothing."""
    folded = {str(one).casefold(): str(one) for one in allowed}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> str:
    """Return the message for a name that is not among ``allowed``."""
    names = sorted(str(a) for a in allowed)
    listed = ", ".join(names) if names else "none"
    return f"unknown {kind} {name!r} (known: {listed}){nearest(name, names)}"
