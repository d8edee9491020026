"""Try the device that is named on the command line; print why torch cannot use it, or nothing."""

import sys

import torch

from condensation.core import compute
from condensation.core.errors import InputError


def main(name):
    """Print one line at most."""
    try:
        device = compute.device_named(name)
    except InputError as error:
        print(error)
        return
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        numbers = ", ".join(f"cuda:{number}" for number in range(count))
        print(f"compute.device: {name} is set, but this machine has only {numbers}")


main(sys.argv[1])
