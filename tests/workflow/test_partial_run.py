"""Which files the run that shows results calls new."""

import os

from condensation.workflow import partial_run


def test_a_file_is_new_if_it_was_written_since(tmp_path):
    path = tmp_path / "a"
    assert not partial_run.is_newer(path, 0)
    path.touch()
    os.utime(path, (100, 100))
    assert partial_run.is_newer(path, 100) and not partial_run.is_newer(path, 101)
