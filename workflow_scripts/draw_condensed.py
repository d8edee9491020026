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
    ipc = snakemake.params.ipc
    shown = min(int(ipc), COLUMNS)
    title = f"{dataset.name}: {shown} of {ipc} images per class, condensation seed 0"
    figure = figures.image_grid(pictures, dataset.classes[:ROWS], title)
    figures.save(figure, snakemake.output.figure)
