"""Rule write_provenance: what made the results, and how long it took."""

from pathlib import Path

from condensation.config import loading
from condensation.core import storage
from condensation.workflow import digest, grid, provenance
from job import job

with job(snakemake, torch_threads=False):
    config = loading.load(snakemake.input.config)
    results = Path(snakemake.input.config).parent
    expected = provenance.benchmark_files(config, grid.expand(config, results))
    storage.write_json(
        snakemake.output.provenance,
        {
            "versions": provenance.versions(),
            "machine": provenance.machine(),
            "sets_made_on": provenance.devices(map(storage.read_json, snakemake.input.costs)),
            "git": provenance.commit(digest.ROOT.parent),
            "config": provenance.file_digest(snakemake.input.config),
            "images": provenance.images_read(map(storage.read_metadata, snakemake.input.datasets)),
            "rules": provenance.rule_times(results / "benchmarks", expected),
        },
    )
