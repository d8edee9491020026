"""Rule make_tables: all records into tidy tables."""

from condensation import config, grid, storage, tables
from job import job

with job(snakemake, torch_threads=False):
    wanted = config.load(snakemake.input.config)
    runs = tables.runs(snakemake.input.records, wanted)
    accuracy = tables.accuracy(runs, grid.expand(wanted))
    for path, frame in (
        (snakemake.output.runs, runs),
        (snakemake.output.per_class, tables.per_class(snakemake.input.records)),
    ):
        storage.write_text(path, frame.to_csv(index=False, lineterminator="\n"))
    storage.write_text(
        snakemake.output.csv,
        accuracy.to_csv(index=False, lineterminator="\n", float_format="%.4f"),
    )
    storage.write_text(snakemake.output.markdown, tables.markdown(accuracy, runs))
