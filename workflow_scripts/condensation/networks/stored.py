"""Networks in files, with what is needed to build them again."""

from pathlib import Path
from typing import Any

import torch

from condensation import networks
from condensation.core import storage
from condensation.data import sets
from condensation.data.datasets import Dataset


def load(
    path: str | Path, dataset: Dataset, device: torch.device
) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Return the network in a file, in evaluation mode, and the file's metadata.

    Raises
    ------
    InputError
        If the network was trained on another preprocessing than that of ``dataset``.
    """
    weights, metadata = storage.read_tensors(path)
    sets.require_preprocessing(metadata["preprocessing"], dataset, str(path))
    architecture = metadata["options"]["architecture"]
    network = networks.build(architecture, dataset.shape, len(dataset.classes), 0, "loaded")
    network.load_state_dict(weights)
    return network.to(device).eval(), metadata
