"""Try networks, pipelines, optimizers and a table of architectures, and print the errors.

Reads trials (``planning.trials``) as JSON. The last line of the output is a JSON list of messages.
"""

import json
import sys

import torch

from condensation import augmentation, networks
from condensation.core import compute
from condensation.core.errors import InputError
from condensation.data import datasets
from condensation.methods import derivatives
from condensation.nas import sample
from condensation.training import fitting


def attempt(use, entry, shape, classes, images):
    """Raise InputError if a network, pipeline or optimizer cannot be used for ``use``."""
    if use == "optimize":
        fitting.build_optimizer([torch.zeros(1, requires_grad=True)], entry, entry["lr"])
        return
    pixels = torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    labels = torch.arange(2) % classes
    if use == "transform":
        channels = shape[0]
        constants = {"mean": (0.5,) * channels, "std": (0.25,) * channels}
        names = tuple(map(str, range(classes)))
        augmentation.build(
            entry, datasets.Dataset("it", names, pixels, labels, pixels, labels, **constants)
        )
        return
    network = networks.build(entry, shape, classes, 0)
    blank = torch.randn(2, *shape)
    if use == "train":
        compute.batches(torch.arange(images), images, compute.fewest_at_once(network, shape))
    elif use == "embed":
        network.embed(blank)
    else:
        flat = derivatives.Flat(network, shape, torch.device("cpu"))
        vector = flat.vector(network)
        try:
            slope = flat.gradient(vector, blank, labels)
            flat.rates_of_images(vector, slope, blank, labels)
        except (RuntimeError, NotImplementedError) as error:
            raise InputError(
                f"its gradient cannot be differentiated, as dc, dsa and tm do: "
                f"{str(error).splitlines()[0]}"
            ) from error


def main():
    """Try all; each message begins with the place in the config."""
    problems = []
    for trial in json.load(sys.stdin):
        where = trial.pop("where")
        try:
            if trial["use"] == "sample":
                sample.sample(**trial["options"])
            else:
                attempt(**trial | {"shape": tuple(trial["shape"])})
        except InputError as error:
            problems.append(f"{where}: {error}")
    print(json.dumps(problems))


main()
