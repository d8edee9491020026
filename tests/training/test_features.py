"""Features: the embedding of the network that was trained, for every image, in order."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from condensation import networks
from condensation.config.entries import SGD, ConvNet
from condensation.core import compute, storage
from condensation.core.errors import InputError
from condensation.data import whitening
from condensation.networks import stored
from condensation.training import features

NETWORK = ConvNet(network="convnet", width=8, depth=1).model_dump()
OPTIMIZER = SGD(algorithm="sgd", lr=0.05).model_dump()


def trained(dataset, seed=0, epochs=3):
    return features.train(
        *(dataset, seed),
        **{"architecture": NETWORK, "epochs": epochs, "optimizer": OPTIMIZER, "batch_size": 16},
        device=torch.device("cpu"),
    )


def extracted(dataset, seed=0, epochs=0, layer="classifier_input"):
    return features.extract(trained(dataset, seed, epochs), dataset, layer)


def test_without_training_it_is_the_random_networks_embedding(dataset, monkeypatch):
    monkeypatch.setattr(compute, "_SHOWN", 7)
    network = networks.build(NETWORK, dataset.shape, 3, 0, "features network")
    with torch.no_grad():
        expected = torch.stack(
            [network.embed(dataset.standardize(image[None]))[0] for image in dataset.train_images]
        )
    torch.testing.assert_close(extracted(dataset), expected, rtol=1e-4, atol=1e-5)


def test_training_tells_the_classes_apart(dataset):
    def spread(embedding):
        """Between-class over within-class variance."""
        means = torch.stack([embedding[dataset.train_labels == c].mean(0) for c in range(3)])
        within = (embedding - means[dataset.train_labels]).square().mean()
        return float((means - means.mean(0)).square().mean() / within)

    assert spread(extracted(dataset, epochs=10)) > spread(extracted(dataset))


def test_a_seed_gives_the_same_features_and_another_seed_others(dataset):
    assert torch.equal(extracted(dataset, epochs=1), extracted(dataset, epochs=1))
    assert not torch.equal(extracted(dataset, epochs=1), extracted(dataset, 1, epochs=1))


def test_in_bf16_a_step_is_the_one_of_torchs_autocast(dataset):
    options = {"architecture": NETWORK, "optimizer": OPTIMIZER, "epochs": 1, "batch_size": 60}
    device = torch.device("cpu")
    ours = features.train(dataset, 0, **options, precision="bf16", device=device)

    expected = networks.build(NETWORK, dataset.shape, 3, 0, "features network")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = expected(dataset.preprocess(dataset.train_images))
    assert logits.dtype == torch.bfloat16
    F.cross_entropy(logits.float(), dataset.train_labels).backward()
    exact = features.train(dataset, 0, **options, device=device)
    with torch.no_grad():
        for trained, plain, parameter in zip(
            ours.parameters(), exact.parameters(), expected.parameters(), strict=True
        ):
            decay = OPTIMIZER["weight_decay"] * parameter  # the first step has no momentum yet
            stepped = parameter - OPTIMIZER["lr"] * (parameter.grad + decay)
            torch.testing.assert_close(trained, stepped, rtol=1e-5, atol=1e-6)
            assert not torch.equal(trained, plain)
    assert features.extract(ours, dataset, "classifier_input").dtype == torch.float32


def test_a_network_with_dropout_depends_on_the_seed_alone(dataset):
    vit = {"network": "vit", "patch": 4, "width": 16, "depth": 1, "heads": 2, "dropout": 0.5}
    options = {"architecture": vit, "optimizer": OPTIMIZER, "epochs": 2, "batch_size": 16}
    before = torch.random.get_rng_state()
    first = features.train(dataset, 0, **options, device=torch.device("cpu"))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    second = features.train(dataset, 0, **options, device=torch.device("cpu"))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_before_pooling_are_the_values_that_the_last_pooling_averages(dataset):
    before = extracted(dataset, epochs=1, layer="before_pooling").view(60, 8, 8, 8)
    pooled = F.avg_pool2d(before, 2).flatten(1)
    torch.testing.assert_close(pooled, extracted(dataset, epochs=1), rtol=1e-4, atol=1e-5)


def test_a_network_without_pooling_has_nothing_before_it(dataset):
    network = networks.build({"network": "mlp"}, dataset.shape, 3, 0)
    with pytest.raises(InputError, match="before_pooling needs a network with a pooling"):
        features.extract(network, dataset, "before_pooling")


def network_file(dataset, path, network):
    metadata = {"preprocessing": dataset.preprocessing, "options": {"architecture": NETWORK}}
    storage.write_tensors(path, dict(network.state_dict()), metadata)
    return path


def test_a_stored_network_embeds_as_the_one_that_was_trained(dataset, tmp_path):
    path = network_file(dataset, tmp_path / "n", trained(dataset))
    network, metadata = stored.load(path, dataset, torch.device("cpu"))
    loaded = features.embed(network, dataset.standardize(dataset.train_images))
    torch.testing.assert_close(loaded, extracted(dataset, epochs=3))
    assert metadata["options"] == {"architecture": NETWORK}


def test_a_network_of_whitened_images_is_another_and_not_for_others(dataset, tmp_path):
    fitted = whitening.fit(dataset.train_images, "zca", dataset.mean, dataset.std)
    white = replace(dataset, whitening=fitted)
    network, plain = trained(white), trained(dataset)
    assert not torch.equal(network.classifier.weight, plain.classifier.weight)
    with pytest.raises(InputError, match="prepared with"):
        stored.load(network_file(white, tmp_path / "n", network), dataset, torch.device("cpu"))
