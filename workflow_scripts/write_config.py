"""Rule write_config: the config as it was used, every default filled in."""

import yaml

from condensation.core import storage
from job import job

with job(snakemake, torch_threads=False):
    text = yaml.safe_dump(snakemake.params.config, sort_keys=False, allow_unicode=True)
    storage.write_text(snakemake.output.config, text)
