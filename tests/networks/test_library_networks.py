"""Networks of libraries in every use, a sample of docs/networks.md; the trial before any job."""

import copy
import shutil
import subprocess
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from builders import pack, plain
from conftest import ROOT, small_dataset
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from condensation import networks
from condensation.config.entries import SGD, Evaluation
from condensation.config.loading import parse
from condensation.core import compute, plugins
from condensation.core.errors import InputError
from condensation.data import datasets, readers
from condensation.data.sets import Condensed
from condensation.methods import contract, dm
from condensation.methods.derivatives import Flat
from condensation.networks.trial import try_out
from condensation.planning import trials
from condensation.training import evaluation
from condensation.workflow import grid

CPU = torch.device("cpu")


def evaluated(network, dataset, count, batch_size, seeds=(0,)):
    images = torch.randn(count, *dataset.shape, generator=torch.Generator().manual_seed(0))
    rows, _ = evaluation.evaluate(
        Condensed(images, torch.arange(count) % len(dataset.classes)),
        *(dataset, list(seeds)),
        architecture={"network": network},
        augmentation={"policy": "none"},
        optimizer=SGD(algorithm="sgd").model_dump(),
        protocol=Evaluation(epochs=1, batch_size=batch_size).model_dump(exclude={"seeds_per_job"}),
        device=CPU,
    )
    return rows


# of each kind: batch norm to a single pixel, auxiliary classifiers, layers that give tuples
@pytest.mark.parametrize(
    ("network", "side"),
    [
        ("torchvision:resnet18", 32),
        ("torchvision:googlenet", 64),
        ("torchvision:shufflenet_v2_x0_5", 32),
        ("timm:regnetx_002", 32),
        ("timm:test_vit", 32),
        ("timm:lcnet_035", 64),
    ],
)
def test_a_sample_of_the_table_is_trained_with_an_image_left_over(network, side):
    rows = evaluated(network, small_dataset(shape=(3, side, side)), count=5, batch_size=2)
    assert [row["status"] for row in rows] == ["ok"]
    assert f"| `{network}` |" in (ROOT / "docs/networks.md").read_text()


def test_one_image_a_step_is_refused_where_batch_norm_cannot_take_it():
    with pytest.raises(InputError, match="batch norm of a single pixel needs 2 .* there is 1: "):
        evaluated("torchvision:resnet18", small_dataset(shape=(3, 32, 32)), count=4, batch_size=1)


@pytest.mark.parametrize("fewest", [1, 2])
def test_every_position_is_in_one_batch_and_none_is_too_small(fewest):
    for count in range(fewest, 14):
        for size in range(fewest, 8):
            positions = torch.stack([torch.randperm(count) for _ in range(3)])
            batches = compute.batches(positions, size, fewest)
            assert torch.equal(torch.cat(batches, 1), positions)
            sizes = [batch.shape[1] for batch in batches]
            assert all(fewest <= length for length in sizes) and set(sizes[:-1]) <= {size}
            plain_sizes = [len(part) for part in torch.arange(count).split(size)]
            assert sizes == plain_sizes or plain_sizes[-1] < fewest


def normed(pixels: int) -> nn.Module:
    """Return a network whose batch norm sees ``pixels`` x ``pixels``, for images of 8 x 8."""
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 8 // pixels, stride=8 // pixels), nn.BatchNorm2d(4)),
        *(nn.Flatten(), nn.Linear(4 * pixels**2, 5)),
    )


