"""Rule compare_methods: paired tests, variance, equivalence and ranks of the methods."""

from condensation.config import loading
from condensation.core import storage
from condensation.results import comparison, frames
from job import job

with job(snakemake, torch_threads=False):
    config = loading.load(snakemake.input.config)
    compared = comparison.compare(frames.load_runs(snakemake.input.runs), config)
    for name, table in compared.tables.items():
        text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        storage.write_text(snakemake.output[name], text)
    storage.write_json(snakemake.output.ranking, compared.ranking)
    storage.write_text(snakemake.output.markdown, comparison.markdown(compared, config))
