"""Rule find_neighbours: how far each real image is from its nearest others, as sets see them."""

from dataclasses import replace

from condensation.data import datasets, set_measures, whitening
from job import job

with job(snakemake):
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    set_measures.write_neighbours(
        dataset, snakemake.output.neighbours, source=snakemake.params.job["source"]
    )
