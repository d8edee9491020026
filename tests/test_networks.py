"""Parameter counts and forms of the networks (protocol: section 2 of the paper's code)."""

import pytest
import torch
import torch.nn.functional as F

from condensation import networks
from condensation.errors import InputError


@pytest.mark.parametrize(
    ("network", "shape", "classes", "parameters"),
    [
        ("convnet", (3, 32, 32), 10, 320_010),
        ("convnet", (3, 32, 32), 100, 504_420),
        ("convnet", (3, 64, 64), 200, 857_160),
        ("convnet", (1, 28, 28), 10, 317_706),
        ("mlp", (3, 32, 32), 10, 411_146),
        ("mlp", (3, 32, 32), 100, 422_756),
        ("mlp", (3, 64, 64), 200, 1_615_304),
        ("mlp", (1, 28, 28), 10, 118_282),
    ],
)
def test_parameter_counts(network, shape, classes, parameters):
    built = networks.build({"network": network}, shape, classes, 0)
    assert sum(p.numel() for p in built.parameters()) == parameters
    assert built(torch.randn(2, *shape)).shape == (2, classes)


def test_convnet_is_what_the_paper_describes_step_by_step():
    shape = (3, 32, 32)
    net = networks.build({"network": "convnet", "width": 8, "depth": 2}, shape, 5, 0).double()
    x = torch.randn(4, *shape, dtype=torch.float64)
    convolutions = [m for m in net.features if isinstance(m, torch.nn.Conv2d)]
    norms = [m for m in net.features if isinstance(m, torch.nn.GroupNorm)]
    h = x
    for conv, norm in zip(convolutions, norms, strict=True):
        h = F.conv2d(h, conv.weight, conv.bias, padding=1)
        h = F.instance_norm(h, weight=norm.weight, bias=norm.bias, eps=1e-5)
        h = F.avg_pool2d(F.relu(h), 2)
    torch.testing.assert_close(net.embed(x), h.flatten(1))
    assert net.embed(x).shape == (4, 8 * 8 * 8)
    torch.testing.assert_close(net(x), h.flatten(1) @ net.classifier.weight.T + net.classifier.bias)


@pytest.mark.parametrize(
    ("side", "features"), [(8, 2048), (16, 2048), (28, 2048), (32, 2048), (64, 2048)]
)
def test_standard_depth_leaves_a_four_by_four_map(side, features):
    net = networks.build({"network": "convnet"}, (1, side, side), 10, 0)
    assert net.embed(torch.randn(1, 1, side, side)).shape == (1, features)


def test_too_deep_a_convnet_says_how_deep_it_may_be():
    with pytest.raises(InputError, match="depth may be at most 3"):
        networks.build({"network": "convnet", "depth": 4}, (1, 8, 8), 10, 0)


def test_the_initialisation_depends_on_seed_and_purpose_alone():
    def weights(*seed):
        torch.manual_seed(len(seed))
        return networks.build({"network": "mlp"}, (1, 8, 8), 10, *seed).classifier.weight

    assert torch.equal(weights(0, "a"), weights(0, "a"))
    assert not torch.equal(weights(0, "a"), weights(1, "a"))
    assert not torch.equal(weights(0, "a"), weights(0, "b"))
