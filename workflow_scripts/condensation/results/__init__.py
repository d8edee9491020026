"""Records of finished jobs: collected, checked, tidied, compared."""
