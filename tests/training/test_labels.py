"""Networks trained on other labels than the set's own, against plain loops of torch."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from condensation import augmentation, networks
from condensation.config.entries import SGD, ConvNet
from condensation.core import randomness
from condensation.data.sets import Condensed
from condensation.training import evaluation

NETWORK = ConvNet(network="convnet", width=4, depth=1).model_dump()
OPTIMIZER = SGD(algorithm="sgd", lr=0.05).model_dump()
PROTOCOL = {"epochs": 4, "epochs_without_augmentation": None, "inclusive": False, "batch_size": 4}
DSA = {"policy": "dsa", "operators": ["crop", "scale"], "align_corners": False}
CPU = torch.device("cpu")


@pytest.fixture
def condensed(dataset):
    stream = torch.Generator().manual_seed(1)
    labels = torch.arange(3).repeat_interleave(3)
    return Condensed(dataset.standardize(dataset.train_images[:9]), labels, None, None), stream


@pytest.fixture
def teacher(dataset):
    return networks.build(NETWORK, dataset.shape, 3, 5, "teacher").eval()


def rows(condensed, dataset, policy, seeds=(0,), **options):
    options = {"stack": False, **options}
    return evaluation.evaluate(
        *(condensed, dataset, list(seeds)),
        **{"architecture": NETWORK, "augmentation": policy, "optimizer": OPTIMIZER},
        **{"protocol": PROTOCOL, "device": CPU, **options},
    )[0]


def plain(condensed, dataset, policy, targets_of, temperature=1.0):
    """Train a network by torch's own optimizer and loss; return the losses of its curve."""
    network = networks.build(NETWORK, dataset.shape, 3, 0, "evaluation network").train()
    augment = augmentation.build(policy, dataset)
    stream = randomness.generator(0, "evaluation training")

    def optimizer(lr):
        return torch.optim.SGD(
            *(network.parameters(), lr),
            momentum=OPTIMIZER["momentum"],
            weight_decay=OPTIMIZER["weight_decay"],
        )

    step, curve = optimizer(OPTIMIZER["lr"]), []
    for epoch in range(4):
        total = 0.0
        for batch in torch.randperm(9, generator=stream).split(4):
            drawn = augment.draw(stream, len(batch))
            shown = augment.apply(condensed.images[batch], drawn)
            targets = targets_of(batch, shown)
            logits = network(shown) / temperature
            # the divergence differs from cross-entropy by the entropy of the targets
            loss = F.kl_div(logits.log_softmax(1), targets, reduction="batchmean")
            loss = (loss + torch.special.entr(targets).sum(1).mean()) * temperature**2
            step.zero_grad()
            loss.backward()
            step.step()
            total += float(loss.detach()) * len(batch) / 9
        curve.append(total)
        if epoch == 3:  # decay after epoch E // 2 + 1
            step = optimizer(OPTIMIZER["lr"] * 0.1)
    network.eval()
    with torch.no_grad():
        predicted = network(dataset.standardize(dataset.test_images)).argmax(1)
    return curve, float((predicted == dataset.test_labels).float().mean() * 100)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("labels", ["distilled", "distilled_views"])
def test_a_teacher_labels_images_or_their_views(condensed, dataset, teacher, labels, temperature):
    condensed, _ = condensed
    (row,) = rows(
        *(condensed, dataset, DSA), labels=labels, teacher=teacher, temperature=temperature
    )

    def targets_of(batch, shown):
        with torch.no_grad():
            images = condensed.images[batch] if labels == "distilled" else shown
            return (teacher(images) / temperature).softmax(1)

    curve, accuracy = plain(condensed, dataset, DSA, targets_of, temperature)
    assert [loss for _, loss in row["curve"]] == pytest.approx(curve, rel=1e-4)
    assert row["accuracy"] == pytest.approx(accuracy)


def test_views_and_images_have_other_labels(condensed, dataset, teacher):
    condensed, _ = condensed
    options = {"teacher": teacher}
    of_images, of_views = (
        rows(condensed, dataset, DSA, labels=labels, **options)[0]["curve"]
        for labels in ("distilled", "distilled_views")
    )
    assert of_images != of_views
    without = {"policy": "none"}
    of_images, of_views = (
        rows(condensed, dataset, without, labels=labels, **options)[0]["curve"]
        for labels in ("distilled", "distilled_views")
    )
    assert [a for _, a in of_images] == pytest.approx([b for _, b in of_views], rel=1e-5)


def test_hard_labels_are_the_classes_of_the_largest_scores(condensed, dataset):
    condensed, stream = condensed
    soft = torch.rand(9, 3, generator=stream).softmax(1)
    hard = rows(replace(condensed, labels=soft), dataset, DSA, labels="hard")
    assert hard == rows(replace(condensed, labels=soft.argmax(1)), dataset, DSA)
    assert hard != rows(replace(condensed, labels=soft), dataset, DSA)
    assert rows(condensed, dataset, DSA, labels="hard") == rows(condensed, dataset, DSA)


def test_stacked_networks_get_the_labels_of_their_own_views(condensed, dataset, teacher):
    condensed, _ = condensed
    options = {"labels": "distilled_views", "teacher": teacher}
    stacked = rows(condensed, dataset, DSA, seeds=(0, 1), stack=True, **options)
    alone = [rows(condensed, dataset, DSA, seeds=(seed,), **options)[0] for seed in (0, 1)]
    for together, single in zip(stacked, alone, strict=True):
        assert [x for _, x in together["curve"]] == pytest.approx(
            [x for _, x in single["curve"]], rel=1e-4
        )
