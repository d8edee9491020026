"""Rule plot_accuracy: accuracy against IPC for one dataset."""

import pandas as pd

from condensation import figures
from job import job

with job(snakemake, torch_threads=False):
    # as text first: names may look like numbers, and `none` is a name
    table = pd.read_csv(snakemake.input.table, dtype=str, keep_default_na=False)
    table = table.replace({"mean": {"": "nan"}, "std": {"": "nan"}})
    table = table.astype({"mean": float, "std": float, "networks": int})
    figure = figures.accuracy(table, snakemake.wildcards.dataset, snakemake.params.methods)
    figures.save(figure, snakemake.output.figure)
