"""The loops as the field writes them, with which the benchmarks compare ours.

Eager, in the default layout, class by class, a fresh graph for each class, real images as floats on
the device, a DataLoader wherever a network is trained, and the loss asked for after each step. ReLU
works in place, as in the field's networks, which a CPU's caches feel. How near these
loops are to the field's published code, in what they compute and in seconds, is in
docs/measurements.md.

Each loss is a function of its own, so that it can be computed in float64 too.
"""

import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from beside import CONVNET
from torch import nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

from condensation import augmentation, networks
from condensation.methods import kernels

BATCH = 256
Pair = tuple[torch.Tensor, torch.Tensor, int]  # real images of a class, synthetic ones, the class
Iteration = Callable[[int], None]


def network_of(dataset: Any, device: torch.device, number: int = 0) -> nn.Module:
    """Return a fresh ConvNet in training mode, its ReLU in place."""
    network = networks.build(CONVNET, dataset.shape, len(dataset.classes), 0, "plain", number)
    return in_place(network).to(device).train()


def in_place(network: nn.Module) -> nn.Module:
    """Return ``network`` with every ReLU working in place."""
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True
    return network


# --- losses ---------------------------------------------------------------------------------------


def dm_loss(network: nn.Module, pairs: list[Pair]) -> torch.Tensor:
    """Return DM's loss, summed over classes; the network's parameters need no gradient."""
    total = 0.0
    for real, synthetic, _ in pairs:
        mean = network.embed(real).detach().mean(0)
        total = total + (mean - network.embed(synthetic).mean(0)).square().sum()
    return total


def matching_loss(network: nn.Module, pairs: list[Pair]) -> torch.Tensor:
    """Return the distance of DC and DSA between gradients, summed over classes."""
    weights = list(network.parameters())
    total = 0.0
    for real, synthetic, label in pairs:
        slopes = []
        for images, graph in ((real, False), (synthetic, True)):
            labels = torch.full((len(images),), label, device=images.device)
            value = F.cross_entropy(network(images), labels)
            slopes.append(torch.autograd.grad(value, weights, create_graph=graph))
        for target, slope in zip(*slopes, strict=True):
            if slope.dim() > 1:
                target, slope = target.flatten(1), slope.flatten(1)
                lengths = target.norm(dim=1) * slope.norm(dim=1)
                total = total + (1 - (target * slope).sum(1) / (lengths + 1e-6)).sum()
    return total


def trajectory_loss(
    network: nn.Module,
    start: torch.Tensor,
    target: torch.Tensor,
    batches: list[tuple[torch.Tensor, torch.Tensor]],
    step_size: torch.Tensor,
) -> torch.Tensor:
    """Return TM's loss after a step on each batch, its graph kept through all of them."""
    names = [name for name, _ in network.named_parameters()]
    shapes = [parameter.shape for parameter in network.parameters()]
    counts = [shape.numel() for shape in shapes]
    vector = start.detach().requires_grad_()
    for images, labels in batches:
        parts = zip(names, vector.split(counts), shapes, strict=True)
        parameters = {name: part.view(shape) for name, part, shape in parts}
        value = F.cross_entropy(functional_call(network, parameters, (images,)), labels)
        vector = vector - step_size * torch.autograd.grad(value, vector, create_graph=True)[0]
    return (vector - target).square().sum() / (start - target).square().sum()


def kernel_loss(
    kernel: kernels.Kernel,
    images: torch.Tensor,
    labels: torch.Tensor,
    real: torch.Tensor,
    targets: torch.Tensor,
    ridge: float,
) -> torch.Tensor:
    """Return KIP's loss; labels and targets are one-hot minus 1/C, in float64."""
    embedded = kernel.embed(images)
    matrix = kernel.between(embedded, embedded)
    shift = ridge * matrix.diagonal().mean()
    matrix = matrix + shift * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    answers = kernel.between(kernel.embed(real), embedded) @ torch.linalg.solve(matrix, labels)
    return 0.5 * (targets - answers).square().mean()


# --- loops ----------------------------------------------------------------------------------------


class Loop:
    """What the loops share.

    Parameters
    ----------
    dataset : its real images become floats on ``device``.
    policy : the entry of an augmentation.
    lr : step size of SGD on the images, whose momentum is 0.5.
    """

    def __init__(self, dataset: Any, ipc: int, policy: dict, lr: float, device: torch.device):
        self.dataset, self.ipc, self.device = dataset, ipc, device
        self.real = dataset.preprocess(dataset.train_images.to(device))
        self.by_class = dataset.indices_by_class()
        self.classes = len(dataset.classes)
        self.labels = torch.arange(self.classes, device=device).repeat_interleave(ipc)
        self.augment = augmentation.build(policy, dataset)
        self.generator = torch.Generator().manual_seed(0)
        first = torch.cat([self.draw(label, ipc) for label in range(self.classes)])
        self.images = first.requires_grad_()
        self.optimizer = torch.optim.SGD([self.images], lr=lr, momentum=0.5)

    def draw(self, label: int, count: int) -> torch.Tensor:
        """Return random real images of a class."""
        indices = self.by_class[label]
        return self.real[indices[torch.randperm(len(indices), generator=self.generator)[:count]]]

    def pairs(self) -> list[Pair]:
        """Return the batches of each class in turn, real and synthetic augmented alike."""
        for label in range(self.classes):
            real, synthetic = self.draw(label, BATCH), self.images.split(self.ipc)[label]
            drawn = self.augment.draw(self.generator, 1)
            yield self.augment.apply(real, drawn), self.augment.apply(synthetic, drawn), label

    def move(self, loss: torch.Tensor) -> None:
        """Take a step on the images."""
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        loss.item()


