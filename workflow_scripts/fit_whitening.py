"""Rule fit_whitening: the ZCA whitening of a dataset, fitted on its training images."""

from condensation.data import datasets, whitening
from job import job

with job(snakemake):
    dataset = datasets.load(snakemake.input.dataset)
    fitted = whitening.fit(
        dataset.train_images, snakemake.wildcards.preprocessing, dataset.mean, dataset.std
    )
    whitening.save(fitted, snakemake.output.whitening, dataset=dataset.name)
