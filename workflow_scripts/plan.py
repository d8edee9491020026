"""Rule plan: print what the run will take and write it as Markdown and CSV."""

from pathlib import Path

from condensation.config import loading
from condensation.core import storage
from condensation.planning import forecast
from condensation.workflow import grid, layout
from job import job

with job(snakemake, torch_threads=False):
    config = loading.load(snakemake.input.config)
    results = Path(snakemake.input.config).parent
    calibration = storage.read_json(snakemake.input.calibration)
    plan = forecast.forecast(config, grid.expand(config, results), results, calibration)
    text = forecast.render(plan)
    storage.write_text(results / layout.fill(layout.PLAN, form="md"), text)
    storage.write_text(results / layout.fill(layout.PLAN, form="csv"), forecast.table(plan))
    print(text)
