"""The evaluation protocol against a plain loop, and its schedule against the released code's."""

import pytest
import torch
import torch.nn.functional as F
from conftest import small_dataset
from launches import as_on_a_gpu
from pydantic import TypeAdapter
from torch.optim.adam import adam
from torch.optim.sgd import sgd
from torch.utils.data import DataLoader, TensorDataset

from condensation import augmentation, networks
from condensation.config.entries import MLP, SGD, Adam, ConvNet, Evaluation, ResNet, ViT
from condensation.config.schema import Optimizer
from condensation.core import compute, randomness
from condensation.core.errors import InputError
from condensation.data.datasets import Dataset
from condensation.data.sets import Condensed
from condensation.methods.contract import Problem
from condensation.training import evaluation, metrics, stacking, updates

DSA = {"policy": "dsa", "operators": ["color", "crop", "flip"], "align_corners": False}
NONE = {"policy": "none"}
NETWORK = ConvNet(network="convnet", width=8, depth=1).model_dump()
OPTIMIZER = SGD(algorithm="sgd").model_dump()


def protocol(**options):
    return Evaluation(**options).model_dump(exclude={"seeds_per_job"})


def judged(condensed, dataset, seeds, epochs=4, batch_size=256, entry=DSA, **more):
    options = {"architecture": NETWORK, "augmentation": entry, "optimizer": OPTIMIZER} | more
    rows, _ = evaluation.evaluate(
        *(condensed, dataset, seeds),
        protocol=protocol(epochs=epochs, batch_size=batch_size),
        device=torch.device("cpu"),
        **options,
    )
    return rows


