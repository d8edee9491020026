"""Rule make_leaderboard: all cells with their details, as one web page."""

from condensation.config import loading
from condensation.core import storage
from condensation.data import datasets, sets
from condensation.figures import sources
from condensation.leaderboard import details, pictures, ranks
from condensation.leaderboard import page as leaderboard_page
from condensation.results import frames, gains, records
from condensation.workflow import grid, jobs
from job import job


def set_details(snakemake, set_ids):
    """Return the metadata, cost and picture of each condensed set."""
    whitenings = getattr(snakemake.input, "whitenings", [])
    loaded = map(datasets.load, snakemake.input.datasets)
    views = {dataset.name: sources.dataset_views(dataset, whitenings) for dataset in loaded}
    by_set = {}
    for set_id, path, cost in zip(
        set_ids, snakemake.input.condensed, snakemake.input.costs, strict=True
    ):
        dataset = views[set_id.dataset][sources.preprocessing_kind(path)]
        condensed, metadata = sets.load(path, dataset)
        picture = ()
        if condensed is not None and condensed.images is not None:
            first = sources.first_images(dataset, condensed)
            picture = pictures.picture_of_set(first, len(dataset.classes), metadata["ipc"])
        size = 0 if condensed is None else len(condensed.labels)
        by_set[set_id] = details.SetDetails(metadata, storage.read_json(cost), *picture, size=size)
    return by_set


with job(snakemake):
    config = loading.load(snakemake.input.config)
    cells = grid.expand(config)
    by_set = set_details(snakemake, jobs.made_sets(config, cells))
    board = ranks.rows(frames.load_accuracy(snakemake.input.table), cells)
    board = board.join(details.costs(board, by_set))
    board = board.join(details.budgets_of(board, by_set, config.teacher.features))
    algorithms = {name: entry.algorithm for name, entry in config.methods.items()}
    board = board.join(gains.of_cells(board, algorithms))
    contents = records.read(snakemake.input.records, [] if config.partial else None)
    used = contents.values()
    if config.partial:  # only the records of the table
        used = records.check(contents, config, left_out=[])
    page = leaderboard_page.render(board, details.row_details(board, used, by_set))
    storage.write_text(snakemake.output.page, page)
