"""Ranking architectures by networks that were trained on condensed sets."""
