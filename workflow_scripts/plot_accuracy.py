"""Rule plot_accuracy: one of figures 1 to 6, from the accuracy table."""

from condensation import tables
from condensation.figures import accuracy, style
from job import job

with job(snakemake, torch_threads=False):
    draw = {"bars": accuracy.bars, "lines": accuracy.lines, "curves": accuracy.curves}
    plan = snakemake.params.plan
    table = tables.load_accuracy(snakemake.input.table)
    styles = style.method_styles(snakemake.params.methods)
    figure = draw[plan["draw"]](table, plan["panels"], plan["across"], styles)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
