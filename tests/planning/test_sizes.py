"""Sizes from the config alone, against the networks and files themselves."""

import pytest
import torch
import torch.nn.functional as F
from conftest import small_dataset

from condensation import networks
from condensation.config import entries
from condensation.core import compute
from condensation.data import datasets, readers
from condensation.networks import cells201
from condensation.planning import sizes

DEFAULTS = entries.Dataset(source="digits").model_dump()

ENTRIES = {
    "convnet": {"network": "convnet"},
    "narrow": {"network": "convnet", "width": 16, "depth": 2},
    "mlp": {"network": "mlp"},
    "resnet18": {"network": "resnet"},
    "resnet152": {"network": "resnet", "depth": 152},
    "vit": {"network": "vit"},
}


# 8x8 pixels are too small for the four stages of a ResNet
FITTING = [
    (name, dataset)
    for name in ENTRIES
    for dataset in sizes.OFFICIAL
    if not (name.startswith("resnet") and dataset == "digits")
]


@pytest.mark.parametrize(("name", "dataset"), FITTING)
def test_operations_parameters_and_features_are_those_of_the_network(name, dataset):
    data = sizes.OFFICIAL[dataset]
    entry = entries.ARCHITECTURES[ENTRIES[name]["network"]](**ENTRIES[name]).model_dump()
    network = networks.build(entry, data.shape, data.classes, 0).eval()
    operations = compute.operations(network, data.shape)
    outputs = [0]
    for module in network.modules():
        if not any(True for _ in module.children()) and type(module).__name__ != "Flatten":
            module.register_forward_hook(lambda _, given, output: outputs.append(output.numel()))
    found = sizes.network(entry, data)
    with torch.no_grad():
        embedding = network.embed(torch.zeros(1, *data.shape))
        network.classifier(embedding)
    assert found.operations == operations
    assert found.parameters == sum(p.numel() for p in network.parameters())
    assert found.features == embedding.shape[1]
    # fused layers and additions keep more or less than modules give
    assert 0.5 < found.outputs / sum(outputs) < 2
    assert found.known


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "mlp"])
def test_what_a_backward_pass_keeps_is_bounded_by_the_outputs(name):
    """Of what autograd saves every storage once; an MLP keeps little beside its input."""
    data = sizes.OFFICIAL["cifar10"]
    entry = entries.ARCHITECTURES[ENTRIES[name]["network"]](**ENTRIES[name]).model_dump()
    network = networks.build(entry, data.shape, data.classes, 0)
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        F.cross_entropy(network(torch.randn(2, *data.shape)), torch.zeros(2, dtype=torch.int64))
    found = sum(storage.nbytes() for storage in kept.values()) / 2
    assert 0.4 < found / (4 * sizes.network(entry, data).outputs) < 1


def test_the_mean_cell_network_is_near_the_mean_of_real_ones():
    data = sizes.OFFICIAL["cifar10"]
    entry = {"network": "nasbench201", "channels": 16, "cells": 1}
    cells = [cells201.text(one) for one in cells201.every_cell()[::251]]
    counts = [
        compute.operations(networks.build(entry | {"cell": one}, data.shape, 10, 0), data.shape)
        for one in cells
    ]
    mean = sum(counts) / len(counts)
    assert 0.7 < sizes.network(entry, data).operations / mean < 1.5


def test_a_network_of_a_library_is_assumed_and_said_to_be():
    data = sizes.OFFICIAL["cifar10"]
    found = sizes.network({"network": "timm:resnet10t"}, data)
    assert found.operations > 0
    assert not found.known


def test_the_sizes_of_digits_are_those_that_are_prepared():
    made = readers.read("digits", DEFAULTS, [])
    shape, train, test = made.shape, len(made.train_labels), len(made.test_labels)
    assert sizes.OFFICIAL["digits"] == sizes.Images(shape, len(made.classes), train, test)


def test_a_prepared_folder_is_read_from_its_header_and_an_unknown_one_assumed(tmp_path):
    path = tmp_path / "dataset.safetensors"
    datasets.write(small_dataset(classes=3, per_class=20, test_per_class=5), path)
    entry = entries.Dataset(source="image_folder", path="x.tar", image_size=64)
    assert sizes.images(entry, path) == sizes.Images((3, 8, 8), 3, 60, 15)
    assert sizes.images(entry, tmp_path / "not there").known is False
    assert sizes.images(entry).shape == (3, 64, 64)
    path.write_bytes(b"\xff" * 100)
    assert sizes.images(entry, path).known is False
    like = entries.Dataset(source="image_folder", path="x.tar", like="cifar100")
    assert sizes.images(like) == sizes.OFFICIAL["cifar100"]
