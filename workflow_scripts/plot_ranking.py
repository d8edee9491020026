"""Rule plot_ranking: the critical-difference diagram."""

from condensation.core import storage
from condensation.figures import comparison, style
from job import job

with job(snakemake, torch_threads=False):
    styles = style.method_styles(snakemake.params.methods)
    ranking = storage.read_json(snakemake.input.ranking)
    figure = comparison.critical_difference(ranking, styles)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
