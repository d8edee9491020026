"""Rule list_slips: where the paper's printed tables contradict each other."""

from condensation.core import storage
from condensation.paper import printed
from job import job

with job(snakemake, torch_threads=False):
    numbers = printed.load(snakemake.input.printed)
    text = printed.slips(numbers).to_csv(index=False, lineterminator="\n")
    storage.write_text(snakemake.output.csv, text)
    storage.write_text(snakemake.output.markdown, printed.markdown(numbers))
