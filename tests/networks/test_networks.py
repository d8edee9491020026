"""Parameter counts and forms of the networks (protocol: section 2 of the paper's code)."""

import pytest
import torch
import torch.nn.functional as F

from condensation import networks
from condensation.config.loading import parse
from condensation.core.errors import InputError
from condensation.networks.norm import InstanceNorm

BUILT_IN = parse(
    {
        "datasets": {"d": {"source": "digits"}},
        "methods": {"r": {"algorithm": "random"}},
        "experiments": {"e": {"datasets": ["d"], "methods": ["r"], "ipc": [1]}},
    }
).architectures


@pytest.mark.parametrize(
    ("network", "shape", "classes", "parameters"),
    [
        ("resnet18", (3, 32, 32), 10, 11_173_962),
        ("resnet18", (3, 32, 32), 100, 11_220_132),
        ("resnet18", (1, 28, 28), 10, 11_172_810),
        ("resnet18", (3, 64, 64), 200, 11_279_112),
        ("resnet152", (3, 32, 32), 10, 58_156_618),
        ("resnet152", (3, 64, 64), 200, 58_553_608),
        ("vit", (3, 32, 32), 10, 9_523_722),
        ("vit", (3, 32, 32), 100, 9_569_892),
        ("vit", (3, 64, 64), 200, 9_719_496),
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
    entry = BUILT_IN[network].model_dump()
    built = networks.build(entry, shape, classes, 0)
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


@pytest.mark.parametrize(
    ("shape", "most"), [((1, 8, 8), 3), ((1, 28, 28), 5), ((3, 28, 40), 4), ((3, 40, 28), 5)]
)
def test_too_deep_a_convnet_says_how_deep_it_may_be(shape, most):
    net = networks.build({"network": "convnet", "depth": most, "width": 4}, shape, 10, 0)
    assert net(torch.randn(2, *shape)).shape == (2, 10)
    with pytest.raises(InputError, match=f"depth may be at most {most}"):
        networks.build({"network": "convnet", "depth": most + 1}, shape, 10, 0)


def test_the_initialisation_depends_on_seed_and_purpose_alone():
    def weights(*seed):
        torch.manual_seed(len(seed))
        return networks.build({"network": "mlp"}, (1, 8, 8), 10, *seed).classifier.weight

    assert torch.equal(weights(0, "a"), weights(0, "a"))
    assert not torch.equal(weights(0, "a"), weights(1, "a"))
    assert not torch.equal(weights(0, "a"), weights(0, "b"))


def test_resnet18_is_torchvisions_with_instance_norm():
    """The ImageNet form holds the same layers in the same order as torchvision's ResNet18."""
    from torchvision.models import resnet18

    theirs = resnet18(num_classes=7, norm_layer=lambda c: torch.nn.GroupNorm(c, c))
    ours = networks.build(BUILT_IN["resnet18"].model_dump(), (3, 64, 64), 7, 0)

    def sorted_by_use(model):
        used = []
        kinds = (torch.nn.Conv2d, torch.nn.GroupNorm, torch.nn.Linear)
        for module in model.modules():
            if isinstance(module, kinds):
                module.register_forward_hook(lambda m, *_: used.append(m))
        model(torch.randn(2, 3, 64, 64))
        return used

    for mine, other in zip(sorted_by_use(ours), sorted_by_use(theirs), strict=True):
        other.load_state_dict(mine.state_dict())
    x = torch.randn(4, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_resnet152_has_torchvisions_bottlenecks():
    from torchvision.models import resnet152

    theirs = resnet152(norm_layer=lambda c: torch.nn.GroupNorm(c, c), num_classes=10)
    ours = networks.build(BUILT_IN["resnet152"].model_dump(), (3, 64, 64), 10, 0)
    assert sorted(tuple(p.shape) for p in ours.parameters()) == sorted(
        tuple(p.shape) for p in theirs.parameters()
    )


def test_resnet_on_cifar_keeps_the_resolution_until_the_stages_halve_it():
    ours = networks.build({"network": "resnet", "width": 4}, (3, 32, 32), 10, 0)
    sizes = []
    for module in ours.features:
        module.register_forward_hook(lambda m, i, o: sizes.append(tuple(o.shape[1:])))
    ours(torch.randn(1, 3, 32, 32))
    assert sizes == [
        *[(4, 32, 32)] * 5,
        *[(8, 16, 16)] * 2,
        *[(16, 8, 8)] * 2,
        *[(32, 4, 4)] * 2,
        *[(32, 1, 1), (32,)],
    ]


def test_vit_is_a_plain_loop_over_patches_heads_and_tokens():
    net = networks.build(
        {"network": "vit", "patch": 4, "width": 16, "depth": 1, "heads": 2}, (3, 8, 12), 5, 0
    ).double()
    net.eval()
    x = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    attention, feed = net.blocks
    for image, got in zip(x, net(x), strict=True):
        tokens = [net.token[0, 0]]
        for row in range(2):
            for column in range(3):
                patch = image[:, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4]
                flat = torch.stack(
                    [patch[c, y, z] for y in range(4) for z in range(4) for c in range(3)]
                )
                tokens.append(net.to_patches.weight @ flat + net.to_patches.bias)
        h = torch.stack(tokens) + net.positions[0]
        n = F.layer_norm(h, (16,), attention.norm.weight, attention.norm.bias)
        q, k, v = (attention.qkv.weight @ n.T).T.split(128, dim=1)
        heads = []
        for head in range(2):
            part = slice(head * 64, head * 64 + 64)
            weights = torch.softmax(q[:, part] @ k[:, part].T / 8, dim=1)
            heads.append(weights @ v[:, part])
        h = h + torch.cat(heads, 1) @ attention.out.weight.T + attention.out.bias
        h = h + feed.layers(h)
        h = F.layer_norm(h[0], (16,), net.norm.weight, net.norm.bias)
        torch.testing.assert_close(got, net.classifier(h))


@pytest.mark.parametrize(
    ("entry", "shape", "expected"),
    [
        (
            {"network": "resnet", "stem": "cifar"},
            (3, 64, 64),
            "64x64 pixels are 8x8 after 4 stages; set stem",
        ),
        ({"network": "resnet"}, (1, 8, 8), "single pixels after 4 stages.*fewer stages"),
        ({"network": "vit", "patch": 5}, (3, 32, 32), "patches of 5 pixels do not tile 32x32"),
    ],
)
def test_a_network_that_does_not_fit_the_images_says_what_would(entry, shape, expected):
    with pytest.raises(InputError, match=expected):
        networks.build(entry, shape, 10, 0)


@pytest.mark.parametrize("side, stages, sides", [(8, 2, [8, 4]), (28, 4, [28, 14, 7, 4])])
def test_a_resnet_of_few_stages_takes_small_images(side, stages, sides):
    entry = {"network": "resnet", "depth": 18, "width": 4, "stem": None, "stages": stages}
    net = networks.build(entry, (1, side, side), 10, 0)
    seen = []
    for block in net.features:
        if hasattr(block, "residual"):
            block.register_forward_hook(lambda _, inputs, output: seen.append(output.shape[2]))
    logits = net(torch.randn(3, 1, side, side))
    assert sorted(set(seen), reverse=True) == sides
    assert logits.std(0).min() > 1e-4  # the images tell in them


def test_a_norm_takes_a_single_pixel():
    norm = InstanceNorm(3)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    single = norm(torch.randn(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(single, norm.bias, atol=1e-4, rtol=0)  # 316 times the rounding
    maps = torch.randn(4, 3, 5, 5)
    plain = (maps - maps.mean((2, 3), keepdim=True)) / (
        maps.var((2, 3), unbiased=False, keepdim=True) + 1e-5
    ).sqrt() + norm.bias.view(3, 1, 1)
    torch.testing.assert_close(norm(maps), plain)
