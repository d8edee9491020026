"""Networks of an architecture, trained and judged: against a plain loop and torch's own parts."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from conftest import small_dataset

from condensation import networks
from condensation.core import randomness
from condensation.core.errors import InputError
from condensation.data import splits
from condensation.nas import proxies

MIXED = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
NETWORK = {"cells": 1, "channels": 4, "affine": True}
TRAINING = {"batch_size": 16, "lr": 0.1, "lr_end": 0.001, "momentum": 0.9, "weight_decay": 3e-4}
TRAINING["clip"] = 0.5  # binds, as the test below checks
CPU = torch.device("cpu")


@pytest.fixture
def real():
    return small_dataset(shape=(3, 8, 8))


def train(real, seeds, epochs=3, **more):
    images = real.preprocess(real.train_images)
    options = {"network": NETWORK, "training": TRAINING, "dtype": torch.float64, **more}
    return proxies.accuracies(
        *(MIXED, seeds, lambda at: images.to(options["dtype"])[at], real.train_labels, real),
        epochs=epochs,
        device=CPU,
        **options,
    )


@pytest.mark.usefixtures("either_way")
def test_a_network_is_what_a_plain_loop_with_torchs_own_parts_makes(real):
    rows, costs = train(real, [3])
    entry = {"network": "nasbench201", "cell": MIXED, **NETWORK}
    network = networks.build(entry, real.shape, 3, 3, "proxy", MIXED).double()
    images, labels = real.preprocess(real.train_images).double(), real.train_labels
    steps = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=3e-4)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(steps, 3, eta_min=0.001)
    draw = randomness.generator(3, "proxy order", MIXED)
    longest = 0.0
    for _ in range(3):
        for at in torch.randperm(60, generator=draw).split(16):  # the last has 12
            steps.zero_grad()
            F.cross_entropy(network(images[at]), labels[at]).backward()
            longest = max(longest, float(torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)))
            steps.step()
        cosine.step()
    assert longest > 0.5
    with torch.no_grad():
        logits = network.eval()(real.preprocess(real.test_images).double())
    assert rows[0]["loss"] == pytest.approx(float(F.cross_entropy(logits, real.test_labels)))
    right = (logits.argmax(1) == real.test_labels).double().mean()
    assert rows[0]["accuracy"] == pytest.approx(100 * float(right))
    assert (rows[0]["architecture"], rows[0]["seed"], rows[0]["status"]) == (MIXED, 3, "ok")
    assert costs[0]["seconds"] > 0


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("affine", [False, True])
def test_stacked_networks_train_as_they_do_alone(real, affine):
    network = {**NETWORK, "affine": affine}
    together, _ = train(real, [0, 1, 2], stack=True, network=network)
    alone, _ = train(real, [0, 1, 2], stack=False, network=network)
    assert len({row["loss"] for row in alone}) == 3
    for row, other in zip(together, alone, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-9)
        assert row["accuracy"] == other["accuracy"]
    (single,), _ = train(real, [1], network=network)
    assert single == alone[1], "a network does not depend on the others of its job"


def test_the_rate_falls_along_half_a_cosine():
    steps = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.025)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(steps, 50, eta_min=0.001)
    for epoch in range(50):
        expected = steps.param_groups[0]["lr"]
        assert proxies.rate(epoch, 50, 0.025, 0.001) == pytest.approx(expected)
        steps.step()
        cosine.step()


def test_a_diverging_network_is_recorded_as_diverged(real):
    (row,), _ = train(real, [0], training={**TRAINING, "lr": 1e30, "clip": None})
    assert row["status"] == "diverged" and row["accuracy"] is None and row["loss"] is None


def test_soft_labels_and_more_seeds_than_fit(real, monkeypatch):
    soft = F.one_hot(real.train_labels, 3).double()
    images = real.preprocess(real.train_images).double()
    options = {"network": NETWORK, "training": TRAINING, "epochs": 2, "device": CPU}
    (row,), _ = proxies.accuracies(
        MIXED, [0], lambda at: images[at], soft, real, dtype=torch.float64, **options
    )
    assert row["loss"] == pytest.approx(train(real, [0], epochs=2)[0][0]["loss"])

    def too_large(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    expected, _ = train(real, [0, 1], stack=False)
    monkeypatch.setattr("condensation.training.stacking.Stack", too_large)
    assert train(real, [0, 1], stack=True)[0] == expected


# --- what is held out -----------------------------------------------------------------------------


def test_a_share_of_every_class_is_held_out(real):
    kept, held = splits.hold_out(real, 0.2, 0)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(60))
    assert real.train_labels[held].bincount().tolist() == [4, 4, 4]
    again = splits.hold_out(real, 0.2, 0)[1]
    assert torch.equal(held, again) and not torch.equal(held, splits.hold_out(real, 0.2, 1)[1])


@pytest.mark.parametrize(
    ("share", "expected"), [(0.02, "none to validate on"), (0.98, "none to train on")]
)
def test_a_class_without_images_on_a_side_is_named(real, share, expected):
    with pytest.raises(InputError, match=f"class 'class 0', of 20 training images, {expected}"):
        splits.hold_out(real, share, 0)
    others = [i for i, label in enumerate(real.train_labels.tolist()) if label != 1]
    few = torch.tensor([*others, 1])
    uneven = replace(real, train_images=real.train_images[few], train_labels=real.train_labels[few])
    with pytest.raises(InputError, match="leaves class 'class 1', of 1 training images, none"):
        splits.hold_out(uneven, 0.2, 0)


def test_a_subset_is_even_and_from_the_given_positions(real):
    kept, held = splits.hold_out(real, 0.5, 0)
    chosen = splits.subset(real, kept, 12, 0, "reference")
    assert set(chosen.tolist()) <= set(kept.tolist()) and not set(chosen.tolist()) & set(held)
    assert real.train_labels[chosen].bincount().tolist() == [4, 4, 4]
    with pytest.raises(InputError, match="10 images .reference. are not equally many.*multiple of"):
        splits.subset(real, kept, 10, 0, "reference")
    with pytest.raises(InputError, match="33 images .reference. are 11 of each class.* are 10"):
        splits.subset(real, kept, 33, 0, "reference")
