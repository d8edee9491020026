"""What the workflow runs: the grid of cells, jobs and their digests, provenance. Free of torch."""
