"""Gradients and their rates of change, against double back-propagation in float64."""

import pytest
import torch
import torch.nn.functional as F
from conftest import small_dataset

from condensation import networks
from condensation.core.compute import Mode
from condensation.methods.derivatives import Flat

NETWORKS = {
    "convnet": {"network": "convnet", "width": 6, "depth": 2},
    "mlp": {"network": "mlp", "width": 7},
}


HARD = torch.tensor([0, 1, 2, 0, 1])


def build(name, **options):
    network = networks.build(NETWORKS[name], (3, 8, 8), 3, 0, "test").double()
    flat = Flat(network, (3, 8, 8), torch.device("cpu"), **options)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(5, 3, 8, 8, generator=generator, dtype=torch.float64)
    vector = flat.vector(network)
    direction = torch.randn(len(vector), generator=generator, dtype=torch.float64)
    return flat, vector, direction, images, HARD


def double_backward(name, images, labels, direction):
    """The same numbers with autograd's graph of a graph, on the module itself."""
    network = networks.build(NETWORKS[name], tuple(images.shape[1:]), 3, 0, "test").double()
    weights = list(network.parameters())
    leaves = [images.clone().requires_grad_()]
    if labels.is_floating_point():
        labels = labels.clone().requires_grad_()
        leaves.append(labels)
    value = F.cross_entropy(network(leaves[0]), labels)
    gradient = torch.autograd.grad(value, weights, create_graph=True)
    gradient = torch.cat([member.flatten() for member in gradient])
    product = gradient @ direction
    rates = torch.autograd.grad(product, [*weights, *leaves])
    of_weights = torch.cat([member.flatten() for member in rates[: len(weights)]])
    return gradient.detach(), product.detach(), of_weights, *rates[len(weights) :]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_rates_are_those_of_double_back_propagation(name, chunk, soft):
    flat, vector, direction, images, labels = build(name, chunk=chunk)
    if soft:
        labels = torch.randn(5, 3, generator=torch.Generator().manual_seed(2)).double().softmax(1)
    gradient, product, of_vector, *of_inputs = double_backward(name, images, labels, direction)
    of_images = of_inputs[0]
    assert len(of_inputs) == 1 + soft
    torch.testing.assert_close(flat.gradient(vector, images, labels), gradient)
    rates = flat.rates(vector, direction, images, labels)
    for ours, theirs in zip(rates, (product, of_vector, *of_inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        flat.rates_of_images(vector, direction, images, labels), of_images, rtol=1e-9, atol=1e-12
    )
    assert float(of_vector.norm()) > 0 and float(of_images.norm()) > 0


def test_lower_precision_is_near_and_comes_back_in_float32():
    problem = small_dataset()
    images = problem.standardize(problem.train_images[:16])
    labels = problem.train_labels[:16]
    network = networks.build(NETWORKS["convnet"], problem.shape, 3, 0, "test")
    exact, rough = (
        Flat(network, problem.shape, torch.device("cpu"), Mode(False, precision))
        for precision in ("float32", "bf16")
    )
    vector = exact.vector(network)
    expected, actual = (flat.gradient(vector, images, labels) for flat in (exact, rough))
    assert actual.dtype == torch.float32 and not torch.equal(actual, expected)
    assert (actual - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("name", NETWORKS)
def test_several_networks_at_once_are_each_of_them(name):
    flat, vector, _, _, _ = build(name)
    generator = torch.Generator().manual_seed(2)
    vectors = vector + 0.1 * torch.randn(3, len(vector), generator=generator, dtype=torch.float64)
    images = torch.randn(3, 5, 3, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (3, 5), generator=generator)
    gradients = flat.gradients_of_each(vectors, images, labels)
    network = networks.build(NETWORKS[name], (3, 8, 8), 3, 0, "test").double()
    for i in range(3):
        torch.nn.utils.vector_to_parameters(vectors[i], network.parameters())
        value = F.cross_entropy(network(images[i]), labels[i])
        expected = torch.autograd.grad(value, list(network.parameters()))
        expected = torch.cat([part.flatten() for part in expected])
        torch.testing.assert_close(gradients[i], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_several_batches_at_once_are_double_back_propagation_of_each(name):
    flat, vector, _, _, _ = build(name)
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(4, 5, 3, 8, 8, generator=generator, dtype=torch.float64)
    directions = torch.randn(4, len(vector), generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 1])[:, None].expand(4, 5)
    gradients = flat.gradients(vector, images, labels)
    rates = flat.rates_of_each(vector, directions, images, labels)
    for i in range(4):
        gradient, _, _, of_images = double_backward(name, images[i], labels[i], directions[i])
        torch.testing.assert_close(gradients[i], gradient, rtol=0, atol=1e-9)
        torch.testing.assert_close(rates[i], of_images, rtol=0, atol=1e-9)
        single = flat.gradients(vector, images[i : i + 1], labels[i : i + 1])
        torch.testing.assert_close(single[0], gradient, rtol=0, atol=1e-9)
