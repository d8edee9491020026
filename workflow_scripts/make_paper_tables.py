"""Rule make_paper_tables: those of Tables 1 to 9 that the config has cells of."""

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
    tables = {table.number: table for table in paper_tables.all_tables(cells, costs, ranking)}
    output = snakemake.output
    paths = zip(output.csv, output.markdown, output.latex, strict=True)
    for number, (csv, markdown, latex) in zip(snakemake.params.numbers, paths, strict=True):
        table = tables[number]
        text = table.entries.to_csv(index=False, lineterminator="\n", float_format="%.4f")
        storage.write_text(csv, text)
        storage.write_text(markdown, rendering.markdown(table))
        storage.write_text(latex, rendering.latex(table))
