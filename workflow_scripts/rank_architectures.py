"""Rule rank_architectures: what the trained architectures say about each set, as tables."""

from condensation import ranking_tables, storage
from job import job

with job(snakemake, torch_threads=False):
    told = snakemake.params.job["options"]
    sample = storage.read_json(snakemake.input.architectures)
    frame = ranking_tables.networks(snakemake.input.records)
    table = ranking_tables.architectures(frame, sample, told["whole"])
    summary = ranking_tables.summary(table, frame, told["resamples"], told["seed"])
    for name, one in (("csv", summary), ("architectures", table)):
        text = one.to_csv(index=False, lineterminator="\n", float_format="%.4f")
        storage.write_text(getattr(snakemake.output, name), text)
    text = ranking_tables.markdown(
        summary, told["dataset"], told["truth"], told["note"], snakemake.params.missing
    )
    storage.write_text(snakemake.output.markdown, text)
