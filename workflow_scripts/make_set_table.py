"""Rule make_set_table: what condensed sets are like, as a table."""

from condensation.core import storage
from condensation.results import set_table
from job import job

with job(snakemake, torch_threads=False):
    table = set_table.frame(map(storage.read_json, snakemake.input.measures))
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    storage.write_text(snakemake.output.csv, text)
