"""Features: the embedding of the network that was trained, for every image, in order."""

from dataclasses import replace

import pytest
import torch

from condensation import features, networks, storage, whitening
from condensation.errors import InputError
from condensation.options import SGD, ConvNet

NETWORK = ConvNet(network="convnet", width=8, depth=1).model_dump()
OPTIMIZER = SGD(algorithm="sgd", lr=0.05).model_dump()


def extracted(dataset, seed=0, epochs=0):
    return features.extract(
        *(dataset, seed),
        **{"architecture": NETWORK, "epochs": epochs, "optimizer": OPTIMIZER, "batch_size": 16},
        device=torch.device("cpu"),
    )


def test_without_training_it_is_the_random_networks_embedding(dataset, monkeypatch):
    monkeypatch.setattr(features, "_BATCH", 7)
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


def trained(dataset, epochs=3):
    return features.train(
        *(dataset, 0),
        **{"architecture": NETWORK, "epochs": epochs, "optimizer": OPTIMIZER, "batch_size": 16},
        device=torch.device("cpu"),
    )


def stored(dataset, path, network):
    about = {"preprocessing": dataset.preprocessing, "options": {"architecture": NETWORK}}
    storage.write_tensors(path, dict(network.state_dict()), about)
    return path


def test_a_stored_network_embeds_as_the_one_that_was_trained(dataset, tmp_path):
    path = stored(dataset, tmp_path / "n", trained(dataset))
    loaded, about = features.load(path, dataset, torch.device("cpu"))
    found = features.embed(loaded, dataset.standardize(dataset.train_images))
    torch.testing.assert_close(found, extracted(dataset, epochs=3))
    assert about["options"] == {"architecture": NETWORK}


def test_a_network_of_whitened_images_is_another_and_not_for_others(dataset, tmp_path):
    fitted = whitening.fit(dataset.train_images, "zca", dataset.mean, dataset.std)
    white = replace(dataset, whitening=fitted)
    network, plain = trained(white), trained(dataset)
    assert not torch.equal(network.classifier.weight, plain.classifier.weight)
    with pytest.raises(InputError, match="prepared with"):
        features.load(stored(white, tmp_path / "n", network), dataset, torch.device("cpu"))


def test_the_test_accuracy_is_the_share_of_images_told_right(dataset, monkeypatch):
    monkeypatch.setattr(features, "_BATCH", 4)
    network = trained(dataset, epochs=1)
    right = 0
    for image, label in zip(dataset.test_images, dataset.test_labels, strict=True):
        with torch.no_grad():
            right += int(network(dataset.standardize(image[None]))[0].argmax() == label)
    accuracy = features.test_accuracy(network, dataset)
    assert accuracy == pytest.approx(100 * right / len(dataset.test_labels))
    assert 0 < right < len(dataset.test_labels), "else the test shows nothing"
