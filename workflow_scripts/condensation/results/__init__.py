"""Records of finished jobs: reading, checks, tables, statistics."""
