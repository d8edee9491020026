"""Rule embed_class: a map of the features of one class, real and condensed (figure 7)."""

import torch

from condensation import compute, datasets, features, storage
from condensation.figures import embedding, sources
from job import job

with job(snakemake):
    device = compute.device_named(snakemake.config["compute"]["device"])
    label = snakemake.params.job["label"]
    dataset = datasets.load(snakemake.input.dataset)
    views = sources.views(dataset, getattr(snakemake.input, "whitenings", []))
    real = dataset.train_images[dataset.train_labels == label]
    by_kind: dict = {}
    for method, view, images in sources.condensed(views, snakemake.input.condensed):
        by_kind.setdefault(view.preprocessing["kind"], {})[method] = images[label]
    points, about = {}, {}
    for path in snakemake.input.networks:
        kind = sources.kind_of(path)
        network, facts = features.load(path, views[kind], device)
        condensed = by_kind.get(kind, {})
        inputs = [views[kind].preprocess(real), *condensed.values()]
        embedded = [features.embed(network, one).numpy() for one in inputs]
        found = embedding.neighbour_map(embedded)
        points[f"real/{kind}"] = torch.from_numpy(found[0])
        for method, own in zip(condensed, found[1:], strict=True):
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
