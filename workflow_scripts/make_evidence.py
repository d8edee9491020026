"""Rule make_evidence: cells beside the printed numbers, findings, records, pictures of sets."""

from pathlib import Path

from condensation.config import loading
from condensation.core import storage
from condensation.data import datasets
from condensation.figures import evidence as evidence_figures
from condensation.figures import images, sources, style
from condensation.nas import tables as ranking_tables
from condensation.paper import evidence, evidence_page, printed
from condensation.results import frames, record_file, records
from condensation.workflow import figure_plan
from job import job


def pictures(dataset, whitenings, condensed, ipc):
    """Return the first images per class of every set of a dataset and IPC."""
    views = sources.dataset_views(dataset, whitenings)
    drawn = {}
    for path in condensed:
        metadata = storage.read_metadata(path)
        if metadata.get("ipc") == ipc:
            for method, view, held in sources.condensed_sets(views, [path]):
                drawn[f"{method} {metadata['seed']}"] = sources.first_images(view, held)
    title = f"{dataset.name}: {ipc} image{'s' * (ipc > 1)} per class, all sets with their seeds"
    return images.Pictures(drawn, dataset.classes[: sources.SHOWN], title)


with job(snakemake):
    config = loading.load(snakemake.input.config)
    root = Path(snakemake.input.config).parent
    runs = frames.load_runs(snakemake.input.runs)
    used = [path for path in runs["record"].unique() if path]  # without those left out
    costs = [Path(path).with_suffix(".cost.json") for path in used]
    contents = records.read([*used, *costs, *snakemake.input.costs])
    contents = {str(Path(path).relative_to(root)): held for path, held in contents.items()}
    rankings = getattr(snakemake.input, "ranking", [])
    ranking = ranking_tables.load(rankings[0]) if rankings else None
    numbers = printed.load(snakemake.input.printed)
    tables, _ = evidence.tables_from_records(config, contents, numbers, ranking)
    for name, table in tables.items():
        storage.write_text(getattr(snakemake.output, name), evidence.as_csv(table))
    head = evidence_page.head_of_run(storage.read_json(snakemake.input.provenance))
    storage.write_text(snakemake.output.page, evidence_page.markdown(tables, head))
    style.save(evidence_figures.beside_print(tables["cells"]), snakemake.output.figure)
    methods = figure_plan.methods(config)
    for path in snakemake.output.drawn_curves:
        style.save(evidence_figures.curves(tables["curves"], tables["ends"], methods), path)
    with storage.atomic(snakemake.output.records) as temporary:
        temporary.write_bytes(record_file.pack(contents))
    loaded = {dataset.name: dataset for dataset in map(datasets.load, snakemake.input.datasets)}
    for path, (name, ipc) in zip(snakemake.output.pictures, snakemake.params.pictured, strict=True):
        whitenings = getattr(snakemake.input, "whitenings", [])
        drawn = pictures(loaded[name], whitenings, snakemake.input.condensed, ipc)
        style.save(images.image_grids([drawn]), path)
