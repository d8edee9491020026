"""Rule calibrate: how fast this device is with the networks of the config."""

from pathlib import Path

from condensation.config import loading
from condensation.core import compute, storage
from condensation.planning import calibration, forecast
from condensation.workflow import grid
from job import job

with job(snakemake):
    wanted = loading.load(snakemake.input.config)
    device = compute.device_named(wanted.compute.device)
    results = Path(snakemake.input.config).parent
    networks = forecast.networks_used(wanted, grid.expand(wanted), results)
    storage.write_json(snakemake.output.calibration, calibration.measure(networks, device))
