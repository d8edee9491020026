"""Rule rank_architectures: what the trained architectures say about each set, as tables."""

from condensation.core import storage
from condensation.nas import tables
from job import job

with job(snakemake, torch_threads=False):
    told = snakemake.params.job["options"]
    sample = storage.read_json(snakemake.input.architectures)
    frame = tables.networks(snakemake.input.records)
    table = tables.architectures(frame, sample, told["whole"])
    summary = tables.summary(table, frame, told["resamples"], told["seed"])
    for name, one in (("csv", summary), ("architectures", table)):
        text = one.to_csv(index=False, lineterminator="\n", float_format="%.4f")
        storage.write_text(getattr(snakemake.output, name), text)
    text = tables.markdown(
        summary, told["dataset"], told["truth"], told["note"], snakemake.params.missing
    )
    storage.write_text(snakemake.output.markdown, text)
