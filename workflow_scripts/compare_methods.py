"""Rule compare_methods: what may be said of the methods' differences."""

from condensation.config import loading
from condensation.core import storage
from condensation.results import comparison, frames
from job import job

with job(snakemake, torch_threads=False):
    wanted = loading.load(snakemake.input.config)
    found = comparison.compare(frames.load_runs(snakemake.input.runs), wanted)
    for name, frame in found.frames.items():
        text = frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        storage.write_text(snakemake.output[name], text)
    storage.write_json(snakemake.output.ranking, found.ranking)
    storage.write_text(snakemake.output.markdown, comparison.markdown(found, wanted))
