"""Rule extract_features: the embedding of every training image, once per dataset and seed."""

from condensation.core import compute, storage
from condensation.data import datasets
from condensation.training import features
from job import job

with job(snakemake):
    dataset = datasets.load(snakemake.input.dataset)
    seed = int(snakemake.wildcards.condensation_seed)
    options = snakemake.params.job["options"]
    compile = snakemake.params.compile
    device = compute.device_named(snakemake.config["compute"]["device"])
    training = {name: value for name, value in options.items() if name != "layer"}
    network = features.train(dataset, seed, device=device, compile=compile, **training)
    embedding = features.extract(network, dataset, options["layer"], compile)
    storage.write_tensors(
        snakemake.output.features,
        {"features": embedding},
        {
            "kind": "features",
            "dataset": dataset.name,
            "seed": seed,
            "options": options,
            "source": snakemake.params.job["source"],
        },
    )
