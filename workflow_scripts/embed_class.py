"""Rule embed_class: a map of the features of one class, real and condensed (figure 7)."""

import torch

from condensation.core import compute, storage
from condensation.data import datasets
from condensation.figures import sources, tsne
from condensation.networks import stored
from condensation.training import features
from job import job

with job(snakemake):
    device = compute.device_named(snakemake.config["compute"]["device"])
    label = snakemake.params.job["label"]
    dataset = datasets.load(snakemake.input.dataset)
    views = sources.dataset_views(dataset, getattr(snakemake.input, "whitenings", []))
    networks = {sources.preprocessing_kind(path): path for path in snakemake.input.networks}
    points, methods = {}, {}
    inputs = sources.inputs_of_class(views, label, snakemake.input.condensed)
    for kind, (real, condensed) in inputs.items():
        network, facts = stored.load(networks[kind], views[kind], device)
        parts = [features.embed(network, part).numpy() for part in (real, *condensed.values())]
        real_map, *condensed_maps = map(torch.from_numpy, tsne.neighbour_map(parts))
        points[f"real/{kind}"] = real_map
        for method, condensed_map in zip(condensed, condensed_maps, strict=True):
            points[f"condensed/{method}"] = condensed_map
            methods[method] = {"preprocessing": kind, "test_accuracy": facts["test_accuracy"]}
    storage.write_tensors(
        snakemake.output.map,
        points,
        {
            "kind": "map of features",
            "dataset": dataset.name,
            "class": dataset.classes[label],
            "ipc": int(snakemake.wildcards.ipc),
            "methods": methods,
            "source": snakemake.params.job["source"],
        },
    )
