"""Networks trained on all real images, and their embeddings: for selections, figure 7, teachers.

Paper, appendix A.1: one random ConvNet, trained for one epoch on the whole training set. The paper
names neither the optimizer nor the layer. Here they are the evaluator's SGD without decay and
without augmentation, and the classifier's input.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from condensation import augmentation, networks
from condensation.core import compute, randomness, storage
from condensation.core.errors import InputError
from condensation.core.progress import Progress
from condensation.data.datasets import Dataset
from condensation.training import fitting, metrics, scores, stacking


def make(
    path: str | Path,
    dataset: Dataset,
    seed: int,
    job: Mapping[str, Any],
    *,
    device: torch.device,
    compile: bool | str = False,
) -> None:
    """Train a network on all training images and write their embedding: rule extract_features.

    Parameters
    ----------
    path : the file to write, with the float32 tensor ``features`` [n, features] and, if the
        options ask for ``scores``, ``forgetting`` and ``el2n`` [n] (``training.scores``).
    seed : the condensation seed.
    job : options and source digest (``workflow.jobs.extract_features``).
    device, compile : as in ``train``.

    Raises
    ------
    InputError
        As ``extract`` does.
    """
    options = job["options"]
    training = {name: value for name, value in options.items() if name not in ("layer", "scores")}
    forgetting = scores.Forgetting(dataset.train_labels.to(device)) if options["scores"] else None
    network = train(dataset, seed, device=device, compile=compile, watch=forgetting, **training)
    tensors = {"features": extract(network, dataset, options["layer"], compile)}
    if forgetting:
        tensors["forgetting"] = forgetting.events()
        logits = extract(network, dataset, "logits", compile)
        tensors["el2n"] = scores.el2n(logits, dataset.train_labels.cpu())
    metadata = {"kind": "features", "dataset": dataset.name, "seed": seed}
    metadata |= {"options": options, "source": job["source"]}
    storage.write_tensors(path, tensors, metadata)


def make_network(
    path: str | Path,
    dataset: Dataset,
    job: Mapping[str, Any],
    *,
    device: torch.device,
    compile: bool | str = False,
) -> None:
    """Train a network on all training images and write it: rule train_embedder.

    Parameters
    ----------
    path : the file to write, which ``networks.stored.load`` reads; its metadata has the test
        accuracy.
    dataset : with the whitening of the images, if there is one.
    job : options and source digest (``workflow.jobs.train_embedder``).
    device, compile : as in ``train``.
    """
    network = train(dataset, 0, device=device, compile=compile, **job["options"])
    at_once = compute.shown_at_once(network, dataset.shape, device)
    (row,) = metrics.measure(stacking.alone(network), 1, dataset, device, at_once)
    metadata = {"kind": "features network", "dataset": dataset.name, "source": job["source"]}
    metadata |= {"preprocessing": dataset.preprocessing, "options": job["options"]}
    metadata["test_accuracy"] = row["accuracy"]
    storage.write_tensors(path, dict(network.state_dict()), metadata)


def extract(
    network: torch.nn.Module, dataset: Dataset, layer: str, compile: bool | str = False
) -> torch.Tensor:
    """Return the embedding of all training images.

    Parameters
    ----------
    layer : ``classifier_input``, ``before_pooling`` for the input of the last pooling, or
        ``logits`` for the output.

    Returns
    -------
    float32 [n, features], on the CPU.

    Raises
    ------
    InputError
        For ``before_pooling``, if the network has no pooling before its classifier.
    """
    device = next(network.parameters()).device
    pixels = dataset.train_images
    size = compute.part_size(len(pixels), compute.shown_at_once(network, dataset.shape, device))
    steps = math.ceil(len(pixels) / size)
    mode = compute.choose_mode(
        compile, "float32", network, dataset.shape, device, len(pixels), steps
    )
    forward = compute.compiled(_layer(network, layer), mode.compile, device, size)
    progress = Progress(f"features of {dataset.name}", steps)
    parts = []
    with torch.inference_mode():
        for images in pixels.split(size):
            parts.append(forward(dataset.preprocess(images.to(device))).cpu())
            progress.step()
    return torch.cat(parts)


def _layer(network: torch.nn.Module, layer: str) -> Callable[[torch.Tensor], torch.Tensor]:
    if layer == "classifier_input":
        return network.embed
    if layer == "logits":
        return network
    parts = list(getattr(network, "features", []))
    pooling = (nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.MaxPool2d)
    poolings = [index for index, part in enumerate(parts) if isinstance(part, pooling)]
    if not poolings:
        raise InputError(
            f"features: layer before_pooling needs a network with a pooling (convnet, resnet), "
            f"not {type(network).__name__}; set layer: classifier_input"
        )
    return nn.Sequential(*parts[: poolings[-1]], nn.Flatten())


def train(
    dataset: Dataset,
    seed: int,
    *,
    architecture: dict[str, Any],
    epochs: int,
    optimizer: dict[str, Any],
    batch_size: int,
    precision: str = "float32",
    device: torch.device,
    compile: bool | str = False,
    watch: Callable[[torch.Tensor, torch.Tensor], None] | None = None,
) -> torch.nn.Module:
    """Return a network trained on all training images, on ``device``, in evaluation mode.

    ``precision`` is that of forward and backward passes, ``float32`` or ``bf16``. ``watch`` sees
    the passes of the training, as in ``fitting.fit``.

    Raises
    ------
    InputError
        If the training diverges.
    """
    network = networks.build(
        architecture, dataset.shape, len(dataset.classes), seed, "features network"
    ).to(device)
    pixels = dataset.train_images.to(device)
    passes = (3.0 * epochs + 1) * len(pixels)
    steps = epochs * math.ceil(len(pixels) / batch_size)
    mode = compute.choose_mode(compile, precision, network, dataset.shape, device, passes, steps)
    at_once = compute.images_at_once(network, dataset.shape, device)
    full = compute.part_size(min(batch_size, len(pixels)), at_once)
    fewest = compute.fewest_at_once(network, dataset.shape)
    compiled = compute.compiled(network, mode.compile, device, full)

    def forward(images: torch.Tensor) -> torch.Tensor:
        with compute.lower_precision(mode.precision, device):
            return compiled(images).float()

    if epochs:
        with randomness.seeded(seed, "features dropout"):
            fitting.fit(
                stacking.alone(forward),
                list(network.parameters()),
                lambda positions: dataset.preprocess(pixels[positions]),
                dataset.train_labels.to(device),
                epochs=epochs,
                batch_size=batch_size,
                optimizer=optimizer,
                decay_after=None,
                augment=augmentation.build({"policy": "none"}, dataset),
                generators=[randomness.generator(seed, "features training")],
                at_once=at_once,
                fewest=fewest,
                watch=watch,
                progress=Progress(
                    f"training for features of {dataset.name}",
                    epochs * len(compute.batches(torch.arange(len(pixels)), batch_size, fewest)),
                ),
            )
    if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):
        raise InputError(
            f"the training of a network on all of {dataset.name} diverged: its weights are no "
            "longer finite. Lower `lr` of the optimizer that its entry in `features` names"
        )
    return network.eval()


def embed(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return the embedding of network input, float32 [n, features], on the CPU."""
    device = next(network.parameters()).device
    at_once = compute.shown_at_once(network, tuple(images.shape[1:]), device)
    with torch.inference_mode():
        return compute.in_parts(lambda part: network.embed(part.to(device)).cpu(), images, at_once)
