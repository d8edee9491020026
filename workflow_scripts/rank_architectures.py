"""Rule rank_architectures: how well each set ranks the sampled architectures, as tables."""

from condensation.core import storage
from condensation.nas import tables
from job import job

with job(snakemake, torch_threads=False):
    options = snakemake.params.job["options"]
    sample = storage.read_json(snakemake.input.architectures)
    networks = tables.networks(map(storage.read_json, snakemake.input.records))
    architectures = tables.architectures(networks, sample, options["whole"])
    summary = tables.summary(architectures, networks, options["resamples"], options["seed"])
    for name, table in (("csv", summary), ("architectures", architectures)):
        text = table.to_csv(index=False, lineterminator="\n", float_format="%.4f")
        storage.write_text(getattr(snakemake.output, name), text)
    labels = (options[name] for name in ("dataset", "truth", "note"))
    text = tables.markdown(summary, *labels, snakemake.params.missing)
    storage.write_text(snakemake.output.markdown, text)
