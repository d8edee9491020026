"""The cell network, against counts and against a forward pass written out."""

import pytest
import torch
import torch.nn.functional as F

from condensation import networks
from condensation.core.errors import InputError
from condensation.networks.cells201 import EDGES, OPERATIONS, text

MIXED = ("nor_conv_3x3", "skip_connect", "nor_conv_1x1", "avg_pool_3x3", "none", "nor_conv_3x3")
BEHIND_NONE = ("none", "none", "nor_conv_1x1", "skip_connect", "none", "nor_conv_3x3")
DEAD = ("nor_conv_3x3", "nor_conv_3x3", "skip_connect", "none", "none", "none")


def build(cell, shape=(3, 32, 32), classes=10, seed=0, **options):
    return networks.build(
        {"network": "nasbench201", "cell": text(cell), **options}, shape, classes, seed
    )


def size(network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("cell", "cells", "affine", "expected"),
    [
        (("none",) * 6, 1, False, 73_306),  # the skeleton
        (("skip_connect",) * 6, 5, True, 73_306),
        (("nor_conv_3x3",) * 6, 1, False, 363_610),
        (("nor_conv_3x3",) * 6, 5, False, 1_524_826),
        (("nor_conv_3x3",) * 6, 5, True, 1_531_546),  # 1.53 M in the benchmark
        (MIXED, 3, False, 73_306 + 3 * 5376 * (9 + 1 + 9)),
        (DEAD, 2, False, 73_306 + 2 * 5376 * (9 + 9)),  # counted where they are of no use too
    ],
)
def test_parameters(cell, cells, affine, expected):
    assert size(build(cell, cells=cells, affine=affine)) == expected


def written_out(network, x, cells, affine):
    """The forward pass from the paper's description: every edge of every cell, sums and all."""
    parameters = dict(network.named_parameters())
    position = 0

    def norm(x, name):
        mean = x.mean((0, 2, 3), keepdim=True)
        x = (x - mean) / (((x - mean) ** 2).mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
        if f"{name}.weight" in parameters:
            scale, shift = (parameters[f"{name}.{kind}"] for kind in ("weight", "bias"))
            x = x * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
        return x

    def convolve(x, name, kernel, stride=1):
        x = F.conv2d(
            x.clamp(min=0), parameters[f"{name}.1.weight"], stride=stride, padding=kernel // 2
        )
        return norm(x, f"{name}.2")

    def pool(x):  # mean over the neighbours that exist
        ones = torch.ones(1, 1, 3, 3, dtype=x.dtype)
        count = F.conv2d(torch.ones_like(x[:1, :1]), ones, padding=1)
        return F.conv2d(x, ones.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1]) / count

    x = norm(F.conv2d(x, parameters["features.0.weight"], padding=1), "features.1")
    position = 2
    for stage in range(3):
        if stage:
            name = f"features.{position}"
            short = (
                x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]
            ) / 4
            short = torch.einsum(
                "nchw,oc->nohw", short, parameters[f"{name}.shortcut.1.weight"][..., 0, 0]
            )
            x = short + convolve(convolve(x, f"{name}.residual.0", 3, 2), f"{name}.residual.1", 3)
            position += 1
        for cell in cells:
            nodes = [x] + [torch.zeros_like(x) for _ in range(3)]
            for number, ((node, source), operation) in enumerate(zip(EDGES, cell, strict=True)):
                edge, before = f"features.{position}.edges.{number}", nodes[source]
                nodes[node] = nodes[node] + {
                    "none": lambda b, e: torch.zeros_like(b),
                    "skip_connect": lambda b, e: b,
                    "nor_conv_1x1": lambda b, e: convolve(b, e, 1),
                    "nor_conv_3x3": lambda b, e: convolve(b, e, 3),
                    "avg_pool_3x3": lambda b, e: pool(b),
                }[operation](before, edge)
            x = nodes[3]
            position += 1
    x = norm(x, f"features.{position}").clamp(min=0).mean((2, 3))
    return x @ parameters["classifier.weight"].T + parameters["classifier.bias"]


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("cell", [MIXED, BEHIND_NONE, DEAD, ("nor_conv_3x3",) * 6])
def test_the_forward_pass_is_what_the_definition_says(cell, affine):
    network = build(cell, (2, 8, 12), 4, cells=2, channels=3, affine=affine).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # scales and shifts that matter
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.add_(0.3 * noise)
    x = torch.randn(5, 2, 8, 12, generator=generator, dtype=torch.float64)
    expected = written_out(network, x, [cell] * 2, affine)
    assert torch.allclose(network.train()(x), expected, atol=1e-10)


@pytest.mark.parametrize("cell", [DEAD, ("none",) * 6])
def test_a_disconnected_cell_gives_every_image_the_same_logits(cell):
    network = build(cell, (1, 8, 8), channels=4)
    logits = network(torch.randn(6, 1, 8, 8))
    assert torch.allclose(logits, logits[:1].expand(6, 10), atol=1e-6)
    logits.sum().backward()  # and can be trained all the same


def test_edges_that_lead_nowhere_are_not_computed():
    network = build(DEAD, (1, 8, 8), channels=4)
    called = []
    for edge in network.features[2].edges:
        edge.register_forward_hook(lambda *_: called.append(1))
    network(torch.randn(2, 1, 8, 8))
    assert called == []


def test_the_seed_determines_the_network():
    network, same, other = (build(MIXED, seed=seed) for seed in (0, 0, 1))
    first, again, else_ = (next(n.parameters()) for n in (network, same, other))
    assert torch.equal(first, again) and not torch.equal(first, else_)


def test_images_that_do_not_halve_twice_are_refused():
    with pytest.raises(InputError, match="multiples of 4, not 30x32"):
        build(MIXED, (3, 30, 32))
    assert build(MIXED, (1, 8, 8))(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert set(MIXED) == set(OPERATIONS)
