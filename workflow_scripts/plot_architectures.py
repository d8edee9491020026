"""Rule plot_architectures: proxy accuracy against true accuracy of every architecture."""

import pandas as pd

from condensation.figures import architectures, style
from job import job

NAMES = ("set", "reference", "method", "ipc", "architecture")  # they may look like numbers


def read(path):
    """Return a table of the ranking; only numbers can be missing."""
    columns = pd.read_csv(path, nrows=0).columns
    empty = {name: [""] for name in columns if name not in NAMES}
    return pd.read_csv(
        path, dtype=dict.fromkeys(NAMES, str), keep_default_na=False, na_values=empty
    )


with job(snakemake, torch_threads=False):
    told = snakemake.params.job["options"]
    title = f"Ranking architectures on {told['dataset']}"
    figure = architectures.scatter(
        read(snakemake.input.ranking),
        read(snakemake.input.architectures),
        style.method_styles(snakemake.params.methods),
        title + (f"\n{told['note']}" if told["note"] else ""),
        told["truth"],
    )
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
