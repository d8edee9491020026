"""Condensation methods: one module each, with ``condense(problem, *, option=...)``.

Kept free of imports, so that a digest of one method does not cover the others.
The options and their defaults are in ``condensation.config.methods``.
"""
