"""How many images go through a network at a time."""

import pytest
import torch
from torch import nn

from condensation import networks
from condensation.core import compute

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "count, most, size",
    [(256, None, 256), (10, 32, 10), (256, 32, 32), (100, 32, 25), (10_000, 32, 25), (7, 2, 2)],
)
def test_parts_are_equal_where_that_costs_little(count, most, size):
    assert compute.part_size(count, most) == size


def test_every_part_is_within_the_bound():
    for count in range(1, 200):
        for most in range(1, 40):
            size = compute.part_size(count, most)
            assert 1 <= size <= most or size == count <= most
            parts = torch.arange(count).split(size)
            assert len(parts) <= 2 * -(-count // most)


def test_as_many_as_the_largest_output_allows():
    # 128 maps of 32 x 32 floats are half a megabyte
    convnet = networks.build(
        {"network": "convnet", "width": 128, "depth": None}, (3, 32, 32), 10, 0
    )
    assert compute.images_at_once(convnet, (3, 32, 32), CPU) == 32
    assert compute.images_at_once(convnet, (3, 32, 32), torch.device("cuda")) is None
    for kept in (True, False):
        batch_norm = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=kept))
        assert compute.images_at_once(batch_norm, (3, 32, 32), CPU) is None
    huge = nn.Sequential(nn.Flatten(), nn.Linear(12, 2**23))
    assert compute.images_at_once(huge, (3, 2, 2), CPU) == 1


def test_in_parts_is_the_whole():
    x = torch.randn(11, 3)
    assert torch.equal(compute.in_parts(lambda part: part * 2, x, 4), x * 2)
