"""Rule prepare_dataset: read archives into one memory-mapped file of images and labels."""

from condensation.core import progress
from condensation.data import datasets, readers, reading_report
from job import job, log

with job(snakemake):
    dataset = readers.read(
        snakemake.wildcards.dataset, snakemake.params.job["entry"], list(snakemake.input)
    )
    log.info(
        "%s: %d training and %d test images of shape %s in %d classes",
        *(dataset.name, len(dataset.train_labels), len(dataset.test_labels)),
        *(dataset.shape, len(dataset.classes)),
    )
    for line in reading_report.lines(dataset.report):
        log.info("%s", line)
    if line := reading_report.summary(dataset.name, dataset.report):
        progress.say(line)
    datasets.write(dataset, snakemake.output.dataset)
