"""Figures: ``plan`` says which ones a config asks for; the others draw them.

Import the modules, not this package: it stays empty, so that ``plan`` is free of matplotlib.
"""