@pytest.mark.parametrize(
    "entry",
    [
        {"network": "convnet", "width": 8},
        {"network": "mlp"},
        {"network": "resnet", "depth": 18, "width": 8},
        {"network": "vit", "patch": 4, "width": 32, "depth": 2, "heads": 2},
        {"network": "nasbench201", "cell": "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|"
         "+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|", "channels": 4, "cells": 1},
        {"network": "torchvision:mobilenet_v2"},
        {"network": "torchvision:vit_b_32"},
        {"network": "timm:vit_tiny_patch16_224"},
        {"network": "torchvision:maxvit_t"},  # einsum
    ],
    ids=lambda entry: entry["network"],
)  # fmt: skip
def test_operations_are_those_that_torchs_counter_counts(entry):
    size = 224 if "vit_" in entry["network"] else 32
    network = networks.build(entry, (3, size, size), 10, 0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copy.deepcopy(network).to("meta")(torch.empty(2, 3, size, size, device="meta"))
    counted = compute.operations(network, (3, size, size))
    assert counted == pytest.approx(counter.get_total_flops() // 2, rel=1e-9) and counted > 0


def test_operations_of_functions_count_like_those_of_modules():
    class Functional(nn.Module):
        def forward(self, images):
            rows = F.conv2d(input=images, weight=images.new_empty(4, 3, 1, 1)).flatten(2)
            rows = torch.einsum("nck, kd -> ncd", rows, rows.new_empty(64, 6))
            rows = F.scaled_dot_product_attention(query=rows, key=rows, value=rows)
            rows = torch.baddbmm(rows[:, :, :4], rows, rows.transpose(1, 2)[:, :, :4])
            return F.linear(rows @ rows.transpose(1, 2), rows.new_empty(5, 4))

    conv, einsum, attention = 64 * 4 * 3, 4 * 64 * 6, 2 * 4 * 4 * 6
    products = conv + einsum + attention + 4 * 4 * 6 + 4 * 4 * 4 + 4 * 5 * 4
    assert compute.operations(Functional(), (3, 8, 8)) == 2 * products


@pytest.mark.parametrize("pixels", [1, 2])
def test_operations_are_those_of_one_image_and_batch_norm_needs_two_of_one_pixel(pixels):
    network = normed(pixels)
    products = 4 * pixels**2 * 3 * (8 // pixels) ** 2 + 4 * pixels**2 * 5
    assert compute.operations(network, (3, 8, 8)) == 2 * products
    fewest = compute.fewest_at_once(network, (3, 8, 8))
    image = torch.randn(1, 3, 8, 8)
    if fewest == 1:
        network(image)
    else:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            network(image)
    assert fewest == (2 if pixels == 1 else 1)


def test_layers_that_give_tuples_are_counted():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells = nn.LSTM(3, 7, batch_first=True)

        def forward(self, images):
            return self.cells(images.flatten(2).mT)[0][:, -1]

    values = compute.values_of_layers(Recurrent(), (3, 4, 5))
    assert sorted(values) == [7, 7, 20 * 7]  # hidden and cell state, and the outputs
    assert compute.images_at_once(Recurrent(), (3, 4, 5), CPU) > 1


# --- embedding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "last"),
    [
        ("torchvision:resnet18", "fc"),
        ("torchvision:mobilenet_v3_small", "classifier.3"),
        ("timm:regnetx_002", "head.fc"),
        ("timm:test_vit", "head"),
    ],
)
def test_the_embedding_is_what_the_last_linear_layer_takes(network, last):
    built = networks.build({"network": network}, (3, 32, 32), 7, 0).eval()
    images = torch.randn(3, 3, 32, 32)
    layer, embedding = built.get_submodule(last), built.embed(images)
    assert embedding.shape == (3, layer.in_features)
    torch.testing.assert_close(embedding @ layer.weight.T + layer.bias, built(images))
    other = networks.build({"network": network}, (3, 32, 32), 7, 1).eval()
    assert not torch.equal(other.embed(images), embedding)
    compiled = torch.compile(built.embed, dynamic=False, backend="eager")(images)
    torch.testing.assert_close(compiled, embedding)
    torch.testing.assert_close(embedding @ layer.weight.T + layer.bias, built(images))


# a convolution at the end; the mean of two heads, which agree as long as they are zero
@pytest.mark.parametrize("network", ["torchvision:squeezenet1_1", "timm:levit_128s"])
def test_a_network_without_an_embedding_says_so(network):
    built = networks.build({"network": network}, (3, 32, 32), 7, 0)
    with pytest.raises(InputError, match=f"{network} has no embedding: .* linear layer"):
        built.embed(torch.zeros(2, 3, 32, 32))


def test_two_heads_that_agree_have_no_embedding():
    class Distilled(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = nn.ModuleList(nn.Linear(48, 5) for _ in range(2))
            for parameter in self.parameters():
                nn.init.zeros_(parameter)

        def forward(self, images):
            return sum(head(images.flatten(1)) for head in self.heads) / 2

    with pytest.raises(InputError, match="distilled has no embedding"):
        try_out(Distilled(), "distilled", {}, (3, 4, 4), 5).embed(torch.zeros(2, 3, 4, 4))


def test_dm_takes_a_library_network_when_a_class_of_one_image_is_left_over(monkeypatch):
    """Three classes, two of them in a pass: the third alone would be one image to batch norm."""
    dataset = small_dataset(classes=3, shape=(3, 32, 32))
    passes, in_parts = [], compute.in_parts

    def seen(function, images, most):
        passes.append(len(images))
        return in_parts(function, images, most)

    monkeypatch.setattr(dm, "_MOST_REAL", 8)
    monkeypatch.setattr(compute, "in_parts", seen)
    problem = contract.Problem(dataset, ipc=1, seed=0)
    images = dm.condense(
        problem,
        **{"init": "random", "features": "pixels", "iterations": 1, "lr": 1.0, "momentum": 0.5},
        **{"batch_real": 4, "augmentation": {"policy": "none"}},
        architecture={"network": "torchvision:resnet18"},
    ).images
    start = dm.initial_images(problem, "random", "pixels")
    assert torch.isfinite(images).all()
    assert ((images - start).flatten(1).norm(dim=1) > 0).all()
    assert passes == [12, 3]


def features(layer, network):
    return {
        "features": {"mine": {"architecture": "net", "layer": layer}},
        "architectures": {"net": {"network": network}},
        "methods": {"random": {"algorithm": "random"}},
        "experiments": {"e": {"datasets": ["mine"], "methods": ["random"], "ipc": [1]}},
    }


@pytest.mark.parametrize("network", ["torchvision:densenet121", "timm:resnet10t", "vit", "mlp"])
def test_only_built_in_networks_give_features_before_the_pooling(network, tmp_path):
    config(tmp_path, **features("classifier_input", network))
    with pytest.raises(InputError, match=f"features.mine.layer: .* resnet, not '{network}'"):
        config(tmp_path, **features("before_pooling", network))


def test_gradients_through_batch_norm_give_a_warning(caplog):
    Flat(normed(2), (3, 8, 8), CPU)
    assert "has batch norm: its gradients are taken with the statistics" in caplog.text


def test_batch_norm_without_running_statistics_gives_none(caplog):
    untracked = torch.nn.BatchNorm2d(3, track_running_stats=False)
    Flat(torch.nn.Sequential(untracked, torch.nn.Flatten()), (3, 8, 8), CPU)
    assert "has batch norm" not in caplog.text


# --- the trial ------------------------------------------------------------------------------------


class Two(nn.Module):
    """Gives two logits in training, as networks with auxiliary classifiers do."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * 64, 4)

    def forward(self, images):
        logits = self.layer(images.flatten(1))
        return (logits, logits) if self.training else logits


@pytest.mark.slow
def test_a_network_that_fails_only_in_training_is_refused():
    with pytest.raises(
        InputError, match=r"mine gives tuple for two images in training; .*\(2, 4\)"
    ):
        try_out(Two(), "mine", {}, (3, 8, 8), 4)
    entry = {"network": "torchvision:googlenet", "aux_logits": True}
    with pytest.raises(InputError, match="gives GoogLeNetOutputs for two images in training"):
        networks.build(entry, (3, 64, 64), 4, 0)


def test_a_network_that_is_too_large_for_the_images_says_what_it_takes():
    with pytest.raises(InputError, match=r"3 x 32 x 32: .*; it takes 64 x 64$"):
        networks.build({"network": "torchvision:alexnet"}, (3, 32, 32), 4, 0)
    built = networks.build({"network": "torchvision:alexnet"}, (3, 64, 64), 4, 0)
    assert built(torch.zeros(1, 3, 64, 64)).shape == (1, 4)


def test_a_trial_leaves_the_network_as_it_was_built():
    torch.manual_seed(0)
    network, state = normed(1), torch.random.get_rng_state()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    after = try_out(network, "normed", {}, (3, 8, 8), 5)
    assert after is network and after.training
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in after.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(parameter.grad is None for parameter in after.parameters())


def config(folder, **more):
    content = {
        "datasets": {"mine": {"source": "image_folder", "path": str(folder)}},
        "methods": {
            "random": {"algorithm": "random"},
            "dm": {"algorithm": "dm", "architecture": "squeeze", "iterations": 1},
        },
        "architectures": {
            "squeeze": {"network": "torchvision:squeezenet1_1"},
            "inception": {"network": "torchvision:inception_v3"},
            "resnet": {"network": "torchvision:resnet18"},
            "stem": {"network": "resnet", "stem": "cifar", "stages": 2},
            "patches": {"network": "vit", "patch": 5},
            "deep": {"network": "convnet", "depth": 6},
        },
        "optimizers": {"fast": {"algorithm": "adamw", "options": {"speed": 1}}},
        "augmentations": {
            "zoom": {"policy": "torchvision", "transforms": [{"RandomZoomOut": {"p": 0.5}}]},
            "flip": {"policy": "torchvision", "transforms": [{"RandomVerticalFlip": {}}]},
        },
        "experiments": {
            "e": {
                **{"datasets": ["mine"], "methods": ["random", "dm"], "ipc": [1]},
                **{"architectures": ["resnet", "inception", "stem", "patches", "deep"]},
                "optimizers": ["fast"],
                **{"augmentations": ["none", "zoom", "flip"]},
            }
        },
    }
    return parse(content | more)


def folder_of(path, side=32):
    files = {
        f"{split}/{name}/{number}.png": plain((number, 0, 9), side, side)
        for split, count in (("train", 4), ("test", 1))
        for name in ("a", "b", "c")
        for number in range(count)
    }
    return pack(path, files, "folder")


FIGURE7 = {"features": "embedding", "datasets": "mine", "methods": "random", "ipc": 1}
NAS = {"dataset": "mine", "sets": {"methods": "random", "ipc": 1}, "truth": "whole"}
PARTS = {"algorithm": "dm", "architecture": "squeeze", "iterations": 1, "factor": 10}
PARTS["init"] = "noise"
NAS |= {"references": {"all": {}}, "validation": 0.5}


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"figure7": FIGURE7 | {"label": 3}}, "figure7.label: 3, but mine has the classes 0 to 2$"),
        ({"nas": NAS | {"validation_images": 4}}, "nas.validation_images: 4, .*multiple of 3"),
        # two of four images of each class are held out
        ({"nas": NAS | {"validation_images": 9}}, "nas.validation_images: 9, .* at most 6$"),
        (
            {"nas": NAS | {"references": {"all": {}, "some": {"images": 9}}}},
            "nas.references.some.images: 9, .* at most 6$",
        ),
        (
            {"methods": {"random": {"algorithm": "random"}, "dm": PARTS}},
            "methods.dm.factor: 10 leaves parts of images of 32x32 pixels .*, for mine$",
        ),
        ({"nas": NAS | {"validation": 0.1}}, "nas.validation: 0.1 leaves .*none to validate on$"),
    ],
)
def test_options_that_do_not_fit_the_images_are_refused_before_any_job(tmp_path, section, expected):
    mine = config(folder_of(tmp_path / "photos"), **section)
    with pytest.raises(InputError, match=expected):
        trials.check(mine, grid.expand(mine), tmp_path)


def test_an_ipc_above_the_smallest_class_is_refused_before_any_job(tmp_path):
    """From the folder, and from the prepared file.

    Noise and imported sets need no real images, nor is it known of a user's method with an `init`.
    """
    (tmp_path / "m.py").write_text("def f(problem, *, init):\n    pass\n")
    folder = folder_of(tmp_path / "photos")
    (folder / "train/b/0.png").unlink()  # three of four are left
    methods = {
        "random": {"algorithm": "random"},
        "kcenter": {"algorithm": "kcenter"},
        "dm": {"algorithm": "dm", "iterations": 1},
        "from_noise": {"algorithm": "dm", "iterations": 1, "init": "noise"},
        "imported": {"algorithm": "imported", "path": "{ipc}.pt"},
        "of_parts": {"algorithm": "dm", "iterations": 1, "factor": 2},
        "own": {"algorithm": f"{tmp_path / 'm.py'}:f", "init": "zeros"},
    }
    needed = {"random": 4, "kcenter": 4, "dm": 4, "of_parts": 16}

    def check(ipc, names=tuple(methods)):
        axes = {"datasets": ["mine"], "methods": list(names), "ipc": [1, ipc]}
        mine = config(folder, methods=methods, experiments={"e": axes})
        trials.check(mine, grid.expand(mine), tmp_path)
        return mine

    def refused():
        with pytest.raises(InputError) as error:
            check(4)
        assert str(error.value).splitlines() == [
            f"ipc: {name!r} needs {images} images per class, but the smallest class of mine has "
            "3 training images"
            for name, images in needed.items()
        ]

    mine = check(3, [name for name in methods if name != "of_parts"])
    refused()
    file = tmp_path / "mine/dataset.safetensors"
    file.parent.mkdir()
    datasets.write(readers.read("mine", mine.datasets["mine"].model_dump(), [folder]), file)
    shutil.rmtree(folder / "train/a")
    refused()


def test_a_bad_table_of_architectures_is_refused_before_any_job(tmp_path):
    table = tmp_path / "mine.csv"
    nas = {"dataset": "mine", "sets": {"methods": "random", "ipc": 1}, "truth": "benchmark"}
    nas |= {"table": str(table), "column": "accuracy", "validation": 0.5, "architectures": 3}
    mine = config(folder_of(tmp_path / "photos"), nas=nas)
    string = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    for content, expected in (
        ("ArchitectureString,accurate\n", "mine.csv: no column 'accuracy'.* accurate"),
        (f"ArchitectureString,accuracy\n{string},10\n", "nas.architectures: 3, but .* has 1 "),
    ):
        table.write_text(content)
        with pytest.raises(InputError, match=expected):
            trials.check(mine, grid.expand(mine), tmp_path)


def test_networks_of_the_ranking_need_sides_that_can_be_halved_twice(tmp_path):
    mine = config(folder_of(tmp_path / "photos", 30), nas=NAS | {"validation_images": 6})
    with pytest.raises(InputError, match="nas.dataset: .* but mine has 30x30 pixels$"):
        trials.check(mine, grid.expand(mine), tmp_path)


@pytest.mark.slow
def test_unusable_networks_and_augmentations_are_refused_before_any_job(tmp_path):
    """In one message: minimum sizes, no embedding for DM, a size that changes at some draws."""
    mine = config(folder_of(tmp_path / "photos"))
    with pytest.raises(InputError) as refused:
        trials.check(mine, grid.expand(mine), tmp_path)
    lines = str(refused.value).splitlines()
    assert len(lines) == 7, lines
    for entry, reason in (
        ("architectures.inception", "3 x 32 x 32"),
        ("architectures.squeeze", "no embedding"),
        ("augmentations.zoom", "keep their shape"),
        ("architectures.stem", "16x16 after 2 stages"),
        ("architectures.patches", "do not tile 32x32"),
        ("architectures.deep", "6 poolings leave nothing of 32x32"),
        ("optimizers.fast", "'speed'"),
    ):
        assert any(f"{entry} on mine: " in line and reason in line for line in lines), entry


def test_no_process_is_started_for_built_in_networks(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("started")

    monkeypatch.setattr(subprocess, "run", refuse)
    experiment = {"datasets": ["mine"], "methods": ["random"], "ipc": [1]}
    mine = config(folder_of(tmp_path / "photos"), experiments={"e": experiment})
    trials.check(mine, grid.expand(mine), tmp_path)


def test_without_torch_the_trial_is_skipped(tmp_path, monkeypatch):
    answer = SimpleNamespace(returncode=1, stdout="", stderr="ModuleNotFoundError: No module torch")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    mine = config(folder_of(tmp_path / "photos"))
    trials.check(mine, grid.expand(mine), tmp_path)


def test_users_functions_are_not_run_before_their_jobs(tmp_path):
    file = tmp_path / "net.py"
    file.write_text("def net(shape, classes):\n    raise AssertionError('was run')\n")
    entry = {"network": f"{file}:net"}
    assert callable(plugins.load(entry["network"]))
    experiment = {"datasets": ["mine"], "methods": ["random"], "ipc": [1], "architectures": ["own"]}
    mine = config(
        folder_of(tmp_path / "photos"),
        architectures={"own": entry},
        experiments={"e": experiment},
        methods={"random": {"algorithm": "random"}},
    )
    trials.check(mine, grid.expand(mine), tmp_path)
