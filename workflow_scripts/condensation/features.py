"""Embedding of every training image, by a network trained briefly on all of them.

Paper, appendix A.1: one random ConvNet trained for one epoch on the whole
training set. The paper leaves its optimizer and the layer open; ours are the
evaluator's SGD without decay, no augmentation, and the classifier's input.
"""

import math
from typing import Any

import torch

from condensation import augmentation, compute, networks, randomness, stacking, training
from condensation.datasets import Dataset
from condensation.progress import Progress

_BATCH = 500


def extract(
    dataset: Dataset,
    seed: int,
    *,
    architecture: dict[str, Any],
    epochs: int,
    optimizer: dict[str, Any],
    batch_size: int,
    device: torch.device,
    compile: bool | str = False,
) -> torch.Tensor:
    """Return the embedding of the training images, float32 [n, features], on the CPU."""
    network = networks.build(
        architecture, dataset.shape, len(dataset.classes), seed, "features network"
    ).to(device)
    pixels = dataset.train_images.to(device)
    passes = (3.0 * epochs + 1) * len(pixels)
    compile = compute.worth_compiling(compile, network, dataset.shape, passes)
    at_once = compute.images_at_once(network, dataset.shape, device)
    if epochs:
        training.fit(
            stacking.alone(compute.compiled(network, compile, device)),
            list(network.parameters()),
            lambda positions: dataset.standardize(pixels[positions]),
            dataset.train_labels.to(device),
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            decay_after=None,
            augment=augmentation.build({"policy": "none"}, dataset),
            generators=[randomness.generator(seed, "features training")],
            at_once=at_once,
            progress=Progress(
                f"training for features of {dataset.name}",
                epochs * math.ceil(len(pixels) / batch_size),
            ),
        )
    network.eval()
    embed = compute.compiled(network.embed, compile, device)
    size = compute.part_size(len(pixels), min(at_once or _BATCH, _BATCH))
    progress = Progress(f"features of {dataset.name}", math.ceil(len(pixels) / size))
    parts = []
    with torch.inference_mode():
        for images in pixels.split(size):
            parts.append(embed(dataset.standardize(images)).cpu())
            progress.step()
    return torch.cat(parts)
