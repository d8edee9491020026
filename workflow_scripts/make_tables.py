"""Rule make_tables: all records into tidy tables."""

import logging

from condensation import config, grid, storage, tables
from job import job

log = logging.getLogger("condensation")

with job(snakemake, torch_threads=False):
    wanted = config.load(snakemake.input.config)
    everything, paths = grid.expand(wanted), snakemake.input.records
    left_out = [] if wanted.partial else None
    runs = tables.runs(paths, wanted, left_out)
    if wanted.partial:
        paths = runs["record"].unique()
        runs = tables.with_missing(runs, everything)
        for said in left_out:
            log.warning("left out: %s", said)
    accuracy = tables.accuracy(runs, everything)
    for path, frame in (
        (snakemake.output.runs, runs),
        (snakemake.output.per_class, tables.per_class(paths)),
    ):
        storage.write_text(path, frame.to_csv(index=False, lineterminator="\n"))
    storage.write_text(
        snakemake.output.csv,
        accuracy.to_csv(index=False, lineterminator="\n", float_format="%.4f"),
    )
    storage.write_text(snakemake.output.markdown, tables.markdown(accuracy, runs))
