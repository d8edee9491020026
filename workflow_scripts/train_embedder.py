"""Rule train_embedder: a network trained on the real images, for figure 7 and as a teacher."""

from dataclasses import replace

from condensation.core import compute
from condensation.data import datasets, whitening
from condensation.training import features
from job import job

with job(snakemake):
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    features.make_network(
        snakemake.output.network,
        dataset,
        snakemake.params.job,
        device=compute.device_named(snakemake.config["compute"]["device"]),
        compile=snakemake.params.compile,
    )
