"""Rule extract_features: the embedding of every training image, once per dataset and seed."""

from condensation.core import compute
from condensation.data import datasets
from condensation.training import features
from job import job

with job(snakemake):
    features.make(
        snakemake.output.features,
        datasets.load(snakemake.input.dataset),
        int(snakemake.wildcards.condensation_seed),
        snakemake.params.job,
        device=compute.device_named(snakemake.config["compute"]["device"]),
        compile=snakemake.params.compile,
    )
