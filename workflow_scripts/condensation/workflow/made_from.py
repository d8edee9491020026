"""Which config the files in a folder were made from, so that another one does not overwrite them.

Every job says it in the folders that its files go to. A config that was edited, or moved, goes on;
another file with other content is refused. Free of torch.
"""

import hashlib
import os
from pathlib import Path

import yaml
from pydantic import BaseModel

from condensation.core.errors import InputError

NAME = "made_from.yaml"
_NO_MATTER = {"compute", "data", "partial", "results_dir", "figures_dir"}  # of the same results


def digest(config: BaseModel) -> str:
    """Return 16 hex digits for all of a ``config.Config`` that its results depend on."""
    text = config.model_dump_json(exclude=_NO_MATTER)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check(folder: str | Path, origin: str, of_config: str) -> None:
    """Raise InputError if ``folder`` holds what another config made.

    Parameters
    ----------
    origin : the config file, as a path from here.
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
    """Say in ``folder`` which config its files are of; raises InputError as ``check`` does."""
    check(folder, origin, of_config)
    content = {"config": origin, "digest": of_config}
    path = Path(folder, NAME)
    if _known(Path(folder)) == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # jobs run side by side: each writes a file of its own, and the last one stays
    temporary = path.with_name(f".{NAME}.{os.uname().nodename}-{os.getpid()}.part")
    try:
        temporary.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _known(folder: Path) -> dict[str, str] | None:
    """What is said there; None where nothing is, or nothing that can be read."""
    try:
        content = yaml.safe_load((folder / NAME).read_text(encoding="utf-8"))
        return {key: str(content[key]) for key in ("config", "digest")}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
