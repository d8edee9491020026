"""Rule plot_architectures: proxy accuracy against true accuracy of every architecture."""

from condensation.figures import architectures, style
from condensation.nas import tables
from job import job

with job(snakemake, torch_threads=False):
    options = snakemake.params.options
    title = f"Ranking architectures on {options['dataset']}"
    note = f"\n{options['note']}" if options["note"] else ""
    figure = architectures.scatter(
        tables.load(snakemake.input.ranking),
        tables.load(snakemake.input.architectures),
        style.method_styles(snakemake.params.methods),
        *style.readable([title + note, options["truth"]]),
    )
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
