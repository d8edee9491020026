"""Rule download: one official archive, from the mirror or its own address, checksum verified."""

from pathlib import Path

from condensation.files import archives
from job import job, log

with job(snakemake, torch_threads=False):
    name = Path(snakemake.output.archive).name
    archive = next(a for group in archives.OFFICIAL.values() for a in group if a.name == name)
    archives.fetch(archive, snakemake.output.archive, snakemake.config["data"]["mirror"], log.info)
