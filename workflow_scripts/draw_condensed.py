"""Rule draw_condensed: the images of condensed sets, of one dataset or (figure 8) of all."""

from condensation.data import datasets
from condensation.figures import images, sources, style
from job import job


def pictures_of(dataset, ipc, snakemake):
    """Return the first images of the first classes of each set of a dataset."""
    views = sources.dataset_views(dataset, getattr(snakemake.input, "whitenings", []))
    drawn = {
        method: sources.first_images(view, condensed)
        for method, view, condensed in sources.condensed_sets(views, snakemake.input.condensed)
    }
    title = f"{dataset.name}: {ipc} image{'s' * (ipc > 1)} per class"
    if ipc > sources.SHOWN:
        title += f", {sources.SHOWN} of them shown"
    if len(dataset.classes) > sources.SHOWN:
        title += f", the first {sources.SHOWN} of {len(dataset.classes)} classes"
    return images.Pictures(drawn, dataset.classes[: sources.SHOWN], title)


with job(snakemake):
    pictures = [
        pictures_of(datasets.load(path), int(ipc), snakemake)
        for path, ipc in zip(snakemake.input.datasets, snakemake.params.ipcs, strict=True)
    ]
    style.save(images.image_grids(pictures), snakemake.output.png, snakemake.output.pdf)
