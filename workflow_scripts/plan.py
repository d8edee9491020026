"""Rule plan: what the run will take, printed and written beside the results."""

from pathlib import Path

from condensation.config import loading
from condensation.core import storage
from condensation.planning import forecast
from condensation.workflow import grid
from job import job

with job(snakemake, torch_threads=False):
    wanted = loading.load(snakemake.input.config)
    results = Path(snakemake.input.config).parent
    calibration = storage.read_json(snakemake.input.calibration)
    found = forecast.forecast(wanted, grid.expand(wanted), results, calibration)
    text = forecast.render(found)
    storage.write_text(results / "plan" / "plan.md", text)
    rows = found.rules.to_csv(index=False, lineterminator="\n", float_format="%.4g")
    storage.write_text(results / "plan" / "plan.csv", rows)
    print(text)
