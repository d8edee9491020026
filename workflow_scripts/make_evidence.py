"""Rule make_evidence: cells beside the printed numbers, findings, records, pictures of sets."""

import json
import lzma
from pathlib import Path

from condensation import (
    config,
    datasets,
    evidence,
    evidence_page,
    grid,
    jobs,
    paper_cells,
    printed,
    records,
    storage,
    tables,
)
from condensation.figures import images, sources, style
from job import job


def pack(paths):
    """Return the records and costs, a line of JSON each, compressed; the same bytes each time."""
    lines = [
        json.dumps({"path": str(Path(path).relative_to(root)), **storage.read_json(path)})
        for path in paths
    ]
    return lzma.compress("".join(line + "\n" for line in lines).encode())


def pictures(dataset, whitenings, condensed, ipc):
    """Return the images of every set of a dataset and an IPC, at most ten per class."""
    views = sources.views(dataset, whitenings)
    chosen = [p for p in condensed if storage.read_metadata(p).get("ipc") == ipc]
    drawn = {}
    for path in chosen:
        for method, view, found in sources.condensed(views, [path]):
            first = found[:10, :10]
            pixels = view.to_pixels(first.flatten(0, 1)).view(len(first), -1, *dataset.shape)
            drawn[f"{method} {storage.read_metadata(path)['seed']}"] = pixels
    title = f"{dataset.name}: {ipc} image{'s' * (ipc > 1)} per class, every set and its seed"
    return images.Pictures(drawn, dataset.classes[:10], title)


with job(snakemake):
    root = Path(snakemake.input.config).parent
    wanted = config.load(snakemake.input.config)
    runs = tables.load_runs(snakemake.input.runs)
    as_printed = printed.load(snakemake.input.printed)
    numbers, slips = printed.reread(as_printed), printed.implied(as_printed)
    costs = tables.costs(jobs.made_sets(wanted, grid.expand(wanted)), snakemake.input.costs, runs)
    read = list(records.read(snakemake.input.records, wanted))
    spent = [Path(record["path"]).with_suffix(".cost.json") for record in read]
    networks = evidence.network_costs(read, [storage.read_json(path) for path in spent])

    collected = paper_cells.collect(wanted, runs, numbers, slips)
    cells = evidence.cells(collected, costs, networks)
    frames = {
        "cells": cells,
        "augmentation": evidence.augmentation(wanted, runs),
        "start": evidence.start(wanted, runs),
        "spread": evidence.spread(cells, runs),
    }
    for name, frame in frames.items():
        text = frame.to_csv(index=False, lineterminator="\n", float_format="%.4f")
        storage.write_text(getattr(snakemake.output, name), text)
    page = evidence_page.markdown(*frames.values(), storage.read_json(snakemake.input.provenance))
    storage.write_text(snakemake.output.page, page)
    every = [*snakemake.input.records, *map(str, spent), *snakemake.input.costs]
    with storage.atomic(snakemake.output.records) as temporary:
        temporary.write_bytes(pack(every))
    loaded = {dataset.name: dataset for dataset in map(datasets.load, snakemake.input.datasets)}
    for path, (name, ipc) in zip(snakemake.output.pictures, snakemake.params.pictured, strict=True):
        whitenings = getattr(snakemake.input, "whitenings", [])
        drawn = pictures(loaded[name], whitenings, snakemake.input.condensed, ipc)
        style.save(images.image_grids([drawn]), path)
