"""How fast DM, DC, DSA and expert training are, beside the loop as the field writes it.

    python benchmarks/condensation.py results/cifar10/dataset.safetensors --threads 1

Ours and the plain loop take turns, iteration by iteration, in one process, so
that both see the same machine; the ratio is of two neighbours, its median and
quartiles are over the turns. The plain loop is eager, in the default layout,
goes class by class and builds a fresh graph for each class and each augmented
batch. DC and DSA are timed with two matching steps per network and one epoch
of training on the set between them, whatever the IPC.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from beside import CONVNET, announce, peak, policies, ratio

from condensation import augmentation, compute, datasets, networks, trajectories
from condensation.contract import Problem
from condensation.loop import Recorder
from condensation.methods import dc, dm

OUTER, INNER, BATCH = 2, 1, 256
EXPERT_BATCHES = 4


class Turns(Recorder):
    """Runs each iteration of ours, then one of the plain loop, and keeps both times."""

    def __init__(self, plain, warm_up=1):
        super().__init__()
        self.plain, self.warm_up, self.ours, self.theirs = plain, warm_up, [], []

    def run(self, state, step, iterations, parts=1):
        for number in range(iterations):
            began = time.perf_counter()
            for part in range(parts):
                step(number * parts + part)
            between = time.perf_counter()
            self.plain(number)
            if number >= self.warm_up:  # the first compiles
                self.ours.append(between - began)
                self.theirs.append(time.perf_counter() - between)


# --- the loops as the field writes them -----------------------------------------------------------


class Plain:
    """What the plain loops share: float images on the device, an eager network, SGD."""

    def __init__(self, dataset, ipc, policy, lr, momentum=0.5):
        self.dataset = dataset
        self.real = dataset.standardize(dataset.train_images)
        self.by_class = dataset.indices_by_class()
        self.classes, self.ipc = len(dataset.classes), ipc
        self.images = torch.randn(self.classes * ipc, *dataset.shape).requires_grad_()
        self.labels = torch.arange(self.classes).repeat_interleave(ipc)
        self.augment = augmentation.build(policy, dataset)
        self.steps = torch.optim.SGD([self.images], lr=lr, momentum=momentum)
        self.generator = torch.Generator().manual_seed(0)

    def network(self, number):
        return networks.build(CONVNET, self.dataset.shape, self.classes, 0, "plain", number)

    def pair(self, label):
        """A batch of real images of a class and its synthetic ones, augmented alike."""
        chosen = torch.randperm(len(self.by_class[label]), generator=self.generator)[:BATCH]
        real = self.real[self.by_class[label][chosen]]
        ours = self.images[label * self.ipc : (label + 1) * self.ipc]
        drawn = self.augment.draw(self.generator, 1)
        return self.augment.apply(real, drawn), self.augment.apply(ours, drawn)

    def move(self, loss):
        self.steps.zero_grad()
        loss.backward()
        self.steps.step()


def plain_dm(dataset, ipc, policy):
    """One iteration of DM, a forward pass per class and kind of image."""
    own = Plain(dataset, ipc, policy, lr=1.0)

    def iteration(number):
        network = own.network(number).requires_grad_(False)
        loss = torch.zeros(())
        for label in range(own.classes):
            real, ours = own.pair(label)
            target = network.embed(real).detach().mean(0)
            loss = loss + (target - network.embed(ours).mean(0)).square().sum()
        own.move(loss)

    return iteration


def plain_dc(dataset, ipc, policy):
    """One network of DC or DSA: the graphs of all classes are kept until one backward pass."""
    own = Plain(dataset, ipc, policy, lr=0.1)

    def iteration(number):
        network = own.network(number)
        weights = list(network.parameters())
        trainer = torch.optim.SGD(weights, lr=0.01)
        for turn in range(OUTER):
            loss = torch.zeros(())
            for label in range(own.classes):
                real, ours = own.pair(label)
                target = torch.full((len(real),), label)
                wanted = torch.autograd.grad(F.cross_entropy(network(real), target), weights)
                value = F.cross_entropy(network(ours), target[:1].expand(len(ours)))
                found = torch.autograd.grad(value, weights, create_graph=True)
                loss = loss + dc._rows(list(found), [one.detach() for one in wanted])
            own.move(loss)
            if turn + 1 < OUTER:
                train(network, trainer)

    def train(network, trainer):
        data = torch.utils.data.TensorDataset(own.images.detach().clone(), own.labels)
        for _ in range(INNER):
            for images, labels in torch.utils.data.DataLoader(data, BATCH, shuffle=True):
                drawn = own.augment.draw(own.generator, len(images))
                loss = F.cross_entropy(network(own.augment.apply(images, drawn)), labels)
                trainer.zero_grad()
                loss.backward()
                trainer.step()
                loss.item()

    return iteration


def plain_expert(dataset, _, policy):
    """A few batches of expert training, through a DataLoader."""
    own = Plain(dataset, 1, policy, lr=0.1)
    network = own.network(0)
    trainer = torch.optim.SGD(network.parameters(), lr=0.01)
    data = torch.utils.data.TensorDataset(own.real, dataset.train_labels)

    def iteration(_):
        loader = iter(torch.utils.data.DataLoader(data, BATCH, shuffle=True))
        for _ in range(EXPERT_BATCHES):
            images, labels = next(loader)
            drawn = own.augment.draw(own.generator, len(images))
            loss = F.cross_entropy(network(own.augment.apply(images, drawn)), labels)
            trainer.zero_grad()
            loss.backward()
            trainer.step()
            loss.item()

    return iteration


# --- ours -----------------------------------------------------------------------------------------


def ours_dm(problem, turns, policy):
    """Run DM through ``problem.recorder``."""
    dm.condense(
        problem,
        **{"init": "noise", "features": "embedding", "iterations": turns, "lr": 1.0},
        **{"momentum": 0.5, "batch_real": BATCH, "augmentation": policy, "architecture": CONVNET},
    )


def ours_dc(problem, turns, policy):
    """Run DC or DSA through ``problem.recorder``."""
    dc.condense(
        problem,
        **{"init": "noise", "features": "embedding", "iterations": turns, "outer": OUTER},
        **{"inner": INNER, "lr": 0.1, "momentum": 0.5, "batch_real": BATCH, "lr_network": 0.01},
        **{"batch_network": BATCH, "distance": "rows", "update": "joint"},
        **{"augmentation": policy, "architecture": CONVNET},
    )


class FewBatches(Turns):
    """An iteration of expert training is a few batches here, not an epoch."""

    def run(self, state, step, iterations, parts=1):
        super().run(state, step, self.turns, EXPERT_BATCHES)


def ours_expert(problem, turns, policy):
    """Run expert training through ``problem.recorder``."""
    problem.recorder.turns = turns
    trajectories.train(
        problem,
        **{"architecture": CONVNET, "epochs": 1, "lr": 0.01, "momentum": 0.0},
        **{"batch_size": BATCH, "augmentation": policy},
    )


METHODS = {
    "dm": (plain_dm, ours_dm, "dsa", Turns),
    "dc": (plain_dc, ours_dc, "none", Turns),
    "dsa": (plain_dc, ours_dc, "dsa", Turns),
    "expert": (plain_expert, ours_expert, "dsa", FewBatches),
}


def operations(method, ipc, classes, forward):
    """Multiplications and additions of an iteration that no implementation can leave out."""
    ours = classes * ipc
    if method == "dm":
        return forward * (classes * BATCH + 2 * ours)
    if method == "expert":
        return forward * 3 * BATCH * EXPERT_BATCHES
    # a gradient is three forward passes; matching differentiates it once more: six at the least
    return forward * (OUTER * (3 * classes * BATCH + 9 * ours) + (OUTER - 1) * INNER * 3 * ours)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="a prepared dataset.safetensors")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--ipc", nargs="+", type=int, default=[1, 10, 50])
    parser.add_argument("--precision", nargs="+", default=["float32", "bf16"])
    parser.add_argument("--turns", type=int, default=6, help="the first is not counted")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    dataset = datasets.load(given.dataset)
    with torch.device("meta"):
        network = networks.build(CONVNET, dataset.shape, len(dataset.classes), 0)
    forward = compute.operations(network, dataset.shape)
    peaks = {
        name: peak({"float32": torch.float32, "bf16": torch.bfloat16}[name])
        for name in given.precision
    }
    announce(peaks)
    print("| method | IPC | precision | plain s | ours s | ratio (quartiles) | of matmul peak |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in given.methods:
        plain, ours, policy, turns = METHODS[name]
        policy = policies()[policy]
        for ipc in given.ipc if name != "expert" else [0]:
            for precision in given.precision:
                torch.compiler.reset()  # or the sizes of all cases add up to its limit
                recorder = turns(plain(dataset, ipc, policy))
                problem = Problem(
                    *(dataset, ipc or None, 0),
                    **{"recorder": recorder, "compile": True, "precision": precision},
                )
                ours(problem, given.turns, policy)
                seconds = statistics.median(recorder.ours)
                done = operations(name, ipc, len(dataset.classes), forward) / seconds
                print(
                    f"| {name} | {ipc or '-'} | {precision} | "
                    f"{statistics.median(recorder.theirs):.2f} | {seconds:.2f} | "
                    f"{ratio(recorder.theirs, recorder.ours)} | {done / peaks[precision]:.0%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
