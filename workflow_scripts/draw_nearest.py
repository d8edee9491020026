"""Rule draw_nearest: condensed images beside the nearest real image of their class."""

from condensation.core import storage
from condensation.data import datasets
from condensation.figures import images, sources, style
from job import job

with job(snakemake):
    dataset = datasets.load(snakemake.input.dataset)
    views = sources.dataset_views(dataset, getattr(snakemake.input, "whitenings", []))
    contents = map(storage.read_json, snakemake.input.measures)
    measures = {content["method"]: content["measures"] for content in contents}
    drawn = {
        method: sources.beside_nearest(
            view,
            condensed.formed(),
            measures[method]["nearest"]["positions"],
            int(snakemake.wildcards.ipc),
        )
        for method, view, condensed in sources.condensed_sets(views, snakemake.input.condensed)
        if measures[method]["images"] != "real"  # those are their nearest real images
    }
    shown = "each image with the nearest real one\nof its class to its right"
    if not drawn:
        shown = "no set of learned images"
    title = f"{dataset.name}, IPC {snakemake.wildcards.ipc}:\n{shown}"
    pictures = images.Pictures(drawn, dataset.classes[: sources.PAIRS], title)
    style.save(images.image_grids([pictures]), snakemake.output.png, snakemake.output.pdf)
