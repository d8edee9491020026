"""TM's gradient: the reverse recursion against back-propagation and against finite differences."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, small_dataset

from condensation import augmentation, networks
from condensation.config.entries import DSA_OPERATORS
from condensation.methods.derivatives import Flat
from condensation.methods.trajectory_gradients import Step, exact, tesla, unroll

DSA = {"policy": "dsa", "operators": list(DSA_OPERATORS), "align_corners": False}
CONVNET = {"network": "convnet", "width": 4, "depth": 1}


def problem(steps, batch=None, chunk=None, images=6, soft=False):
    dataset = small_dataset()
    network = networks.build(CONVNET, dataset.shape, 3, 0, "test").double()
    flat = Flat(network, dataset.shape, torch.device("cpu"), chunk=chunk)
    generator = torch.Generator().manual_seed(steps)
    augment = augmentation.build(DSA, dataset)
    set_ = torch.randn(images, *dataset.shape, generator=generator, dtype=torch.float64)
    labels = torch.arange(images) % 3
    if soft:
        labels = torch.randn(images, 3, generator=generator, dtype=torch.float64).softmax(1)
    start = flat.vector(network)
    target = start + 0.01 * torch.randn(len(start), generator=generator, dtype=torch.float64)
    plan, waiting = [], []
    for _ in range(steps):
        if not waiting:
            order = torch.randperm(images, generator=generator)
            waiting = list(order.split(batch or images))
        positions = waiting.pop(0)
        drawn = augment.draw(generator, len(positions))
        drawn = type(drawn)(drawn.operator, drawn.parameters.double())
        plan.append(Step(positions, drawn))
    a = torch.tensor(0.02, dtype=torch.float64)
    return flat, start, target, set_, labels, a, plan, augment.apply


def off(ours, expected):
    return float((ours - expected).norm() / expected.norm())


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("batch, chunk", [(None, None), (4, None), (4, 3)])
@pytest.mark.parametrize("steps", range(1, 9))
def test_the_recursion_is_back_propagation(steps, batch, chunk, soft):
    arguments = problem(steps, batch, chunk, soft=soft)
    whole = unroll(*arguments)
    assert len(whole) == 3 + soft
    for ours, expected in zip(exact(*arguments), whole, strict=True):
        assert off(ours, expected) < 1e-6


def test_every_operator_of_the_augmentation_was_among_them():
    drawn = {step.drawn.operator for n in range(1, 9) for step in problem(n, 4)[6]}
    assert drawn == set(DSA_OPERATORS)


def test_back_propagation_is_the_slope_of_a_student_written_plainly():
    _, start, target, images, labels, a, plan, augment = arguments = problem(3, 4)

    def loss(images, a):
        weights = [weight.clone() for weight in arguments[0].split(start)]
        for step in plan:
            weights = [weight.detach().requires_grad_() for weight in weights]
            w, b, scale, shift, out, bias = weights
            x = F.conv2d(augment(images[step.positions], step.drawn), w, b, padding=1)
            mean = x.mean((2, 3), keepdim=True)
            spread = x.var((2, 3), keepdim=True, unbiased=False)
            x = (x - mean) / (spread + 1e-5).sqrt() * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
            x = F.avg_pool2d(x.relu(), 2).flatten(1) @ out.T + bias
            value = F.cross_entropy(x, labels[step.positions])
            slopes = torch.autograd.grad(value, weights)
            weights = [weight - a * slope for weight, slope in zip(weights, slopes, strict=True)]
        end = torch.cat([weight.flatten() for weight in weights]).detach()
        return float((end - target).square().sum() / (start - target).square().sum())

    value, of_images, of_a = unroll(*arguments)
    assert float(value) == pytest.approx(loss(images, a), rel=1e-12)
    assert float(of_a) == pytest.approx((loss(images, a + 1e-6) - loss(images, a - 1e-6)) / 2e-6)
    direction = torch.randn_like(images) * 1e-5
    slope = (loss(images + direction, a) - loss(images - direction, a)) / 2
    assert slope == pytest.approx(float((of_images * direction).sum()), rel=1e-4)


def test_the_slope_of_soft_labels_is_that_of_differences():
    flat, start, target, images, labels, a, plan, augment = problem(3, 4, soft=True)

    def loss(labels):
        return float(unroll(flat, start, target, images, labels, a, plan, augment)[0])

    *_, of_labels = unroll(flat, start, target, images, labels, a, plan, augment)
    direction = torch.randn_like(labels) * 1e-5
    slope = (loss(labels + direction) - loss(labels - direction)) / 2
    assert slope == pytest.approx(float((of_labels * direction).sum()), rel=1e-4)


@pytest.mark.parametrize("soft", [False, True])
def test_tesla_is_exact_for_one_step_and_not_for_more(soft):
    single = problem(1, soft=soft)
    for ours, expected in zip(tesla(*single), exact(*single), strict=True):
        assert off(ours, expected) < 1e-9
    many = problem(8)
    assert off(tesla(*many)[0], exact(*many)[0]) < 1e-9, "the loss is the same"
    assert off(tesla(*many)[1], exact(*many)[1]) > 1e-3


@pytest.mark.parametrize("soft", [False, True])
def test_tesla_is_the_slope_of_its_surrogate(soft):
    flat, start, target, images, labels, a, plan, augment = arguments = problem(4, 4, soft=soft)
    path = [start]
    for step in plan:
        shown = augment(images[step.positions], step.drawn)
        path.append(path[-1] - a * flat.gradient(path[-1], shown, labels[step.positions]))
    images, a = images.clone().requires_grad_(), a.clone().requires_grad_()
    labels = labels.clone().requires_grad_(soft)
    total = 0
    for step, vector in zip(plan, path[:-1], strict=True):
        vector = vector.detach().requires_grad_()
        shown = augment(images[step.positions], step.drawn)
        value = F.cross_entropy(flat.forward(vector, shown), labels[step.positions])
        total = total + torch.autograd.grad(value, vector, create_graph=True)[0]
    loss = (start - target - a * total).square().sum() / (start - target).square().sum()
    # of the step size the surrogate's slope holds the sum of gradients fixed, as it is here
    expected = torch.autograd.grad(loss, (images, a, labels) if soft else (images, a))
    for ours, slope in zip(tesla(*arguments)[1:], expected, strict=True):
        assert off(ours, slope) < 1e-9


MEMORY = """
import sys
sys.path[:0] = [{scripts!r}, {tests!r}]
import torch
from conftest import small_dataset
from condensation import augmentation, networks
from condensation.core import compute
from condensation.methods import trajectory_gradients
from condensation.methods.derivatives import Flat
torch.set_num_threads(1)
dataset = small_dataset(shape=(3, 32, 32))
network = networks.build({{"network": "convnet", "width": 32, "depth": 2}}, dataset.shape, 3, 0)
flat = Flat(network, dataset.shape, torch.device("cpu"))
start, images = flat.vector(network), torch.randn(30, 3, 32, 32)
augment = augmentation.build({{"policy": "none"}}, dataset)
step = trajectory_gradients.Step(torch.arange(30), None)
def gradient(steps):
    trajectory_gradients.GRADIENTS[sys.argv[1]](
        *(flat, start, start + 0.01, images, torch.arange(30) % 3),
        *(torch.tensor(0.01), [step] * steps, augment.apply),
    )
    return compute.peak_memory_mb(torch.device("cpu"))["peak_rss_mb"]
print(gradient(3), gradient(15))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name, grows", [("exact", False), ("unroll", True)])
def test_memory_grows_with_the_steps_of_the_unroll_alone(name, grows):
    code = MEMORY.format(scripts=str(ROOT / "workflow_scripts"), tests=str(ROOT / "tests"))
    done = subprocess.run(
        [sys.executable, "-c", code, name], capture_output=True, text=True, check=True
    )
    few, many = map(float, done.stdout.split())
    # 12 more steps of 30 images: over 10 MiB of activations each
    assert (many - few > 200) if grows else (many - few < 40), (few, many)
