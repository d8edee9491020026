"""Rule embed_class: a map of the features of one class, real and condensed (figure 7)."""

import torch

from condensation.core import compute, storage
from condensation.data import datasets
from condensation.figures import sources, tsne
from condensation.training import features
from job import job

with job(snakemake):
    device = compute.device_named(snakemake.config["compute"]["device"])
    label = snakemake.params.job["label"]
    dataset = datasets.load(snakemake.input.dataset)
    views = sources.views(dataset, getattr(snakemake.input, "whitenings", []))
    networks = {sources.kind_of(path): path for path in snakemake.input.networks}
    points, about = {}, {}
    found = sources.inputs_of_class(views, label, snakemake.input.condensed)
    for kind, (real, condensed) in found.items():
        network, facts = features.load(networks[kind], views[kind], device)
        parts = [features.embed(network, one).numpy() for one in (real, *condensed.values())]
        places = dict(zip(["", *condensed], tsne.neighbour_map(parts), strict=True))
        points[f"real/{kind}"] = torch.from_numpy(places.pop(""))
        for method, own in places.items():
            points[f"condensed/{method}"] = torch.from_numpy(own)
            about[method] = {"preprocessing": kind, "test_accuracy": facts["test_accuracy"]}
    storage.write_tensors(
        snakemake.output.map,
        points,
        {
            "kind": "map of features",
            "dataset": dataset.name,
            "class": dataset.classes[label],
            "ipc": int(snakemake.wildcards.ipc),
            "methods": about,
            "source": snakemake.params.job["source"],
        },
    )
