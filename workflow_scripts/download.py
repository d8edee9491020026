"""Rule download: one official archive, from the mirror or its own address, checksum verified."""

from pathlib import Path

from condensation.files import download
from condensation.files.official import OFFICIAL
from job import job, log

with job(snakemake, torch_threads=False):
    name = Path(snakemake.output.archive).name
    archive = next(
        archive for archives in OFFICIAL.values() for archive in archives if archive.name == name
    )
    download.fetch(archive, snakemake.output.archive, snakemake.config["data"]["mirror"], log.info)
