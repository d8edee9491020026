"""Rule draw_condensed: pictures of the condensed images of one dataset, a panel per method."""

from dataclasses import replace

from condensation import datasets, figures, sets, storage, whitening
from job import job

COLUMNS, ROWS = 10, 10

with job(snakemake):
    dataset = datasets.load(snakemake.input.dataset)
    preprocessed = {"standardize": dataset}
    for path in getattr(snakemake.input, "whitenings", []):
        loaded = whitening.load(path)
        preprocessed[loaded.kind] = replace(dataset, whitening=loaded)
    pictures = {}
    for path in snakemake.input.condensed:
        kind = storage.read_metadata(path).get("preprocessing", {}).get("kind", "standardize")
        own = preprocessed[kind]
        condensed, about = sets.load(path, own)
        if condensed is None:  # its method failed
            continue
        images = own.to_pixels(condensed.images)
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
