"""Streams: apart from each other, and from the global state."""

import torch

from condensation.core.randomness import derive_seed, generator, seeded


def test_streams_differ_by_seed_and_purpose_and_repeat_themselves():
    names = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 1), (0, "a", 11), (0, "a1", 1)]
    assert len({derive_seed(*name) for name in names}) == len(names)
    assert all(0 <= derive_seed(*name) < 2**63 for name in names)
    draws = [torch.rand(3, generator=generator(0, "a")) for _ in range(2)]
    assert torch.equal(*draws)


def test_the_global_state_is_put_back_and_does_not_matter():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(0, "network"):
        first = torch.nn.Linear(4, 4).weight
    assert torch.equal(torch.rand(3), expected)
    with seeded(0, "network"):
        assert torch.equal(torch.nn.Linear(4, 4).weight, first)
