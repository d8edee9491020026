"""Features: the embedding of the network that was trained, for every image, in order."""

import torch

from condensation import features, networks
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
