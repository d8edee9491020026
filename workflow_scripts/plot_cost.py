"""Rule plot_cost: accuracy against the seconds of condensation."""

from statistics import mean

from condensation.core import storage
from condensation.figures import comparison, style
from condensation.results import frames
from job import job

with job(snakemake, torch_threads=False):
    panels = snakemake.params.panels
    costs = iter(snakemake.input.costs)
    seconds: dict = {}
    for panel in panels:
        for method, _ in panel["sets"]:
            key = panel["where"]["dataset"], method, panel["where"]["ipc"]
            seconds.setdefault(key, []).append(storage.read_json(next(costs))["seconds"])
    seconds = {key: mean(values) for key, values in seconds.items()}
    styles = style.method_styles(snakemake.params.methods)
    table = frames.load_accuracy(snakemake.input.table)
    figure = comparison.cost_accuracy(table, panels, seconds, styles)
    style.save(figure, snakemake.output.png, snakemake.output.pdf)
