"""Keep a config from overwriting the results of another config. Free of torch.

Every job records its config in its results and figures folders. An edited or moved config may
continue there. Another file with other content is refused.
"""

import hashlib
import os
from pathlib import Path

import yaml
from pydantic import BaseModel

from condensation.core.errors import InputError

NAME = "made_from.yaml"
# sections of the config that change no result
_WITHOUT_EFFECT = {"compute", "data", "partial", "results_dir", "figures_dir"}


def digest(config: BaseModel) -> str:
    """Return a digest (16 hex digits) of the parts of a config that its results depend on."""
    text = config.model_dump_json(exclude=_WITHOUT_EFFECT)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check(folder: str | Path, origin: str, of_config: str) -> None:
    """Raise InputError if ``folder`` holds the results of another config.

    Parameters
    ----------
    origin : path of the config file, relative to the current folder.
    of_config : its ``digest``.
    """
    known = _known(Path(folder))
    if known and known["config"] != origin and known["digest"] != of_config:
        raise InputError(
            f"{folder} holds what {known['config']} made, and {origin} is another config. Give "
            f"{origin} folders of its own (results_dir: results/NAME, figures_dir: figures/NAME); "
            f"or, if it is to take over, remove {Path(folder, NAME)}"
        )


def claim(folder: str | Path, origin: str, of_config: str) -> None:
    """Record in ``folder`` which config its files come from, after ``check``."""
    check(folder, origin, of_config)
    content = {"config": origin, "digest": of_config}
    path = Path(folder, NAME)
    if _known(Path(folder)) == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # parallel jobs write files of their own; the last one stays
    temporary = path.with_name(f".{NAME}.{os.uname().nodename}-{os.getpid()}.part")
    try:
        temporary.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _known(folder: Path) -> dict[str, str] | None:
    """Return the recorded path and digest; None if there is no readable record."""
    try:
        content = yaml.safe_load((folder / NAME).read_text(encoding="utf-8"))
        return {key: str(content[key]) for key in ("config", "digest")}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
