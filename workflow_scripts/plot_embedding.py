"""Rule plot_embedding: figure 7, the maps of real and condensed images of a class."""

from condensation.core import storage
from condensation.figures import embedding, style
from job import job

with job(snakemake, torch_threads=False):
    found, accuracy = [], []
    for path in snakemake.input.maps:
        points, about = storage.read_tensors(path)
        shown = [
            name for name in snakemake.params.shown if name in about["methods"]
        ]  # others failed
        number = f"number {snakemake.params.label}"
        (label,) = style.readable([about["class"]], [number])
        found.append(
            embedding.Map(
                f"{about['dataset']}, IPC {about['ipc']}\nclass {label}",
                {
                    name: points[f"real/{about['methods'][name]['preprocessing']}"].numpy()
                    for name in shown
                },
                {name: points[f"condensed/{name}"].numpy() for name in shown},
            )
        )
        accuracy += [one["test_accuracy"] for one in about["methods"].values()]
    styles = style.method_styles(snakemake.params.methods)
    figure = embedding.maps(found, styles, snakemake.params.architecture, accuracy)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
