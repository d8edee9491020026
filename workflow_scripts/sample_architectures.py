"""Rule sample_architectures: a draw of distinct architectures, and how well each does in truth."""

from condensation.core import storage
from condensation.nas import sample
from job import job

with job(snakemake, torch_threads=False):
    told = snakemake.params.job
    drawn = sample.sample(table=getattr(snakemake.input, "table", None), **told["options"])
    storage.write_json(
        snakemake.output.architectures, drawn | {name: told[name] for name in ("options", "source")}
    )
