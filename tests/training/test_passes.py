"""Passes without gradients take as many images as fit into memory, at any size of the images."""

from dataclasses import replace

import pytest
import torch

from condensation import networks
from condensation.config.entries import SGD, ConvNet
from condensation.core import compute
from condensation.data.sets import Condensed
from condensation.methods import datm, dm, frepo, rded
from condensation.methods.contract import Problem
from condensation.methods.derivatives import values
from condensation.methods.experts import Trajectories
from condensation.nas import proxies
from condensation.training import evaluation, features

NETWORK = ConvNet(network="convnet", width=4, depth=1).model_dump()
SGD_OPTIONS = SGD(algorithm="sgd", lr=0.05).model_dump()
SGD_STEPS = {"batch_size": 60, "lr": 0.05, "lr_end": 0.001}
PROTOCOL = {"epochs": 1, "epochs_without_augmentation": None, "inclusive": False, "batch_size": 4}
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("side", "networks_at_once", "expected"),
    # the widest outputs are 128 maps of side x side floats, and a GiB holds 2**21 / side**2 of them
    [(32, 1, 500), (32, 5, 409), (64, 1, 500), (128, 1, 128), (224, 1, 41), (224, 50, 1)],
)
def test_a_gpu_gets_as_many_images_as_a_gib_of_outputs_allows(side, networks_at_once, expected):
    shape = (3, side, side)
    convnet = networks.build({"network": "convnet", "width": 128, "depth": None}, shape, 10, 0)
    cuda = torch.device("cuda")
    assert compute.shown_at_once(convnet, shape, cuda, networks_at_once) == expected
    cached = compute.images_at_once(convnet, shape, CPU)
    assert compute.shown_at_once(convnet, shape, CPU, networks_at_once) <= cached


def test_dm_fills_half_of_a_gpus_memory(problem):
    convnet = networks.build(NETWORK, problem.shape, 3, 0)
    layers = 3 * 4 * 8 * 8 * 4 / 1e6  # bytes of the widest outputs of an image, three times
    on_a_gpu = replace(problem, device=torch.device("cuda"), memory_mb=2 * 5.5 * layers)
    assert dm._most_real(on_a_gpu, convnet) == 5


def of_a_set(dataset, teacher, labels):
    condensed = Condensed(
        dataset.standardize(dataset.train_images[:9]), torch.arange(3).repeat_interleave(3)
    )
    rows, _ = evaluation.evaluate(
        *(condensed, dataset, [0, 1]),
        **{"architecture": NETWORK, "augmentation": {"policy": "none"}},
        **{"optimizer": SGD_OPTIONS, "protocol": PROTOCOL, "device": CPU, "stack": False},
        **({"labels": labels, "teacher": teacher} if labels != "own" else {}),
    )
    return torch.tensor([[row["accuracy"], row["loss"]] for row in rows])


def ranked(dataset):
    images = dataset.standardize(dataset.train_images)
    rows, _ = proxies.accuracies(
        *("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|", [0]),
        *(lambda positions: images[positions], dataset.train_labels, dataset),
        network={"cells": 1, "channels": 4, "affine": True},
        training={**SGD_STEPS, "momentum": 0.0, "weight_decay": 0.0, "clip": None},
        epochs=1,
        device=CPU,
    )
    return torch.tensor([rows[0]["loss"]])


PASSES = {
    "features": lambda dataset, teacher: features.extract(teacher, dataset, "classifier_input"),
    "images of figure 7": lambda dataset, teacher: features.embed(
        teacher, dataset.standardize(dataset.train_images)
    ),
    "crops of rded": lambda dataset, teacher: rded.condense(
        Problem(dataset, ipc=2, seed=0, teacher=teacher),
        teacher="",
        pool=12,
        crops=2,
        factor=1,
        smallest=0.3,
    ),
    "images of datm": lambda dataset, teacher: datm._Classifiers(
        *(Problem(dataset, ipc=2, seed=0), Trajectories([values(teacher)[None]], NETWORK)),
        *(NETWORK, 1, 0),
    ).mean_logits(dataset.standardize(dataset.train_images[:6])),
    "real images of dm": lambda dataset, teacher: (
        dm.condense(
            Problem(dataset, ipc=2, seed=0),
            **{"init": "random", "features": "pixels", "iterations": 1, "lr": 0.1, "momentum": 0.5},
            **{"batch_real": 6, "augmentation": {"policy": "none"}, "architecture": NETWORK},
        ).images
    ),
    "real images of frepo": lambda dataset, teacher: (
        frepo.condense(
            Problem(dataset, ipc=2, seed=0),
            **{"init": "random", "features": "pixels", "iterations": 1, "lr": 0.1, "batch_real": 6},
            **{
                "ridge": 1e-3,
                "learn_labels": False,
                "flip": False,
                "networks": 1,
                "max_updates": 3,
            },
            **{"lr_network": 0.01, "architecture": NETWORK},
        ).images
    ),
    "test images of ranked networks": lambda dataset, teacher: ranked(dataset),
    "test images": lambda dataset, teacher: of_a_set(dataset, teacher, "own"),
    "labels of a teacher": lambda dataset, teacher: of_a_set(dataset, teacher, "distilled"),
    "labels of views": lambda dataset, teacher: of_a_set(dataset, teacher, "distilled_views"),
}


@pytest.mark.parametrize("name", PASSES)
def test_no_pass_takes_more(dataset, monkeypatch, name):
    teacher = networks.build(NETWORK, dataset.shape, 3, 5, "teacher").eval()
    whole = PASSES[name](dataset, teacher)
    # as on a GPU, whose memory holds the outputs of two images
    monkeypatch.setattr(compute, "images_at_once", lambda *_: None)
    monkeypatch.setattr(compute, "_SHOWN_BYTES", 2 * 4 * 4 * 8 * 8)
    monkeypatch.setattr(dm, "_MOST_REAL", 2)
    shown = set()

    def watch(module, inputs):
        if isinstance(module, torch.nn.Conv2d) and not torch.is_grad_enabled():
            shown.add(len(inputs[0]))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(watch)
    try:
        torch.testing.assert_close(PASSES[name](dataset, teacher), whole)
    finally:
        handle.remove()
    assert 2 in shown and max(shown) == 2
