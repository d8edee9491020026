"""Sizes from the config alone, against the networks and files themselves."""

import pytest
from conftest import ROOT, small_dataset

from condensation import networks
from condensation.config import entries, loading
from condensation.core import compute
from condensation.data import datasets, readers
from condensation.networks import cells201, measure
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
def test_the_table_gives_the_measured_sizes(name, dataset):
    """Measured again: the operations, what autograd keeps, the parameters and the embedding."""
    data = sizes.OFFICIAL[dataset]
    entry = entries.ARCHITECTURES[ENTRIES[name]["network"]](**ENTRIES[name]).model_dump()
    network = networks.build(entry, data.shape, data.classes, 0)
    measured = measure.sizes(network, data.shape)
    estimate = sizes.network(entry, data)
    assert 0.8 < estimate.operations / measured["operations"] < 1.25
    assert 0.8 < estimate.outputs / measured["outputs"] < 1.25
    assert 0.95 < estimate.parameters / measured["parameters"] < 1.05
    assert estimate.features == measured["features"]
    assert estimate.known


def test_the_estimates_of_the_default_networks_are_within_a_factor():
    data = sizes.OFFICIAL["digits"]
    config = loading.load(ROOT / "config/config.yaml")
    for name in ("convnet", "mlp", "resnet18", "resnet152", "vit"):
        entry = config.architectures[name].model_dump()
        measured = measure.sizes(networks.build(entry, data.shape, 10, 0), data.shape)
        estimate = sizes.network(entry, data)
        for key in ("operations", "outputs", "parameters"):
            assert 0.8 < getattr(estimate, key) / measured[key] < 1.25, (name, key)


def test_the_committed_table_is_the_generated_table():
    rows = [row for row in sizes._measured() if row["network"] == "convnet" and row["area"] == 64]
    entry = {"network": "convnet", "width": 32, "depth": 2}
    (row,) = (row for row in rows if row["depth"] == 2 and row["channels"] == 1)
    measured = measure.sizes(networks.build(entry, (1, 8, 8), 10, 0), (1, 8, 8))
    for key, value in measured.items():
        assert sum(factor * 32**power for power, factor in enumerate(row[key])) == value


def test_the_mean_cell_network_is_near_the_mean_of_real_networks():
    data = sizes.OFFICIAL["cifar10"]
    entry = {"network": "nasbench201", "channels": 16, "cells": 1}
    cells = [cells201.text(cell) for cell in cells201.every_cell()[::251]]
    counts = [
        compute.operations(networks.build(entry | {"cell": cell}, data.shape, 10, 0), data.shape)
        for cell in cells
    ]
    mean = sum(counts) / len(counts)
    assert 0.7 < sizes.network(entry, data).operations / mean < 1.5


def test_a_library_network_is_marked_as_assumed():
    data = sizes.OFFICIAL["cifar10"]
    estimate = sizes.network({"network": "timm:resnet10t"}, data)
    assert estimate.operations > 0
    assert not estimate.known


def test_the_sizes_of_digits_are_those_of_the_prepared_dataset():
    dataset = readers.read("digits", DEFAULTS, [])
    shape, train, test = dataset.shape, len(dataset.train_labels), len(dataset.test_labels)
    smallest = int(dataset.train_labels.bincount().min())
    expected = sizes.Images(shape, len(dataset.classes), train, test, smallest)
    assert sizes.OFFICIAL["digits"] == expected


def test_a_prepared_folder_has_the_sizes_in_its_header_and_another_is_assumed(tmp_path):
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
