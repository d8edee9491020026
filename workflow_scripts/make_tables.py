"""Rule make_tables: all records into tidy tables."""

from condensation import config, grid, storage, tables
from job import job

with job(snakemake, torch_threads=False):
    wanted = grid.expand(config.load(snakemake.input.config))
    runs = tables.runs(snakemake.input.records)
    accuracy = tables.accuracy(runs, wanted)
    storage.write_text(
        snakemake.output.runs, runs.drop(columns="record").to_csv(index=False, lineterminator="\n")
    )
    storage.write_text(
        snakemake.output.csv,
        accuracy.to_csv(index=False, lineterminator="\n", float_format="%.4f"),
    )
    storage.write_text(snakemake.output.markdown, tables.markdown(accuracy))
