"""The examples in the docstrings run, and show what they say."""

import doctest
import importlib

import pytest

MODULES = [
    "condensation.api",
    "condensation.augmentation",
    "condensation.augmentation.dsa",
    "condensation.data.corruptions",
    "condensation.data.datasets",
    "condensation.data.distances",
    "condensation.data.export",
    "condensation.data.sets",
    "condensation.data.splits",
    "condensation.data.whitening",
    "condensation.networks",
    "condensation.networks.cells201",
    "condensation.results.budgets",
    "condensation.training.evaluation",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_show_what_they_say(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted and not result.failed
