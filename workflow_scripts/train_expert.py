"""Rule train_expert: the trajectory of one expert on the real images, and its cost."""

from condensation.core import compute
from condensation.methods import experts
from job import job

with job(snakemake):
    settings = snakemake.config["compute"]
    device = compute.device_named(settings["device"])
    experts.make(
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
