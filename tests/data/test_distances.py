"""Distances between points, against loops in numpy and closed forms."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from condensation.data import distances


def draw(count, width=3, seed=0):
    return torch.randn(
        count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def length(first, second):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(first, second, strict=True)))


def neighbours_by_loop(real, k):
    """Ascending distances of each point to the others, cut after the k-th."""
    rows = []
    for i, point in enumerate(real):
        rows.append(sorted(length(point, other) for j, other in enumerate(real) if j != i)[:k])
    return rows


@pytest.fixture
def real():
    return draw(40)


@pytest.fixture
def points():
    return 0.8 * draw(7, seed=1)


def test_neighbours_are_those_of_a_loop(real, monkeypatch):
    expected = neighbours_by_loop(real.tolist(), 5)
    for rows in (1000, 7):  # in one part, and in parts of unequal size
        monkeypatch.setattr(distances, "_ROWS", rows)
        around = distances.neighbours(real)
        np.testing.assert_allclose(around.nearest, [row[0] for row in expected])
        np.testing.assert_allclose(around.radius, [row[4] for row in expected])


def test_equal_points_are_neighbours_and_a_single_point_has_none():
    assert distances.neighbours(torch.ones(3, 2).double()).radius.tolist() == [0, 0, 0]
    around = distances.neighbours(torch.ones(1, 2).double())
    assert around.nearest.tolist() == around.radius.tolist() == [math.inf]


def test_the_nearest_real_point_is_that_of_a_loop_and_a_copy_has_distance_zero(real, points):
    points = torch.cat([points, real[11:12]])
    positions, lengths = distances.nearest(points, real)
    for point, position, away in zip(points.tolist(), positions, lengths, strict=True):
        every = [length(point, other) for other in real.tolist()]
        assert int(position) == int(np.argmin(every))
        assert float(away) == pytest.approx(min(every), abs=1e-12)
    assert positions[-1] == 11 and lengths[-1] == 0


def test_diversity_is_the_mean_over_pairs(points):
    pairs = [length(a, b) for a, b in combinations(points.tolist(), 2)]
    assert distances.diversity(points) == pytest.approx(np.mean(pairs))
    corners = torch.eye(4).double()
    assert distances.diversity(corners) == pytest.approx(math.sqrt(2))
    assert distances.diversity(corners[:1]) is None


def test_representativeness_is_the_mean_over_real_points(real, points):
    every = [min(length(point, other) for other in points.tolist()) for point in real.tolist()]
    assert distances.representativeness(points, real) == pytest.approx(np.mean(every))
    assert distances.representativeness(real, real) == 0


@pytest.mark.parametrize("k", [1, 3, 5])
def test_density_and_coverage_are_those_of_a_loop(real, points, k, monkeypatch):
    monkeypatch.setattr(distances, "_ROWS", 4)
    radii = [row[-1] for row in neighbours_by_loop(real.tolist(), k)]
    inside, hit = 0, [False] * len(real)
    for point in points.tolist():
        for i, centre in enumerate(real.tolist()):
            if length(point, centre) <= radii[i]:
                inside, hit[i] = inside + 1, True
    density, coverage = distances.density_and_coverage(
        points, real, distances.neighbours(real, k), k
    )
    assert 0 < coverage < 1
    assert density == pytest.approx(inside / (k * len(points)))
    assert coverage == pytest.approx(np.mean(hit))


def test_the_real_points_cover_themselves_and_far_points_cover_nothing(real):
    around = distances.neighbours(real)
    density, coverage = distances.density_and_coverage(real, real, around)
    # each ball has its centre and its five neighbours
    assert (density, coverage) == (pytest.approx(6 / 5), 1)
    assert distances.density_and_coverage(real + 100, real, around) == (0, 0)


def test_a_point_on_the_surface_of_a_ball_lies_in_it():
    """On a line of whole numbers, the balls of k = 1 reach exactly to the next number."""
    line = torch.arange(6).double()[:, None]
    around = distances.neighbours(line, k=1)
    density, coverage = distances.density_and_coverage(line[2:3], line, around, k=1)
    assert (density, coverage) == (3, 0.5)


def test_density_and_coverage_need_a_second_real_point():
    single = torch.zeros(1, 2).double()
    around = distances.neighbours(single)
    assert distances.density_and_coverage(single, single, around) == (None, None)
    assert distances.close_share(torch.zeros(1), around) is None


def test_copies_are_close_and_what_lies_between_real_points_is_not():
    """Real points at distance 2: close is a distance of at most 1."""
    real = 2 * torch.arange(10).double()[:, None]
    around = distances.neighbours(real)
    points = torch.tensor([[4.0], [6.9], [9.0], [30.0]], dtype=torch.float64)
    _, lengths = distances.nearest(points, real)
    assert lengths.tolist() == pytest.approx([0, 0.9, 1, 12])
    assert distances.close_share(lengths, around) == 0.75
    assert distances.close_share(lengths + 0.2, around) == 0.25
    copies = torch.zeros(3).double()
    equal = distances.neighbours(torch.zeros(4, 1).double())  # the median is 0
    assert distances.close_share(copies, equal) == 1
