"""Rule calibrate: how fast this device is with the networks of the config."""

from condensation import calibration, compute, config, forecast, grid, sizes, storage
from job import job

# a cell with as many convolutions as the mean of the search space
_CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"

with job(snakemake):
    wanted = config.load(snakemake.input.config)
    device = compute.device_named(wanted.compute.device)
    networks = []
    for architecture, dataset in forecast.networks_used(wanted, grid.expand(wanted)):
        if architecture == "nasbench201":
            entry = {"network": "nasbench201", "cell": _CELL}
            entry |= wanted.nas.network.model_dump()
        else:
            entry = wanted.architectures[architecture].model_dump()
        data = sizes.images(wanted.datasets[dataset])
        networks.append((architecture, dataset, entry, data))
    storage.write_json(snakemake.output.calibration, calibration.measure(networks, device))
