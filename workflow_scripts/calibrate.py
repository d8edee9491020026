"""Rule calibrate: measure the networks of the config and the speed of this device."""

from pathlib import Path

from condensation.config import loading
from condensation.core import compute, storage
from condensation.networks import measure
from condensation.planning import forecast
from condensation.workflow import grid
from job import job

with job(snakemake):
    config = loading.load(snakemake.input.config)
    device = compute.device_named(config.compute.device)
    results = Path(snakemake.input.config).parent
    uses = forecast.networks_used(config, grid.expand(config), results)
    storage.write_json(snakemake.output.calibration, measure.calibrate(uses, device))
