"""Rule write_provenance: what made the results, and how long it took."""

from pathlib import Path

from condensation.config import loading
from condensation.core import storage
from condensation.workflow import digest, grid, provenance
from job import job

with job(snakemake, torch_threads=False):
    used = loading.load(snakemake.input.config)
    benchmarks = Path(snakemake.input.config).parent / "benchmarks"
    wanted = provenance.benchmark_files(used, grid.expand(used))
    storage.write_json(
        snakemake.output.provenance,
        {
            "versions": provenance.versions(),
            "machine": provenance.machine(),
            "sets_made_on": provenance.devices(snakemake.input.costs),
            "git": provenance.commit(digest.ROOT.parent),
            "config": provenance.file_digest(snakemake.input.config),
            "images": provenance.images_read(snakemake.input.datasets),
            "rules": provenance.rule_times(benchmarks, wanted),
        },
    )
