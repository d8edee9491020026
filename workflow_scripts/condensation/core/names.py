"""Names of datasets, methods and other entries, which become names of folders and files."""

import re
import unicodedata

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
NAME_RULE = "use letters, digits, '_', '.' and '-', and begin with a letter or a digit"


def name_error(text: str) -> str:
    """Return the message for a name with other characters, and the nearest allowed name."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    allowed = re.sub(r"[^A-Za-z0-9_.-]+", "_", plain).strip("_.-")
    suggestion = f", for example {allowed!r}" if allowed else ""
    return f"{text!r} is not allowed as a name: {NAME_RULE}{suggestion}"
