"""Rule plot_accuracy: one of figures 1 to 6, from the accuracy table."""

from condensation.figures import accuracy, style
from condensation.results import frames
from job import job

with job(snakemake, torch_threads=False):
    table = frames.load_accuracy(snakemake.input.table)
    styles = style.method_styles(snakemake.params.methods)
    figure = accuracy.draw(table, snakemake.params.plan, styles)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
