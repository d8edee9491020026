"""Scores of images against their definitions, counted by hand and by a plain loop of training."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from condensation import networks
from condensation.config.entries import SGD, ConvNet
from condensation.core import randomness, storage
from condensation.core.errors import InputError
from condensation.training import features, fitting, scores

NETWORK = ConvNet(network="convnet", width=8, depth=1).model_dump()
OPTIMIZER = SGD(algorithm="sgd", lr=0.02, momentum=0.0).model_dump()  # learns slowly, and forgets
CPU = torch.device("cpu")


def test_forgetting_counts_from_right_to_wrong():
    history = {0: "rrrr", 1: "wrwr", 2: "rwrw", 3: "wwww", 4: "wwwr"}
    labels = torch.tensor([0, 1, 0, 1, 1])
    counter = scores.Forgetting(labels)
    for epoch in range(4):
        for shown in ([3, 0], [4, 1, 2]):  # in two batches, in another order
            right = torch.tensor([history[image][epoch] == "r" for image in shown])
            predicted = torch.where(right, labels[shown], 1 - labels[shown])
            logits = F.one_hot(predicted, 2).float()
            counter(torch.tensor([shown]), logits[None])
    assert counter.events().tolist() == [0, 1, 2, math.inf, 0]


@pytest.mark.parametrize("classes", [2, 10])
def test_el2n_in_closed_form(classes):
    guess = scores.el2n(torch.zeros(1, classes), torch.tensor([1]))
    assert float(guess) == pytest.approx(math.sqrt(1 - 1 / classes), rel=1e-6)
    certain = 100 * F.one_hot(torch.tensor([1, 0]), classes).float()
    right, wrong = scores.el2n(certain, torch.tensor([1, 1])).tolist()
    assert right == pytest.approx(0, abs=1e-6) and wrong == pytest.approx(math.sqrt(2), rel=1e-6)


def written(dataset, path, epochs):
    options = {"architecture": NETWORK, "optimizer": OPTIMIZER, "batch_size": 16}
    options |= {"epochs": epochs, "layer": "classifier_input", "scores": True}
    features.make(path, dataset, 0, {"options": options, "source": "x"}, device=CPU)
    return storage.read_tensors(path)[0]


def test_the_scores_of_a_training_are_those_of_a_plain_loop(dataset, tmp_path):
    network = networks.build(NETWORK, dataset.shape, 3, 0, "features network")
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.02, momentum=0.0, weight_decay=OPTIMIZER["weight_decay"]
    )
    stream = randomness.generator(0, "features training")
    images, labels = dataset.standardize(dataset.train_images), dataset.train_labels
    history: list[list[bool]] = [[] for _ in labels]
    for _ in range(12):
        for batch in torch.randperm(len(labels), generator=stream).split(16):
            logits = network(images[batch])
            for image, predicted in zip(batch.tolist(), logits.argmax(1).tolist(), strict=True):
                history[image].append(predicted == int(labels[image]))
            optimizer.zero_grad()
            F.cross_entropy(logits, labels[batch]).backward()
            optimizer.step()
    events = [
        sum(before and not now for before, now in pairwise(seen)) if any(seen) else math.inf
        for seen in history
    ]
    assert 0 < sum(event for event in events if event < math.inf)
    with torch.no_grad():
        shares = network(images).softmax(1)
    errors = [
        math.dist(row.tolist(), [float(c == label) for c in range(3)])
        for row, label in zip(shares, labels.tolist(), strict=True)
    ]
    stored = written(dataset, tmp_path / "features.safetensors", epochs=12)
    assert stored["forgetting"].tolist() == events
    torch.testing.assert_close(stored["el2n"], torch.tensor(errors), rtol=1e-4, atol=1e-5)


def test_scores_change_neither_the_training_nor_its_embedding(dataset, tmp_path):
    stored = written(dataset, tmp_path / "features.safetensors", epochs=2)
    network = features.train(
        *(dataset, 0),
        **{"architecture": NETWORK, "epochs": 2, "optimizer": OPTIMIZER, "batch_size": 16},
        device=CPU,
    )
    assert torch.equal(stored["features"], features.extract(network, dataset, "classifier_input"))


def test_watch_sees_every_image_once_an_epoch_also_in_parts(dataset):
    network = networks.build(NETWORK, dataset.shape, 3, 0, "n").train()
    seen: list[int] = []
    images = dataset.standardize(dataset.train_images)
    first: list[torch.Tensor] = []

    def watch(positions, logits):
        assert logits.shape == (1, positions.shape[1], 3) and not logits.requires_grad
        seen.extend(positions[0].tolist())
        first.append(logits[0])

    with torch.no_grad():
        before = network(images)
    fitting.fit(
        lambda shown: network(shown[0])[None],
        list(network.parameters()),
        lambda positions: images[positions],
        dataset.train_labels,
        **{"epochs": 2, "batch_size": 16, "optimizer": OPTIMIZER, "decay_after": None},
        augment=NoAugmentation(),
        generators=[randomness.generator(0, "x")],
        at_once=8,
        watch=watch,
    )
    assert sorted(seen) == sorted([*range(60)] * 2)
    torch.testing.assert_close(first[0], before[seen[:8]])
    torch.testing.assert_close(first[1], before[seen[8:16]])  # the same step


class NoAugmentation:
    """Leaves images as they are."""

    def draw(self, generator, count):
        """Draw nothing."""

    def apply(self, images, drawn):
        """Return the images."""
        return images


def test_a_training_that_diverges_is_refused(dataset):
    optimizer = SGD(algorithm="sgd", lr=1e30).model_dump()
    with pytest.raises(InputError, match="on all of small diverged.*Lower `lr`"):
        features.train(
            *(dataset, 0),
            **{"architecture": NETWORK, "epochs": 3, "optimizer": optimizer, "batch_size": 16},
            device=CPU,
        )
