"""Memory that runs out ends a training job with no result; other errors stay errors."""

import pytest
import torch

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


def outputs_of(network):
    """The rows of two networks, one after the other, with what they make of an image of zeros."""
    rows, _ = jobs.train_networks(
        *([3, 5], network, lambda *_: None),
        lambda _, forward, __: [{"output": forward(torch.zeros(1, 1, 1, 1, 1)).item()}],
        example=network(3),
        shape=(1, 1, 1),
        batch_size=1,
        stack=False,
    )
    return rows


def test_networks_one_after_the_other_have_their_own_buffers():
    class Drawn(torch.nn.Module):
        def __init__(self, seed):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(10.0 * seed))
            self.register_buffer("drawn", torch.tensor(float(seed)), persistent=False)

        def forward(self, images):
            return images.flatten(1) + self.weight + self.drawn

    rows = outputs_of(Drawn)
    assert rows == [{"seed": 3, "output": 33.0}, {"seed": 5, "output": 55.0}]


def test_a_buffer_that_a_network_makes_as_it_is_used_stays():
    class Masked(torch.nn.Module):
        def __init__(self, seed):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(10.0 * seed))
            self.register_buffer("mask", None, persistent=False)

        def forward(self, images):
            if self.mask is None:
                self.mask = torch.ones(images.flatten(1).shape[1])
            return images.flatten(1) + self.weight * self.mask

    rows = outputs_of(Masked)
    assert [row["output"] for row in rows] == [30.0, 50.0]
