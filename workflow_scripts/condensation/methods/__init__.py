"""Condensation methods: one module each, with ``condense(problem, *, option=...)``.

It imports nothing, so that the digest of a method does not cover the others. A module of the
same name in ``condensation.config.methods`` describes the method and its options.
"""
