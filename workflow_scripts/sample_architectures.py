"""Rule sample_architectures: a draw of distinct architectures, and how well each does in truth."""

from condensation import architecture_sample, storage
from job import job

with job(snakemake, torch_threads=False):
    told = snakemake.params.job
    drawn = architecture_sample.sample(
        table=getattr(snakemake.input, "table", None), **told["options"]
    )
    storage.write_json(snakemake.output.architectures, drawn | told)
