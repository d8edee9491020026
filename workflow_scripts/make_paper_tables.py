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
    wanted = loading.load(snakemake.input.config)
    runs = frames.load_runs(snakemake.input.runs)
    as_printed = printed.load(snakemake.input.printed)
    numbers, slips = printed.reread(as_printed), printed.implied(as_printed)
    costs = frames.costs(jobs.made_sets(wanted, grid.expand(wanted)), snakemake.input.costs, runs)
    nas = None
    if path := getattr(snakemake.input, "nas", None):
        nas = ranking_tables.load(path)
    cells = paper_cells.collect(wanted, runs, numbers, slips)
    tables = {table.number: table for table in paper_tables.every(cells, costs, nas)}
    output = snakemake.output
    paths = zip(output.csv, output.markdown, output.latex, strict=True)
    for number, (csv, markdown, latex) in zip(snakemake.params.numbers, paths, strict=True):
        table = tables[number]
        text = table.entries.to_csv(index=False, lineterminator="\n", float_format="%.4f")
        storage.write_text(csv, text)
        storage.write_text(markdown, rendering.markdown(table))
        storage.write_text(latex, rendering.latex(table))
