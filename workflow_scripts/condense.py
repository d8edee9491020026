"""Rule condense: one condensed set of one method, its snapshots, and its cost."""

from condensation.core import compute, memory
from condensation.methods import condensing
from job import job

with job(snakemake):
    settings = snakemake.config["compute"]
    device = compute.device_named(settings["device"])
    # the memory of the device that the job may use, as the config declares it
    limit = settings["memory_limit_mb"]
    if device.type == "cuda":
        limit = settings["device_memory_mb"] and (
            settings["device_memory_mb"] / settings["jobs_per_gpu"]
        )
    condensing.condense(
        dict(snakemake.wildcards.items()),
        snakemake.params.job,
        dict(snakemake.input.items()),
        dict(snakemake.output.items()),
        device=device,
        compile=snakemake.params.compile,
        precision=snakemake.params.precision,
        memory_mb=limit or memory.DECLARED_MB,
        checkpoint_seconds=settings["checkpoint_seconds"],
    )
