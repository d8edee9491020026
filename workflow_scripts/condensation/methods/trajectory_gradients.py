"""Three ways to the gradient of TM's loss by the images, soft labels and the step size.

TM: Cazenavette et al., 2022, arXiv:2203.11932. All three run the same student,
theta_{i+1} = theta_i - a g_i(theta_i, X_i) for i = 0 .. N-1, with g_i the gradient of the loss on
the augmented images of step i, and return the loss |theta_N - theta*|^2 / |theta_0 - theta*|^2.

``exact`` is reverse-mode differentiation by hand. With D the denominator,
lambda_N = 2 (theta_N - theta*) / D, and for i = N-1 .. 0 and
s_i = lambda_{i+1} . g_i(theta_i, X_i)

    d loss / d X_i += -a ds_i/dX_i,   d loss / d a += -s_i,
    lambda_i = lambda_{i+1} - a ds_i/dtheta_i

and for soft labels y_i as for X_i.

It keeps all theta_i (one parameter vector per step) and the graph of one step at a time.

``unroll`` lets autograd differentiate the graph of all steps. ``tesla`` is the approximation of
TESLA (Cui et al., 2023, arXiv:2211.10586): with G the sum of all g_i it differentiates
|theta_0 - theta* - a G|^2 / D as if no theta_i depended on the images. This drops all second-order
terms of the path and is exact for N = 1 only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from condensation.methods.derivatives import Flat


@dataclass(frozen=True)
class Step:
    """One student step: positions of its images in the set, and their augmentation draw."""

    positions: torch.Tensor
    drawn: Any


Apply = Callable[[torch.Tensor, Any], torch.Tensor]
# loss, its derivatives by the images, by the step size and, if they are soft, by the labels
Gradients = tuple[torch.Tensor, ...]


def exact(
    network: Flat,
    start: torch.Tensor,
    target: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    a: torch.Tensor,
    plan: list[Step],
    augment: Apply,
) -> Gradients:
    """Return loss and gradients by the reverse recursion.

    Parameters
    ----------
    network : the student.
    start, target : parameter vectors theta_0 and theta*.
    images, labels : the condensed set, [n, C, H, W] and int64 [n] or soft [n, classes].
    a : the step size, a scalar tensor.
    plan : the student steps.
    augment : (images, drawn) -> augmented images, differentiable.

    Returns
    -------
    The loss, its gradient with respect to the images, its derivative with respect to ``a``, and,
    if the labels are soft, its gradient with respect to them.
    """
    path = [start]
    for step in plan:
        slope = network.gradient(path[-1], *_batch(images, labels, step, augment))
        path.append(path[-1] - a * slope)
    denominator = (start - target).square().sum()
    loss = (path[-1] - target).square().sum() / denominator
    adjoint = 2 * (path.pop() - target) / denominator
    of_images, of_a = torch.zeros_like(images), torch.zeros_like(a)
    of_labels = [torch.zeros_like(labels)] if labels.is_floating_point() else []
    for step in reversed(plan):
        leaf, shown = _leaf(images, step, augment)
        product, of_vector, rates, *label_rates = network.rates(
            path.pop(), adjoint, shown.detach(), labels[step.positions]
        )
        (pulled,) = torch.autograd.grad(shown, leaf, rates)
        of_images.index_add_(0, step.positions, pulled * -a)
        for total, part in zip(of_labels, label_rates, strict=True):
            total.index_add_(0, step.positions, part * -a)
        of_a -= product
        adjoint = adjoint - a * of_vector
    return loss, of_images, of_a, *of_labels


def tesla(
    network: Flat,
    start: torch.Tensor,
    target: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    a: torch.Tensor,
    plan: list[Step],
    augment: Apply,
) -> Gradients:
    """Return the loss, and its gradients with all theta_i held fixed; arguments as ``exact``."""
    path = [start]
    total = torch.zeros_like(start)
    for step in plan:
        slope = network.gradient(path[-1], *_batch(images, labels, step, augment))
        total += slope
        path.append(path[-1] - a * slope)
    denominator = (start - target).square().sum()
    rest = start - target - a * total
    direction = -2 * a / denominator * rest
    of_images = torch.zeros_like(images)
    of_labels = [torch.zeros_like(labels)] if labels.is_floating_point() else []
    for step, vector in zip(plan, path[:-1], strict=True):
        leaf, shown = _leaf(images, step, augment)
        batch = shown.detach(), labels[step.positions]
        if of_labels:
            _, _, rates, of_batch = network.rates(vector, direction, *batch)
            of_labels[0].index_add_(0, step.positions, of_batch)
        else:
            rates = network.rates_of_images(vector, direction, *batch)
        (pulled,) = torch.autograd.grad(shown, leaf, rates)
        of_images.index_add_(0, step.positions, pulled)
    of_a = -2 * (rest @ total) / denominator
    return rest.square().sum() / denominator, of_images, of_a, *of_labels


def unroll(
    network: Flat,
    start: torch.Tensor,
    target: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    a: torch.Tensor,
    plan: list[Step],
    augment: Apply,
) -> Gradients:
    """Return loss and gradients by back-propagation through all steps; arguments as ``exact``."""
    images, a = images.detach().requires_grad_(), a.detach().requires_grad_()
    labels = labels.detach().requires_grad_(labels.is_floating_point())
    vector = start.detach().requires_grad_()
    for step in plan:
        shown = augment(images[step.positions], step.drawn)
        value = F.cross_entropy(network.forward(vector, shown), labels[step.positions])
        (slope,) = torch.autograd.grad(value, vector, create_graph=True)
        vector = vector - a * slope
    loss = (vector - target).square().sum() / (start - target).square().sum()
    learned = (images, a, labels) if labels.requires_grad else (images, a)
    return loss.detach(), *torch.autograd.grad(loss, learned)


def _batch(
    images: torch.Tensor, labels: torch.Tensor, step: Step, augment: Apply
) -> tuple[torch.Tensor, torch.Tensor]:
    return augment(images[step.positions], step.drawn), labels[step.positions]


def _leaf(images: torch.Tensor, step: Step, augment: Apply) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = images[step.positions].requires_grad_()
    return leaf, augment(leaf, step.drawn)


GRADIENTS = {"exact": exact, "unroll": unroll, "tesla": tesla}
