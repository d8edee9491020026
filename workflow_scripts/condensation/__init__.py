"""Dataset condensation: methods, evaluation protocol and tables.

The library knows nothing of Snakemake; the rules call it through the thin
scripts beside it, and tests and notebooks use it directly.
"""

__version__ = "0.2.0"
