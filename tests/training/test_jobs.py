"""Memory that runs out ends a training job with no result; other errors stay errors."""

import pytest

from condensation.training import jobs


def test_only_missing_memory_is_caught(caplog):
    def fail(error):
        raise error

    assert jobs.unless_out_of_memory(lambda: 3) == 3
    assert jobs.unless_out_of_memory(lambda: fail(MemoryError("all 8 GiB"))) is None
    assert "out of memory: all 8 GiB" in caplog.text
    with pytest.raises(ValueError, match="another"):
        jobs.unless_out_of_memory(lambda: fail(ValueError("another")))


@pytest.mark.parametrize(
    ("at_once", "networks", "expected"), [(None, 3, None), (7, 2, 3), (2, 5, 1), (6, 1, 6)]
)
def test_the_images_of_a_pass_are_shared_among_the_networks(at_once, networks, expected):
    assert jobs.images_each(at_once, networks) == expected
