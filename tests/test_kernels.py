"""The closed-form kernel against wide finite networks and known answers."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, jacrev, vmap

from condensation.kernels import BIAS_STD, WEIGHT_STD, conv_features, conv_kernel, fc_ntk


def points(n, d=6):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


class Wide(torch.nn.Module):
    """A ReLU network in NTK parameterisation."""

    def __init__(self, d, width, depth):
        super().__init__()
        sizes = [d, *[width] * depth, 1]
        self.w = torch.nn.ParameterList(
            torch.randn(o, i, dtype=torch.float64) for i, o in pairwise(sizes)
        )
        self.b = torch.nn.ParameterList(torch.randn(o, dtype=torch.float64) for o in sizes[1:])

    def forward(self, x):
        for i, (w, b) in enumerate(zip(self.w, self.b, strict=True)):
            x = F.relu(x) if i else x
            x = WEIGHT_STD / math.sqrt(w.shape[1]) * w @ x + BIAS_STD * b
        return x[0]


@pytest.mark.parametrize("depth, width", [(1, 20000), (2, 1500)])
def test_the_ntk_is_that_of_a_wide_network(depth, width):
    torch.manual_seed(0)
    x = points(4)
    x[3] = x[0]  # two points that coincide
    network = Wide(6, width, depth)
    weights = dict(network.named_parameters())

    def slopes(one):
        found = jacrev(lambda w: functional_call(network, w, (one,)))(weights)
        return torch.cat([part.flatten() for part in found.values()])

    rows = vmap(slopes)(x)
    empirical, exact = rows @ rows.T, fc_ntk(x, x, depth=depth)
    assert ((empirical - exact).abs() / exact.diagonal().max()).max() < 0.05


def test_the_ntk_of_two_points_by_hand():
    # d = 1, x = 1, z = -1, w^2 = 2, b^2 = 0.01: S = 2.01 on the diagonal, -1.99 across
    cosine = -1.99 / 2.01
    angle = math.acos(cosine)
    first = 2.01 * (math.sin(angle) + (math.pi - angle) * cosine) / (2 * math.pi)
    zeroth = (math.pi - angle) / (2 * math.pi)
    expected = 2 * first + 0.01 + 2 * -1.99 * zeroth
    x, z = torch.ones(1, 1, dtype=torch.float64), -torch.ones(1, 1, dtype=torch.float64)
    assert float(fc_ntk(x, z)) == pytest.approx(expected, rel=1e-6)
    # a point with itself: 2 (2.01 / 2) + 0.01 + 2 (2.01) / 2
    assert float(fc_ntk(x, x)) == pytest.approx(2.01 + 0.01 + 2.01, rel=1e-6)


def test_the_slope_is_right_and_finite_where_points_coincide():
    x = points(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: fc_ntk(x, points(5, 6)[3:]), x)
    twice = torch.cat([points(2), points(2)]).requires_grad_()
    (slope,) = torch.autograd.grad(fc_ntk(twice, twice).sum(), twice)
    assert torch.isfinite(slope).all()


def test_conv_features_are_those_of_a_plain_network():
    images = torch.randn(3, 2, 8, 8)
    found = conv_features(images, torch.Generator().manual_seed(5), width=4, depth=1)
    again = torch.Generator().manual_seed(5)
    weight = torch.randn(4, 2, 3, 3, generator=again)
    bias = torch.randn(4, generator=again)
    for n in range(3):
        for c in range(4):
            padded = F.pad(images[n], (1, 1, 1, 1))
            whole = torch.empty(8, 8)
            for i in range(8):
                for j in range(8):
                    inner = (padded[:, i : i + 3, j : j + 3] * weight[c]).sum()
                    whole[i, j] = max(0, inner * math.sqrt(2 / 18) + 0.1 * bias[c])
            pooled = whole.view(4, 2, 4, 2).mean((1, 3)).flatten() / 8  # 64 features
            torch.testing.assert_close(found[n, c * 16 : (c + 1) * 16], pooled)


def test_the_conv_kernel_settles_as_networks_widen():
    images = torch.randn(4, 1, 8, 8)

    def spread(width):
        kernels = [
            conv_kernel(images, images, torch.Generator().manual_seed(s), networks=1, width=width)
            for s in range(8)
        ]
        return float(torch.stack(kernels).std(0).mean())

    assert spread(1024) < 0.25 * spread(16)  # in theory an eighth
