"""The evaluation protocol against a plain loop, and its schedule against the released code's."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import small_dataset
from torch.utils.data import DataLoader, TensorDataset

from condensation import augmentation, networks, randomness, training
from condensation.contract import Problem
from condensation.errors import InputError
from condensation.options import SGD, Adam, ConvNet, Evaluation, ViT
from condensation.sets import Condensed

DSA = {"policy": "dsa", "operators": ["color", "crop", "flip"], "align_corners": False}
NONE = {"policy": "none"}
NETWORK = ConvNet(network="convnet", width=8, depth=1).model_dump()
OPTIMIZER = SGD(algorithm="sgd").model_dump()


def protocol(**options):
    return Evaluation(**options).model_dump(exclude={"seeds_per_job"})


def judged(condensed, dataset, seeds, epochs=4, batch_size=256, entry=DSA, **more):
    options = {"architecture": NETWORK, "augmentation": entry, "optimizer": OPTIMIZER} | more
    rows, _ = training.evaluate(
        *(condensed, dataset, seeds),
        protocol=protocol(epochs=epochs, batch_size=batch_size),
        device=torch.device("cpu"),
        **options,
    )
    return rows


@pytest.fixture
def condensed(dataset):
    problem = Problem(dataset, ipc=4, seed=0)
    indices = problem.draw_real(4, problem.generator("test")).flatten()
    return Condensed(problem.real(indices), problem.labels, indices)


def plain_loop(condensed, dataset, seed, epochs, batch_size, entry):
    """The released evaluator, written plainly: a DataLoader, one step after the other."""
    network = networks.build(NETWORK, dataset.shape, 3, seed, "evaluation network")
    generator = randomness.generator(seed, "evaluation training")
    augment = augmentation.build(entry, dataset)
    lr = 0.01
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    for epoch in range(epochs + 1):  # 0..E inclusive
        order = torch.randperm(len(condensed.labels), generator=generator)
        data = TensorDataset(condensed.images, condensed.labels)
        for images, labels in DataLoader(data, batch_size, sampler=order.tolist()):
            images = augment.apply(images, augment.draw(generator, len(images)))
            loss = -F.log_softmax(network(images), 1)[range(len(labels)), labels].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch == epochs // 2 + 1:
            lr *= 0.1
            optimizer = torch.optim.SGD(
                network.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4
            )
    right, total = 0, 0.0
    with torch.no_grad():
        for image, label in zip(dataset.test_images, dataset.test_labels, strict=True):
            unit = image.double() / 255
            pixels = torch.stack(
                [
                    (unit[c] - m) / s
                    for c, (m, s) in enumerate(zip(dataset.mean, dataset.std, strict=True))
                ]
            ).float()
            logits = network(pixels[None])[0]
            right += int(logits.argmax() == label)
            total += float(torch.logsumexp(logits, 0) - logits[label])
    return 100 * right / len(dataset.test_labels), total / len(dataset.test_labels)


@pytest.mark.parametrize("entry", [NONE, DSA], ids=lambda e: e["policy"])
@pytest.mark.parametrize("batch_size", [256, 5])
def test_an_evaluation_is_the_plain_loop(condensed, dataset, entry, batch_size):
    (row,) = judged(condensed, dataset, [3], epochs=6, batch_size=batch_size, entry=entry)
    accuracy, loss = plain_loop(condensed, dataset, 3, 6, batch_size, entry)
    assert row["accuracy"] == pytest.approx(accuracy)
    assert row["loss"] == pytest.approx(loss, rel=1e-4)


def test_a_seed_does_not_depend_on_the_others_of_its_job(condensed, dataset):
    together = judged(condensed, dataset, [0, 1, 2])
    assert [row["seed"] for row in together] == [0, 1, 2]
    assert together == [row for seed in (0, 1, 2) for row in judged(condensed, dataset, [seed])]
    assert len({row["loss"] for row in together}) == 3


def test_the_global_state_does_not_matter(condensed, dataset):
    torch.manual_seed(1)
    first = judged(condensed, dataset, [0])
    torch.manual_seed(2)
    assert judged(condensed, dataset, [0]) == first


def test_networks_learn(dataset):
    problem = Problem(dataset, ipc=10, seed=0)
    indices = problem.draw_real(10, problem.generator("test")).flatten()
    chosen = Condensed(problem.real(indices), problem.labels, indices)
    (row,) = judged(chosen, dataset, [0], epochs=40, entry=NONE)
    assert row["accuracy"] > 90  # the classes differ by brightness
    shuffled = Condensed(chosen.images, chosen.labels.roll(10), indices)
    assert judged(shuffled, dataset, [0], epochs=40, entry=NONE)[0]["accuracy"] < 30


def test_the_whole_set_is_read_from_the_dataset(dataset):
    count = len(dataset.train_labels)
    images = dataset.standardize(dataset.train_images)
    whole = Condensed(None, dataset.train_labels, torch.arange(count))
    explicit = Condensed(images, dataset.train_labels)
    assert judged(whole, dataset, [0]) == judged(explicit, dataset, [0])


def test_soft_labels_train_as_their_cross_entropy(condensed, dataset):
    one_hot = F.one_hot(condensed.labels, 3).float()
    hard = judged(condensed, dataset, [0])[0]
    soft = judged(Condensed(condensed.images, one_hot), dataset, [0])[0]
    assert soft["loss"] == pytest.approx(hard["loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("options", "policy", "expected"),
    [
        # 502 epochs at the first rate and 499 at the second
        ({"epochs": 1000}, "dsa", (1001, 501)),
        ({"epochs": 1000, "inclusive": False}, "dsa", (1000, 501)),
        ({"epochs": 1000}, "none", (1001, 501)),
        ({"epochs": 1000, "epochs_without_augmentation": 300}, "none", (301, 151)),
        ({"epochs": 1000, "epochs_without_augmentation": 300}, "dsa", (1001, 501)),
    ],
)
def test_the_schedule_is_the_released_codes(options, policy, expected):
    assert training.epochs_of(protocol(**options), {"policy": policy}) == expected


def test_learning_rates_and_steps_as_they_are_used(monkeypatch, condensed, dataset):
    used = []

    class Spy(torch.optim.SGD):
        def step(self, *arguments):
            group = self.param_groups[0]
            fresh = not any("momentum_buffer" in state for state in self.state.values())
            used.append((round(group["lr"], 6), fresh))
            return super().step(*arguments)

    monkeypatch.setattr(torch.optim, "SGD", Spy)
    judged(condensed, dataset, [0], epochs=10)
    # one step an epoch (12 images): epochs 0..6 at .01, 7..10 at .001, momentum cleared between
    assert [lr for lr, _ in used] == [0.01] * 7 + [0.001] * 4
    assert [i for i, (_, fresh) in enumerate(used) if fresh] == [0, 7]


def test_adam_is_torchs_and_does_not_decay(monkeypatch, condensed, dataset):
    used = []

    class Spy(torch.optim.Adam):
        def step(self, *arguments):
            used.append(dict(self.param_groups[0], params=None))
            return super().step(*arguments)

    monkeypatch.setattr(torch.optim, "Adam", Spy)
    adam = Adam(algorithm="adam").model_dump()
    judged(condensed, dataset, [0], epochs=10, optimizer=adam)
    assert len(used) == 11
    assert {(u["lr"], u["betas"], u["weight_decay"]) for u in used} == {(0.003, (0.9, 0.999), 0)}


def test_dropout_depends_on_the_seed_alone(condensed, dataset):
    vit = ViT(network="vit", width=16, depth=1, heads=1, dropout=0.5).model_dump()
    torch.manual_seed(1)
    first = judged(condensed, dataset, [0, 1], architecture=vit)
    torch.manual_seed(2)
    assert judged(condensed, dataset, [0], architecture=vit) == first[:1]
    assert judged(condensed, dataset, [1], architecture=vit) == first[1:]
    without = ViT(network="vit", width=16, depth=1, heads=1, dropout=0.0).model_dump()
    assert judged(condensed, dataset, [0], architecture=without) != first[:1]


def test_the_last_partial_batch_is_kept(monkeypatch, condensed, dataset):
    sizes = []
    original = F.cross_entropy

    def spy(logits, labels, **more):
        if not more:
            sizes.append(len(labels))
        return original(logits, labels, **more)

    monkeypatch.setattr(F, "cross_entropy", spy)
    judged(condensed, dataset, [0], epochs=1, batch_size=5)
    assert sizes == [5, 5, 2] * 2


def test_a_network_that_does_not_fit_says_so(condensed, dataset):
    with pytest.raises(InputError, match="depth may be at most 3"):
        deep = {"network": "convnet", "width": 8, "depth": 6}
        judged(condensed, dataset, [0], architecture=deep)


def test_a_network_that_diverges_is_no_result(condensed, dataset):
    wild = OPTIMIZER | {"lr": 1e12}
    rows = judged(condensed, dataset, [0], optimizer=wild)
    assert rows == [{"seed": 0, "status": "diverged", "accuracy": None, "loss": None}]


def test_testing_in_batches_is_the_mean_over_all_images(monkeypatch):
    dataset = small_dataset(test_per_class=5)
    forward = networks.build(NETWORK, dataset.shape, 3, 0)
    whole = training.test(forward, dataset, torch.device("cpu"))
    monkeypatch.setattr(training, "_TEST_BATCH", 4)
    accuracy, loss = training.test(forward, dataset, torch.device("cpu"))
    assert accuracy == whole[0] and math.isclose(loss, whole[1], rel_tol=1e-5)