def same_up_to_rounding(rows, expected, rounding=1e-4):
    """The same networks but for float noise, which a few epochs do not amplify."""
    assert [row["seed"] for row in rows] == [row["seed"] for row in expected]
    for ours, theirs in zip(rows, expected, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=rounding)
        assert ours["accuracy"] == pytest.approx(theirs["accuracy"])
        calibration_error = pytest.approx(theirs["calibration_error"], abs=100 * rounding)
        assert ours["calibration_error"] == calibration_error
        epochs, losses = zip(*ours["curve"], strict=True)
        assert epochs == tuple(epoch for epoch, _ in theirs["curve"])
        assert losses == pytest.approx([loss for _, loss in theirs["curve"]], rel=10 * rounding)


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


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("entry", [NONE, DSA], ids=lambda e: e["policy"])
@pytest.mark.parametrize("batch_size", [256, 5])
def test_an_evaluation_is_the_plain_loop(condensed, dataset, entry, batch_size):
    (row,) = judged(condensed, dataset, [3], epochs=6, batch_size=batch_size, entry=entry)
    accuracy, loss = plain_loop(condensed, dataset, 3, 6, batch_size, entry)
    assert row["accuracy"] == pytest.approx(accuracy)
    assert row["loss"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.usefixtures("either_way")
def test_a_seed_does_not_depend_on_the_others_of_its_job(condensed, dataset):
    together = judged(condensed, dataset, [0, 1, 2], stack=False)
    assert [row["seed"] for row in together] == [0, 1, 2]
    assert together == [row for seed in (0, 1, 2) for row in judged(condensed, dataset, [seed])]
    assert len({row["loss"] for row in together}) == 3
    same_up_to_rounding(judged(condensed, dataset, [0, 1, 2], stack=True), together)
    same_up_to_rounding(judged(condensed, dataset, [0, 2], stack=True), together[::2])


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


@pytest.mark.usefixtures("either_way")
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
    assert evaluation.epochs_of(protocol(**options), {"policy": policy}) == expected


@pytest.mark.usefixtures("either_way")
def test_learning_rates_and_steps_as_they_are_used(monkeypatch, condensed, dataset):
    used = []

    def spy(parameters, gradients, velocities, **options):
        used.append((round(options["lr"], 6), velocities == [None] * len(parameters)))
        return sgd(parameters, gradients, velocities, **options)

    monkeypatch.setattr(updates, "sgd", spy)
    judged(condensed, dataset, [0], epochs=10)
    # one step an epoch (12 images): epochs 0..6 at .01, 7..10 at .001, momentum cleared between
    assert [lr for lr, _ in used] == [0.01] * 7 + [0.001] * 4
    assert [i for i, (_, fresh) in enumerate(used) if fresh] == [0, 7]


def test_steps_of_adam_are_recorded_on_a_gpu(monkeypatch, condensed, dataset):
    options = {"optimizer": Adam(algorithm="adam").model_dump(), "epochs": 10}
    as_usual = judged(condensed, dataset, [0, 1], **options)
    with as_on_a_gpu(monkeypatch) as replays:
        same_up_to_rounding(judged(condensed, dataset, [0, 1], **options), as_usual)
    assert replays.recorded and replays.replayed


def test_adam_is_torchs_and_does_not_decay(monkeypatch, condensed, dataset):
    used = []

    def spy(*tensors, **options):
        used.append(options)
        return adam(*tensors, **options)

    monkeypatch.setattr(updates, "adam", spy)
    options = Adam(algorithm="adam").model_dump()
    judged(condensed, dataset, [0], epochs=10, optimizer=options)
    assert len(used) == 11
    names = ("lr", "beta1", "beta2", "weight_decay")
    assert {tuple(options[name] for name in names) for options in used} == {(0.003, 0.9, 0.999, 0)}


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
        sizes.append(len(labels))
        return original(logits, labels, **more)

    monkeypatch.setattr(F, "cross_entropy", spy)
    judged(condensed, dataset, [0], epochs=1, batch_size=5)
    assert sizes[:-1] == [5, 5, 2] * 2  # the last is the test


def test_a_network_that_does_not_fit_says_so(condensed, dataset):
    with pytest.raises(InputError, match="depth may be at most 3"):
        deep = {"network": "convnet", "width": 8, "depth": 6}
        judged(condensed, dataset, [0], architecture=deep)


def test_a_network_that_diverges_is_no_result(condensed, dataset):
    wild = OPTIMIZER | {"lr": 1e12}
    for stack in (False, True):
        for row in judged(condensed, dataset, [0, 1], optimizer=wild, stack=stack):
            assert row["status"] == "diverged" and row["curve"][-1] == (5, None)
            assert {row[name] for name in metrics.NAMES} == {None}


SMALL = {
    "convnet": ConvNet(network="convnet", width=8, depth=2),
    "mlp": MLP(network="mlp", width=16),
    "resnet18": ResNet(network="resnet", depth=18, width=4),
    "resnet152": ResNet(network="resnet", depth=152, width=2),
    "vit": ViT(network="vit", patch=4, width=16, depth=2, heads=2, dropout=0.0),
}


@pytest.fixture
def in_float64(monkeypatch):
    """Rounding so small that no chaos of training can hide what is not rounding."""
    original = Dataset.standardize
    monkeypatch.setattr(Dataset, "standardize", lambda *arguments: original(*arguments).double())
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("entry", [NONE, DSA], ids=lambda e: e["policy"])
@pytest.mark.parametrize("name", SMALL)
def test_stacked_networks_are_the_same_as_one_at_a_time(in_float64, name, entry):
    dataset = small_dataset(shape=(3, 32, 32) if name.startswith("resnet") else (3, 8, 8))
    problem = Problem(dataset, ipc=4, seed=0)
    indices = problem.draw_real(4, problem.generator("test")).flatten()
    condensed = Condensed(problem.real(indices), problem.labels, indices)
    # At a rate of 0.01 a ResNet-152 makes 1e-6 of one rounding of its input within two steps; at
    # 1e-5 it makes 1e-9, and training still moves its loss by 1e-2.
    deep = name == "resnet152"
    epochs, batch_size, lr, rounding = (1, 256, 1e-5, 1e-8) if deep else (3, 5, 1e-2, 1e-9)
    options = {"architecture": SMALL[name].model_dump(), "entry": entry, "batch_size": batch_size}
    options["optimizer"] = OPTIMIZER | {"lr": lr}
    seeds = [4, 0, 7]
    stacked = judged(condensed, dataset, seeds, epochs, **options, stack=True)
    alone = judged(condensed, dataset, seeds, epochs, **options, stack=False)
    same_up_to_rounding(stacked, alone, rounding)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("stack", [False, True])
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(
    in_float64, condensed, dataset, monkeypatch, stack
):
    options = {"batch_size": 7, "stack": stack}  # 12 images: batches of 7 and 5
    whole = judged(condensed, dataset, [0, 1], **options)
    monkeypatch.setattr(compute, "images_at_once", lambda *_: 6)
    sizes = set()
    original = stacking.alone
    monkeypatch.setattr(
        stacking, "alone", lambda f: original(lambda x: (sizes.add(len(x)), f(x))[1])
    )
    same_up_to_rounding(judged(condensed, dataset, [0, 1], **options), whole, rounding=1e-9)
    # batches in parts of one size and a rest, 4 + 3 and 4 + 1; the 15 test images as 5 + 5 + 5
    assert stack or sizes == {4, 3, 1, 5}


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_other_optimizers_stack_too(condensed, dataset, name):
    optimizer = TypeAdapter(Optimizer).validate_python({"algorithm": name}).model_dump()
    options = {"optimizer": optimizer | {"lr": 1e-3}}
    stacked = judged(condensed, dataset, [0, 1], **options, stack=True)
    same_up_to_rounding(stacked, judged(condensed, dataset, [0, 1], **options, stack=False))


def test_soft_labels_stack_too(condensed, dataset):
    soft = Condensed(condensed.images, torch.rand(12, 3, generator=randomness.generator(0)))
    stacked = judged(soft, dataset, [0, 1], stack=True)
    same_up_to_rounding(stacked, judged(soft, dataset, [0, 1], stack=False))


def test_networks_that_cannot_be_stacked_say_why(condensed, dataset, caplog):
    caplog.set_level("INFO", logger="condensation")
    vit = ViT(network="vit", width=16, depth=1, heads=1, dropout=0.5).model_dump()
    stacked = judged(condensed, dataset, [0, 1], architecture=vit, stack=True)
    assert "one after the other, not stacked: it draws random numbers" in caplog.text
    assert stacked == judged(condensed, dataset, [0, 1], architecture=vit, stack=False)
    norm = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3), torch.nn.BatchNorm1d(3))
    assert "statistics" in stacking.obstacle(norm, dataset.shape)
    assert stacking.obstacle(norm[:2], dataset.shape) is None


