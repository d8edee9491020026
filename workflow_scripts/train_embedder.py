"""Rule train_embedder: train the network of figure 7's features on the real images."""

from dataclasses import replace

from condensation.core import compute, storage
from condensation.data import datasets, whitening
from condensation.training import features, metrics, stacking
from job import job

with job(snakemake):
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    options = snakemake.params.job["options"]
    device = compute.device_named(snakemake.config["compute"]["device"])
    network = features.train(dataset, 0, device=device, compile=snakemake.params.compile, **options)
    (row,) = metrics.measure(stacking.alone(network), 1, dataset, device)
    storage.write_tensors(
        snakemake.output.network,
        dict(network.state_dict()),
        {
            "kind": "features network",
            "dataset": dataset.name,
            "preprocessing": dataset.preprocessing,
            "test_accuracy": row["accuracy"],
            "options": options,
            "source": snakemake.params.job["source"],
        },
    )
