"""Rule make_robustness: accuracies on corrupted test images, from the records in the tables."""

from condensation.core import storage
from condensation.results import frames, records, robustness
from job import job

with job(snakemake, torch_threads=False):
    runs = frames.load_runs(snakemake.input.runs)
    # what make_tables has checked; a missing network has no record
    contents = records.read(filter(None, runs["record"].unique()))
    table = robustness.table(frames.corruptions(contents.values()))
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.4f")
    storage.write_text(snakemake.output.csv, text)
