"""Write a condensed set as pictures or arrays, for other programs.

    condensation export results/digits/dm/ipc10/set0/condensed.safetensors --to npz --into dm.npz

`--to folder` writes PNG files by class and a manifest.csv; npz, pt and safetensors are one file of
arrays. For selected real images, a table beside it lists their positions and file names. The last
line names the options with which `algorithm: imported` reads the set back.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from condensation.commands import arguments as shared
from condensation.config.methods.imported import literal
from condensation.core.errors import InputError
from condensation.data import export
from condensation.workflow import layout


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        prog="condensation export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", type=shared.path, help="a condensed.safetensors of this pipeline")
    parser.add_argument("--to", required=True, choices=export.FORMS, help="the form")
    parser.add_argument(
        "--into",
        required=True,
        type=shared.path,
        help="the new folder or file; a missing ending is added",
    )
    parser.add_argument(
        "--values",
        choices=export.VALUES,
        help="of the arrays: unit (pixels on [0, 1], the default), uint8, standardized, or the "
        "numbers of a whitened set; pictures are uint8",
    )
    parser.add_argument(
        "--hard", action="store_true", help="replace soft labels by the class of the largest score"
    )
    parser.add_argument(
        "--dataset", type=shared.path, help="its dataset.safetensors, if the set was moved"
    )
    parser.add_argument(
        "--whitening", type=shared.path, help="its whitening, if the set is whitened and was moved"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Write the set and print what was written; raises InputError for bad input."""
    options = parse_arguments(arguments)
    metadata = export.read_metadata(options.set)
    dataset = options.dataset or _dataset_of(options.set)
    kind = metadata["preprocessing"]["kind"]
    whitening = options.whitening or _whitening_of(options.set, dataset, kind)
    loaded = export.load(options.set, dataset, whitening)
    was_soft = loaded.condensed.labels.dim() == 2
    if options.hard:
        loaded = export.with_hard_labels(loaded)
    try:
        exported = export.write(loaded, options.into, options.to, options.values)
    except OSError as error:
        raise InputError(
            f"{options.into}: cannot be written ({error}); nothing half-written is left"
        ) from error
    for line in _report(options, loaded, exported, was_soft):
        print(line)


def _dataset_of(path: Path) -> Path | None:
    """Return the dataset of a set, or of a snapshot, in a results folder; None if not there."""
    parents = path.absolute().parents
    for snapshot in ("", layout.SNAPSHOT):
        place = Path(layout.CONDENSED.replace("{snapshot}", snapshot))
        depth = len(place.parts) - 2  # from the file up to the folder of the dataset
        if depth < len(parents):
            dataset = parents[depth] / Path(layout.DATASET).name
            if dataset.is_file():
                return dataset
    return None


def _whitening_of(path: Path, dataset: str | Path | None, kind: str) -> Path | None:
    """Return the whitening beside a set or in the folder of its dataset; None if not there."""
    beside = path.with_name("whitening.safetensors")  # as `condensation condense` leaves it
    if beside.is_file():
        return beside
    if dataset is None:
        return None
    name = layout.WHITENING.partition("/")[2].format(preprocessing=kind)
    whitening = Path(dataset).parent / name
    return whitening if whitening.is_file() else None


def _report(
    options: argparse.Namespace, loaded: export.LoadedSet, exported: export.Exported, was_soft: bool
) -> list[str]:
    """Return the lines to print: what was written, what was lost, how to read it back."""
    labels, dataset = loaded.condensed.labels, loaded.dataset
    kind = "soft" if labels.dim() == 2 else "hard"
    lines = [
        f"{exported.path}: {len(labels)} images, {len(dataset.classes)} classes, {kind} labels"
    ]
    if options.to == "folder" or options.values == "uint8":
        lines.append(f"{exported.outside} of {exported.total} values were clipped to 0 to 255")
    elif exported.outside:
        lines.append(
            f"{exported.outside} of {exported.total} values lie outside [0, 1] and are kept; if an "
            "import refuses them, use --values standardized"
        )
    if was_soft and kind == "hard":
        lines.append("soft labels became the class of the largest score; the others are lost")
    counts = loaded.hard_labels.bincount(minlength=len(dataset.classes))
    if options.to == "folder" and (empty := (counts == 0).nonzero().flatten().tolist()):
        names = ", ".join(dataset.classes[label] for label in empty)
        lines.append(f"classes without an image have no folder: {names}")
    if exported.chosen:
        names = "" if dataset.files.get("train") else " (there are no file names)"
        lines.append(f"{exported.chosen}: their positions in the training set{names}")
    if dataset.whitening is not None and options.values != "whitened":
        lines.append(_whitening_line(dataset.whitening.kind, loaded.has_real_images))
    entry = export.import_options(loaded, options.to, options.values)
    if entry is None:
        lines.append(
            f"`algorithm: imported` cannot read it back: it needs equally many images of each "
            f"class, and these are {int(counts.min())} to {int(counts.max())}"
        )
    else:
        lines.append(f"read it back with {_entry(exported.path, entry)}")
    return lines


def _whitening_line(kind: str, real: bool) -> str:
    text = f"the whitening ({kind}) was inverted; "
    if kind == "zca_kip" and not real:
        text += "it loses brightness and contrast, so every picture has mean 0.5 and std 0.2; "
    return text + "--values whitened keeps the numbers of the set"


def _entry(path: Path, options: dict[str, Any]) -> str:
    """Return an entry of the config section `methods`; JSON values are YAML."""
    values = {"path": literal(path)} | options
    rest = ", ".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()
    )
    return f"{{algorithm: imported, {rest}}}"