def dm(dataset: Any, ipc: int, policy: dict, device: torch.device) -> Iteration:
    """One iteration of DM."""
    loop = Loop(dataset, ipc, policy, 1.0, device)

    def iteration(number: int) -> None:
        network = network_of(dataset, device, number).requires_grad_(False)
        loop.move(dm_loss(network, loop.pairs()))

    return iteration


def matching(
    dataset: Any, ipc: int, policy: dict, device: torch.device, outer: int, inner: int
) -> Iteration:
    """One part of DC or DSA: a matching step, and the training of the network until the next."""
    loop = Loop(dataset, ipc, policy, 0.1, device)
    network, optimizer = None, None

    def part(number: int) -> None:
        nonlocal network, optimizer
        iteration, turn = divmod(number, outer)
        if turn == 0 or network is None:
            network = network_of(dataset, device, iteration)
            optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
        loop.move(matching_loss(network, loop.pairs()))
        if turn + 1 < outer:
            shown = loop.images.detach().clone()
            train(network, optimizer, shown, loop.labels, loop.augment, loop.generator, inner)

    return part


def tm(
    dataset: Any,
    ipc: int,
    policy: dict,
    device: torch.device,
    snapshots: torch.Tensor,
    options: dict[str, Any],
) -> Iteration:
    """One iteration of TM; ``options`` are the method's."""
    loop = Loop(dataset, ipc, policy, options["lr"], device)
    step_size = torch.tensor(options["step_size"], device=device).requires_grad_()
    of_step = torch.optim.SGD([step_size], lr=options["lr_step"], momentum=0.5)
    network = network_of(dataset, device)
    size = min(options["batch_syn"] or len(loop.images), len(loop.images))

    def shown() -> Any:
        """Batches of the set, shuffled anew after each pass over it, each augmented apart."""
        while True:
            for positions in torch.randperm(len(loop.images), generator=loop.generator).split(size):
                drawn = loop.augment.draw(loop.generator, len(positions))
                yield loop.augment.apply(loop.images[positions], drawn), loop.labels[positions]

    def iteration(_: int) -> None:
        first = int(torch.randint(options["max_start"], (1,), generator=loop.generator))
        start = snapshots[first].to(device)
        target = snapshots[first + options["expert_epochs"]].to(device)
        batches = list(itertools.islice(shown(), options["steps"]))
        of_step.zero_grad()
        loop.move(trajectory_loss(network, start, target, batches, step_size))
        of_step.step()

    return iteration


def kip(
    dataset: Any,
    ipc: int,
    policy: dict,
    device: torch.device,
    kernel_of: Callable[[int], kernels.Kernel],
    options: dict[str, Any],
) -> Iteration:
    """One iteration of KIP, the real images whitened before the first."""
    loop = Loop(dataset, ipc, policy, 1.0, device)
    optimizer = torch.optim.Adam([loop.images], lr=options["lr"])
    each = options["batch_real"] // loop.classes

    def centred(labels: torch.Tensor) -> torch.Tensor:
        return F.one_hot(labels, loop.classes).double() - 1 / loop.classes

    def iteration(number: int) -> None:
        real = [loop.draw(label, each) for label in range(loop.classes)]
        targets = torch.cat(
            [torch.full((len(part),), label) for label, part in enumerate(real)]
        ).to(device)
        loss = kernel_loss(
            *(kernel_of(number), loop.images, centred(loop.labels)),
            *(torch.cat(real), centred(targets), options["ridge"]),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return iteration


def train(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    augment: Any,
    generator: torch.Generator,
    epochs: int,
    most: int | None = None,
) -> None:
    """Train through a DataLoader, the loss and the accuracy asked for at each step.

    ``most`` ends an epoch after so many batches. The images may be elsewhere than the network.
    """
    device = next(network.parameters()).device
    for _ in range(epochs):
        loader = DataLoader(TensorDataset(images, labels), BATCH, shuffle=True)
        for shown, targets in itertools.islice(loader, most):
            shown, targets = shown.to(device), targets.to(device)
            shown = augment.apply(shown, augment.draw(generator, len(shown)))
            logits = network(shown)
            loss = F.cross_entropy(logits, targets)
            loss.item()
            (logits.detach().argmax(1) == targets).sum().item()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def expert(
    dataset: Any, policy: dict, device: torch.device, batches: int | None = None
) -> Iteration:
    """One epoch of an expert, or the first ``batches`` of one; its images wait in the host."""
    real = dataset.preprocess(dataset.train_images.cpu())
    augment = augmentation.build(policy, dataset)
    generator = torch.Generator().manual_seed(0)
    network = network_of(dataset, device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)

    def iteration(_: int) -> None:
        train(network, optimizer, real, dataset.train_labels, augment, generator, 1, batches)

    return iteration


def test(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the accuracy of a network, its graphs built as the field builds them."""
    correct = 0
    device = next(network.parameters()).device
    for shown, targets in DataLoader(TensorDataset(images, labels), BATCH):
        correct += (network(shown.to(device)).argmax(1) == targets.to(device)).sum().item()
    return correct / len(labels)
