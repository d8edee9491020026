"""Rule make_leaderboard: all cells, and what stands behind them, as one web page."""

from dataclasses import replace

from condensation.config import loading
from condensation.core import storage
from condensation.data import datasets, sets, whitening
from condensation.leaderboard import details, pictures, ranks
from condensation.leaderboard import page as leaderboard_page
from condensation.results import frames, records
from condensation.workflow import grid, jobs
from job import job


def pictured_sets(snakemake, made):
    """Return every condensed set that was made, with its picture."""
    prepared = {}
    for path in snakemake.input.datasets:
        dataset = datasets.load(path)
        prepared[dataset.name] = {"standardize": dataset}
    for path in getattr(snakemake.input, "whitenings", []):
        fitted = whitening.load(path)
        name = storage.read_metadata(path)["dataset"]
        ways = prepared[name]
        ways[fitted.kind] = replace(ways["standardize"], whitening=fitted)
    found = {}
    for set_id, path, cost in zip(
        made, snakemake.input.condensed, snakemake.input.costs, strict=True
    ):
        kind = storage.read_metadata(path).get("preprocessing", {}).get("kind", "standardize")
        dataset = prepared[set_id.dataset][kind]
        condensed, about = sets.load(path, dataset)
        picture = ()
        if condensed is not None and condensed.images is not None:
            picture = pictures.of_set(condensed, dataset, about["ipc"])
        found[set_id] = details.MadeSet(about, storage.read_json(cost), *picture)
    return found


def main(snakemake):
    """Write the page."""
    wanted = loading.load(snakemake.input.config)
    everything = grid.expand(wanted)
    made = pictured_sets(snakemake, jobs.made_sets(wanted, everything))
    table = frames.load_accuracy(snakemake.input.table)
    board = ranks.rows(table, everything)
    board = board.join(details.costs(board, made))
    paths = snakemake.input.records
    if wanted.partial:  # those that the table is made from
        paths = [one["path"] for one in records.read(paths, wanted, left_out=[])]
    behind = details.gather(board, paths, made)
    storage.write_text(snakemake.output.page, leaderboard_page.render(board, behind))


with job(snakemake):
    main(snakemake)