def test_networks_that_do_not_fit_at_once_go_one_after_the_other(
    condensed, dataset, caplog, monkeypatch
):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(stacking.Stack, "__call__", full)
    monkeypatch.setattr(stacking, "obstacle", lambda *_: None)
    rows = judged(condensed, dataset, [0, 1], stack=True)
    assert "2 networks at once do not fit" in caplog.text
    assert rows == judged(condensed, dataset, [0, 1], stack=False)


def test_small_steps_are_stacked_on_the_cpu_and_large_ones_are_not():
    def pays(entry, shape, batch):
        network = networks.build(entry.model_dump(), shape, 10, 0)
        return stacking.pays(network, shape, batch, torch.device("cpu"))

    assert pays(MLP(network="mlp"), (1, 8, 8), 10)
    assert pays(ResNet(network="resnet", width=8, stages=2), (1, 8, 8), 10)
    assert not pays(ConvNet(network="convnet"), (3, 32, 32), 10)
    assert not pays(ConvNet(network="convnet", width=64), (1, 8, 8), 100)


def test_the_curve_is_sparse_and_falls(dataset):
    problem = Problem(dataset, ipc=10, seed=0)
    indices = problem.draw_real(10, problem.generator("test")).flatten()
    chosen = Condensed(problem.real(indices), problem.labels, indices)
    (row,) = judged(chosen, dataset, [0], epochs=99, entry=NONE)
    epochs, losses = zip(*row["curve"], strict=True)
    assert epochs == tuple(range(5, 101, 5))
    assert losses[-1] < losses[0] / 2
    (short,) = judged(chosen, dataset, [0], epochs=2, entry=NONE)
    assert [epoch for epoch, _ in short["curve"]] == [1, 2, 3]


@pytest.mark.usefixtures("either_way")
def test_the_first_point_of_the_curve_is_the_loss_of_the_first_epoch(condensed, dataset):
    still = OPTIMIZER | {"lr": 1e-12}
    (row,) = judged(condensed, dataset, [3], epochs=1, batch_size=5, entry=NONE, optimizer=still)
    network = networks.build(NETWORK, dataset.shape, 3, 3, "evaluation network")
    with torch.no_grad():
        expected = float(F.cross_entropy(network(condensed.images), condensed.labels))
    assert row["curve"][0] == (1, pytest.approx(expected, rel=1e-5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nesterov": True}, "nesterov"),
        ({"betas": [0.9]}, "index out of range"),
        ({"fused": True, "foreach": True}, "cannot be `True` together"),
    ],
)
def test_an_optimizer_that_does_not_take_its_options_says_so_before_training(
    condensed, dataset, options, message
):
    with pytest.raises(InputError, match=rf"optimizer adamw.*{message}"):
        wrong = {"algorithm": "adamw", "lr": 0.1, "weight_decay": 0, "decay": False}
        judged(condensed, dataset, [0], optimizer=wrong | {"options": options})
