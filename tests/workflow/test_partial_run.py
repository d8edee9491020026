"""The arguments of the run that shows what a failed one has made."""

import os

import pytest

from condensation.workflow import partial_run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--cores 2", "--cores 2 --config partial=true --nolock"),
        ("--config a=1 --cores 2", "--config partial=true a=1 --cores 2 --nolock"),
        ("all -C a=1", "all -C partial=true a=1 --nolock"),
    ],
)
def test_partial_is_added_to_the_options_of_the_config(arguments, expected):
    assert partial_run.arguments(arguments.split()) == expected.split()


def test_a_file_is_new_if_it_was_written_since(tmp_path):
    path = tmp_path / "a"
    assert not partial_run.is_newer(path, 0)
    path.touch()
    os.utime(path, (100, 100))
    assert partial_run.is_newer(path, 100) and not partial_run.is_newer(path, 101)
