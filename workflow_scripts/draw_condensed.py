"""Rule draw_condensed: the images of condensed sets, of one dataset or (figure 8) of all."""

from condensation import datasets
from condensation.figures import images, sources, style
from job import job

COLUMNS, ROWS = 10, 10


def pictures_of(dataset, ipc, snakemake):
    """Return what is drawn of one dataset: the first images of the first classes."""
    views = sources.views(dataset, getattr(snakemake.input, "whitenings", []))
    drawn = {
        snakemake.params.methods[method]["title"]: view.to_pixels(
            found[:ROWS, :COLUMNS].flatten(0, 1)
        ).view(min(ROWS, len(found)), -1, *dataset.shape)
        for method, view, found in sources.condensed(views, snakemake.input.condensed)
    }
    title = f"{dataset.name}: {ipc} image{'s' * (ipc > 1)} per class"
    if ipc > COLUMNS:
        title += f", {COLUMNS} of them shown"
    if len(dataset.classes) > ROWS:
        title += f", the first {ROWS} of {len(dataset.classes)} classes"
    return images.Pictures(drawn, dataset.classes[:ROWS], title)


with job(snakemake):
    every = [
        pictures_of(datasets.load(path), int(ipc), snakemake)
        for path, ipc in zip(snakemake.input.datasets, snakemake.params.ipcs, strict=True)
    ]
    style.save(images.image_grids(every), snakemake.output.png, snakemake.output.pdf)
