"""Rule make_paper_tables: Tables 1 to 9 of networks and costs, with the printed numbers."""

from condensation.config import loading
from condensation.core import storage
from condensation.nas import tables as ranking_tables
from condensation.paper import cells as paper_cells
from condensation.paper import printed, rendering
from condensation.paper import tables as paper_tables
from condensation.results import frames
from condensation.workflow import grid, jobs
from job import job

with job(snakemake, torch_threads=False):
    config = loading.load(snakemake.input.config)
    runs = frames.load_runs(snakemake.input.runs)
    sets = jobs.made_sets(config, grid.expand(config))
    contents = map(storage.read_json, snakemake.input.costs)
    costs = frames.costs(dict(zip(sets, contents, strict=True)), runs)
    ranking = None
    if path := getattr(snakemake.input, "nas", None):
        ranking = ranking_tables.load(path)
    cells = paper_cells.collect(config, runs, printed.load(snakemake.input.printed))
    for table, csv, markdown, latex in zip(
        paper_tables.all_tables(cells, costs, ranking),
        snakemake.output.csv,
        snakemake.output.markdown,
        snakemake.output.latex,
        strict=True,
    ):
        text = table.entries.to_csv(index=False, lineterminator="\n", float_format="%.4f")
        storage.write_text(csv, text)
        storage.write_text(markdown, rendering.markdown(table))
        storage.write_text(latex, rendering.latex(table))
