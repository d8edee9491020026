"""The closed-form kernel against wide finite networks and known answers."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, jacrev, vmap

from condensation.methods import kernels
from condensation.methods.kernels import (
    BIAS_STD,
    WEIGHT_STD,
    conv_features,
    draw_layers,
    fc_ntk,
    random_features,
)


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

    def slopes(point):
        gradients = jacrev(lambda w: functional_call(network, w, (point,)))(weights)
        return torch.cat([part.flatten() for part in gradients.values()])

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


def test_a_pass_takes_as_many_images_as_its_bytes_allow(monkeypatch):
    images = torch.randn(7, 2, 8, 8)
    layers = draw_layers((2, 8, 8), torch.Generator().manual_seed(5), width=4, depth=2)
    whole, shown = conv_features(images, layers), []
    convolve = F.conv2d
    monkeypatch.setattr(
        F, "conv2d", lambda x, *a, **k: (shown.append(len(x)), convolve(x, *a, **k))[1]
    )
    monkeypatch.setattr(kernels, "_LAYER_BYTES", 3 * 4 * 8 * 8 * 4)  # of the outputs of three
    torch.testing.assert_close(conv_features(images, layers), whole)
    assert shown == [3, 3, 3, 3, 1, 1]


def test_conv_features_are_those_of_a_plain_network():
    images = torch.randn(3, 2, 8, 8)
    layers = draw_layers((2, 8, 8), torch.Generator().manual_seed(5), width=4, depth=1)
    features = conv_features(images, layers)
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
            torch.testing.assert_close(features[n, c * 16 : (c + 1) * 16], pooled)


def conv_nngp(x, z, depth):
    """The exact kernel of the same networks, infinitely wide: every pair of pixels.

    S holds the covariance of pixel p of x with pixel q of z. A convolution averages it over the
    nine shifts of both, the ReLU maps it by the arc-cosine kernel, pooling averages it.
    """

    def convolve(s, size, channels=1.0):
        s = F.pad(s.view(size, size, size, size), (1, 1) * 4)
        total = sum(
            s[i : i + size, j : j + size, i : i + size, j : j + size]
            for i in range(3)
            for j in range(3)
        )
        return 2 * total / (9 * channels) + 0.01

    def relu(s, of_x, of_z):
        scale = (of_x[:, :, None, None] * of_z).sqrt()
        cosine = (s / scale).clamp(-1, 1)
        angle = torch.arccos(cosine)
        return scale * ((1 - cosine**2).sqrt() + (math.pi - angle) * cosine) / (2 * math.pi)

    def variance(s):
        return torch.einsum("ijij->ij", s)

    size = x.shape[-1]
    pairs = {"xx": (x, x), "xz": (x, z), "zz": (z, z)}
    covariances = {k: torch.einsum("cij,ckl->ijkl", a, b) / len(a) for k, (a, b) in pairs.items()}
    for _ in range(depth):
        covariances = {name: convolve(s, size) for name, s in covariances.items()}
        of_x, of_z = variance(covariances["xx"]), variance(covariances["zz"])
        sides = {"xx": (of_x, of_x), "xz": (of_x, of_z), "zz": (of_z, of_z)}
        size //= 2
        covariances = {
            name: relu(s, *sides[name]).view(size, 2, size, 2, size, 2, size, 2).mean((1, 3, 5, 7))
            for name, s in covariances.items()
        }
    return 2 * variance(covariances["xz"]).mean() + 0.01  # flatten: the mean over pixels


@pytest.mark.parametrize("depth", [1, 2])
def test_random_features_settle_at_the_exact_kernel(depth):
    images = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    exact = torch.stack(
        [torch.stack([conv_nngp(x, z, depth) for z in images.double()]) for x in images.double()]
    )

    def error(networks, width, seed=0):
        kernel = random_features(
            *((2, 8, 8), torch.Generator().manual_seed(seed)),
            **{"networks": networks, "width": width, "depth": depth},
        )
        features = kernel.embed(images)
        return float((kernel.between(features, features) / exact - 1).abs().max())

    assert error(16, 1024) < 0.03
    rough = [error(1, 16, seed) for seed in range(8)]
    assert sum(rough) / 8 > 0.05  # so that the bound above says something
    assert error(64, 16) < sum(rough) / 16  # networks narrow it too


def test_the_slope_of_random_features_is_that_of_the_whole_graph():
    images = torch.randn(5, 2, 8, 8, dtype=torch.float64).requires_grad_()
    layers = draw_layers((2, 8, 8), torch.Generator().manual_seed(5), width=4, depth=2)
    assert torch.autograd.gradcheck(lambda x: conv_features(x, layers).square().sum(), images)
