"""Rule make_tables: all records into tidy tables."""

import logging

from condensation.config import loading
from condensation.core import storage
from condensation.results import frames
from condensation.workflow import grid
from job import job

log = logging.getLogger("condensation")

with job(snakemake, torch_threads=False):
    wanted = loading.load(snakemake.input.config)
    everything, paths = grid.expand(wanted), snakemake.input.records
    left_out = [] if wanted.partial else None
    runs = frames.runs(paths, wanted, left_out)
    if wanted.partial:
        paths = runs["record"].unique()
        runs = frames.with_missing(runs, everything)
        for said in left_out:
            log.warning("left out: %s", said)
    accuracy = frames.accuracy(runs, everything)
    for path, frame in (
        (snakemake.output.runs, runs),
        (snakemake.output.per_class, frames.per_class(paths)),
    ):
        storage.write_text(path, frame.to_csv(index=False, lineterminator="\n"))
    storage.write_text(
        snakemake.output.csv,
        accuracy.to_csv(index=False, lineterminator="\n", float_format="%.4f"),
    )
    storage.write_text(snakemake.output.markdown, frames.markdown(accuracy, runs))
