"""Rule plot_embedding: figure 7, the maps of real and condensed images of a class."""

from condensation.core import storage
from condensation.figures import embedding, style
from job import job

with job(snakemake, torch_threads=False):
    maps, accuracies = [], []
    for path in snakemake.input.maps:
        points, metadata = storage.read_tensors(path)
        methods = metadata["methods"]  # those whose sets have images of the class
        shown = [name for name in snakemake.params.shown if name in methods]
        (label,) = style.readable([metadata["class"]], [f"number {snakemake.params.label}"])
        real = {name: points[f"real/{methods[name]['preprocessing']}"].numpy() for name in shown}
        condensed = {name: points[f"condensed/{name}"].numpy() for name in shown}
        title = f"{metadata['dataset']}, IPC {metadata['ipc']}\nclass {label}"
        maps.append(embedding.Map(title, real, condensed))
        accuracies += [facts["test_accuracy"] for facts in methods.values()]
    styles = style.method_styles(snakemake.params.methods)
    figure = embedding.draw(maps, styles, snakemake.params.architecture, accuracies)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
