"""Rule condense: one condensed set of one method, its snapshots, and its cost."""

from condensation.core import compute
from condensation.methods import condensing
from job import job

with job(snakemake):
    settings = snakemake.config["compute"]
    device = compute.device_named(settings["device"])
    condensing.condense(
        dict(snakemake.wildcards.items()),
        snakemake.params.job,
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        device=device,
        compile=snakemake.params.compile,
        precision=snakemake.params.precision,
        memory_mb=compute.usable_mb(device, settings),
        checkpoint_seconds=settings["checkpoint_seconds"],
    )
