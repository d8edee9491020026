"""Rule make_evidence: cells beside the printed numbers, findings, records, pictures of sets."""

from pathlib import Path

from condensation.config import loading
from condensation.core import storage
from condensation.data import datasets
from condensation.figures import along, beside_print, images, sources, style
from condensation.nas import tables as ranking_tables
from condensation.paper import cells, evidence, evidence_page, printed
from condensation.results import frames as tables
from condensation.results import record_file
from condensation.workflow import figure_plan, grid, jobs
from job import job


def pictures(dataset, whitenings, condensed, ipc):
    """Return the images of every set of a dataset and an IPC, the first of each class."""
    views = sources.views(dataset, whitenings)
    chosen = [p for p in condensed if storage.read_metadata(p).get("ipc") == ipc]
    drawn = {}
    for path in chosen:
        for method, view, found in sources.condensed(views, [path]):
            drawn[f"{method} {storage.read_metadata(path)['seed']}"] = sources.first(view, found)
    title = f"{dataset.name}: {ipc} image{'s' * (ipc > 1)} per class, every set and its seed"
    return images.Pictures(drawn, dataset.classes[: sources.SHOWN], title)


with job(snakemake):
    root = Path(snakemake.input.config).parent
    wanted = loading.load(snakemake.input.config)
    runs = tables.load_runs(snakemake.input.runs)
    as_printed = printed.load(snakemake.input.printed)
    numbers, slips = printed.reread(as_printed), printed.implied(as_printed)
    costs = tables.costs(jobs.made_sets(wanted, grid.expand(wanted)), snakemake.input.costs, runs)
    # those that count; of an unfinished run some may have been left out
    paths = [path for path in runs["record"].unique() if path]
    spent = [str(Path(path).with_suffix(".cost.json")) for path in paths]
    contents = {p: storage.read_json(p) for p in (*paths, *spent, *snakemake.input.costs)}
    networks = evidence.network_costs(
        [contents[path] for path in paths], [contents[path] for path in spent]
    )
    collected = cells.collect(wanted, runs, numbers, slips)
    rankings = getattr(snakemake.input, "ranking", [])
    ranking = ranking_tables.load(rankings[0]) if rankings else None
    frames = evidence.every(collected, runs, costs, networks, ranking)
    for name, frame in frames.items():
        storage.write_text(getattr(snakemake.output, name), evidence.as_csv(frame))
    head = evidence_page.head_of_run(storage.read_json(snakemake.input.provenance))
    page = evidence_page.markdown(frames, head)
    storage.write_text(snakemake.output.page, page)
    style.save(beside_print.draw(frames["cells"]), snakemake.output.figure)
    styles = style.method_styles(figure_plan.methods(wanted))
    for path in snakemake.output.drawn_curves:
        style.save(along.draw(frames["curves"], frames["ends"], styles), path)
    with storage.atomic(snakemake.output.records) as temporary:
        below = {str(Path(path).relative_to(root)): held for path, held in contents.items()}
        temporary.write_bytes(record_file.pack(below))
    loaded = {dataset.name: dataset for dataset in map(datasets.load, snakemake.input.datasets)}
    for path, (name, ipc) in zip(snakemake.output.pictures, snakemake.params.pictured, strict=True):
        whitenings = getattr(snakemake.input, "whitenings", [])
        drawn = pictures(loaded[name], whitenings, snakemake.input.condensed, ipc)
        style.save(images.image_grids([drawn]), path)
