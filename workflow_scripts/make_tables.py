"""Rule make_tables: all records into tidy tables."""

import logging

from condensation.config import loading
from condensation.core import storage
from condensation.results import frames, records
from condensation.workflow import grid
from job import job

log = logging.getLogger("condensation")

with job(snakemake, torch_threads=False):
    config = loading.load(snakemake.input.config)
    cells = grid.expand(config)
    left_out = [] if config.partial else None
    contents = records.read(snakemake.input.records, left_out)
    runs = frames.runs(contents, config, left_out)
    used = [contents[path] for path in runs["record"].unique()]
    if config.partial:
        runs = frames.with_missing(runs, cells)
        for message in left_out:
            log.warning("left out: %s", message)
    accuracy = frames.accuracy(runs, cells)
    for path, frame in (
        (snakemake.output.runs, runs),
        (snakemake.output.per_class, frames.per_class(used)),
    ):
        storage.write_text(path, frame.to_csv(index=False, lineterminator="\n"))
    storage.write_text(
        snakemake.output.csv,
        accuracy.to_csv(index=False, lineterminator="\n", float_format="%.4f"),
    )
    mixed = records.mixed_precisions(used)
    storage.write_text(snakemake.output.markdown, frames.markdown(accuracy, runs, mixed))
