"""Rule plot_cost: accuracy against the seconds of condensation; not of both CPU and GPU."""

from condensation.core import storage
from condensation.figures import comparison, style
from condensation.results import frames, records
from job import job

with job(snakemake, torch_threads=False):
    panels = snakemake.params.panels
    costs = iter(snakemake.input.costs)
    made: dict = {}
    for panel in panels:
        for method, _ in panel["sets"]:
            key = panel["where"]["dataset"], method, panel["where"]["ipc"]
            made.setdefault(key, []).append(storage.read_json(next(costs)))
    seconds = {key: records.mean_seconds(of_sets) for key, of_sets in made.items()}
    styles = style.method_styles(snakemake.params.methods)
    table = frames.load_accuracy(snakemake.input.table)
    figure = comparison.cost_accuracy(table, panels, seconds, styles)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
