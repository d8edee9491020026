"""Rule measure_set: what a condensed set is like beside the real images."""

from dataclasses import replace

from condensation.core import storage
from condensation.data import datasets, set_measures, sets, whitening
from job import job

FACTS = ("status", "cause", "classes", "shape", "labels", "preprocessing", "algorithm", "content")
FACTS += ("source",)

with job(snakemake):
    dataset = datasets.load(snakemake.input.dataset)
    if hasattr(snakemake.input, "whitening"):
        dataset = replace(dataset, whitening=whitening.load(snakemake.input.whitening))
    around = set_measures.load_neighbours(snakemake.input.neighbours, dataset)
    condensed, metadata = sets.load(snakemake.input.condensed, dataset)
    wildcards = snakemake.wildcards
    content = {name: wildcards[name] for name in ("dataset", "method", "ipc")}
    content["condensation_seed"] = int(wildcards.condensation_seed)
    content["set"] = {name: metadata[name] for name in FACTS if name in metadata}
    measures = condensed and set_measures.measure(condensed.formed(), dataset, around)
    content |= {"measures": measures, "source": snakemake.params.job["source"]}
    storage.write_json(snakemake.output.measures, content)
