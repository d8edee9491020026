"""Rule sample_architectures: draw distinct architectures, with their true accuracies."""

from condensation.core import storage
from condensation.nas import sample
from job import job

with job(snakemake, torch_threads=False):
    job_params = snakemake.params.job
    table = getattr(snakemake.input, "table", None)
    drawn = sample.sample(table=table, **job_params["options"])
    recorded = {name: job_params[name] for name in ("options", "source")}
    storage.write_json(snakemake.output.architectures, drawn | recorded)
