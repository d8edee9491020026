"""Rule draw_condensed: pictures of the condensed images of one dataset, a panel per method."""

from condensation import datasets, figures, sets
from job import job

COLUMNS, ROWS = 10, 10

with job(snakemake):
    dataset = datasets.load(snakemake.input.dataset)
    pictures = {}
    for path in snakemake.input.condensed:
        condensed, about = sets.load(path, dataset)
        images = dataset.to_pixels(condensed.images)
        images = images.view(len(dataset.classes), about["ipc"], *dataset.shape)
        pictures[about["method"]] = images[:, :COLUMNS]
    ipc, classes = int(snakemake.params.ipc), len(dataset.classes)
    title = f"{dataset.name}: {ipc} image{'s' * (ipc > 1)} per class"
    if ipc > COLUMNS:
        title += f", {COLUMNS} of them shown"
    if classes > ROWS:
        title += f", the first {ROWS} of {classes} classes"
    figure = figures.image_grid(pictures, dataset.classes[:ROWS], title)
    figures.save(figure, snakemake.output.figure)
