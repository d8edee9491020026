"""Kernels of infinitely wide networks, for KIP.

``fc_ntk`` is exact. The exact convolutional kernel of the paper needs the covariance of all pairs
of pixels of all pairs of images; ``conv_features`` estimate it by the mean, over a few random
convolutional networks, of the inner product of their features (RFAD: Loo et al., 2022,
arXiv:2210.12067).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from condensation.core import capture
from condensation.networks.convnet import standard_depth

WEIGHT_STD, BIAS_STD = math.sqrt(2), 0.1  # of both, as in KIP's published notebooks
_AT_ONCE, _LAYER_BYTES = 250, 2**30  # of a pass: images, and bytes of the outputs of a layer

Layers = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Kernel:
    """A kernel in two parts, so that work per image is done once.

    Attributes
    ----------
    embed : images [n, C, H, W] -> [n, d].
    between : [n, d] and [m, d] -> float64 [n, m].
    """

    embed: Callable[[torch.Tensor], torch.Tensor]
    between: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def exact(*, depth: int) -> Kernel:
    """Return the neural tangent kernel of a network with ``depth`` hidden layers."""
    return Kernel(lambda x: x.double().flatten(1), lambda x, z: fc_ntk(x, z, depth=depth))


def random_features(
    shape: tuple[int, int, int],
    generator: torch.Generator,
    *,
    networks: int,
    width: int,
    depth: int | None = None,
    device: torch.device | None = None,
) -> Kernel:
    """Return the kernel that ``networks`` random networks estimate, for images on ``device``.

    With F their features, it is WEIGHT_STD^2 mean(F F^T) + BIAS_STD^2.
    """
    drawn = [draw_layers(shape, generator, width=width, depth=depth) for _ in range(networks)]
    if device is not None:
        tensors = [tensor for layers in drawn for layer in layers for tensor in layer]
        moved = iter(capture.to_device(tensors, device))
        drawn = [[(next(moved), next(moved)) for _ in layers] for layers in drawn]

    def embed(images: torch.Tensor) -> torch.Tensor:
        features = torch.cat([conv_features(images, layers) for layers in drawn], dim=1)
        return features * (WEIGHT_STD / math.sqrt(networks))

    def between(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return x.double() @ z.double().T + BIAS_STD**2

    return Kernel(embed, between)


def fc_ntk(x: torch.Tensor, z: torch.Tensor, *, depth: int = 1) -> torch.Tensor:
    """Return the neural tangent kernel [n, m] of a ReLU network with ``depth`` hidden layers.

    Parameters
    ----------
    x, z : [n, ...] and [m, ...], flattened to vectors of d values.

    NTK parameterisation (Jacot et al., 2018, arXiv:1806.07572): a layer is
    W h * weight_std / sqrt(fan in) + bias_std * b, all of W and b standard
    normal. With S the covariance of a layer's outputs and T the kernel,

        S_0 = w^2 <x, z> / d + b^2,            T_0 = S_0
        S_l = w^2 K1(S_{l-1}) + b^2,           T_l = S_l + T_{l-1} w^2 K0(S_{l-1})

    where K1 = E[relu(u) relu(v)] and K0 = E[relu'(u) relu'(v)] are the
    arc-cosine kernels (Cho & Saul, 2009).
    """
    x, z = x.flatten(1), z.flatten(1)
    w, b = WEIGHT_STD**2, BIAS_STD**2
    size = x.shape[1]
    covariance = w * x @ z.T / size + b
    of_x = w * x.square().sum(1) / size + b  # variances of the outputs
    of_z = w * z.square().sum(1) / size + b
    kernel = covariance
    for _ in range(depth):
        scale = (of_x[:, None] * of_z[None, :]).sqrt()
        # the root of 1 - cosine^2 has no derivative at 0, where two points coincide
        cosine = (covariance / scale).clamp(-1, 1)
        sine = (1 - cosine.square()).clamp_min(1e-14).sqrt()
        angle = torch.atan2(sine, cosine)
        first = scale * (sine + (math.pi - angle) * cosine) / (2 * math.pi)
        zeroth = (math.pi - angle) / (2 * math.pi)
        covariance = w * first + b
        kernel = covariance + w * kernel * zeroth
        of_x, of_z = w * of_x / 2 + b, w * of_z / 2 + b
    return kernel


def draw_layers(
    shape: tuple[int, int, int],
    generator: torch.Generator,
    *,
    width: int,
    depth: int | None = None,
) -> Layers:
    """Draw weights and biases for ``conv_features``, float32 on the CPU.

    ``depth`` None takes the usual depth for images of ``shape`` (C, H, W).
    """
    layers, channels = [], shape[0]
    for _ in range(depth or standard_depth(shape)):
        weight = torch.randn(width, channels, 3, 3, generator=generator)
        bias = torch.randn(width, generator=generator) * BIAS_STD
        layers.append((weight * WEIGHT_STD / math.sqrt(9 * channels), bias))
        channels = width
    return layers


def conv_features(images: torch.Tensor, layers: Layers) -> torch.Tensor:
    """Return features [n, d] of a network, scaled so that <f, g> estimates the kernel.

    Each layer is a 3x3 convolution, ReLU and 2x2 average pooling, without normalisation. The
    backward pass recomputes the activations, a few hundred images at a time.
    """
    moved = [(weight.to(images), bias.to(images)) for weight, bias in layers]
    outputs = len(layers[0][1]) * math.prod(images.shape[2:]) * images.element_size()
    at_once = max(1, min(_AT_ONCE, _LAYER_BYTES // outputs))

    def forward(features: torch.Tensor) -> torch.Tensor:
        for weight, bias in moved:
            features = F.relu(F.conv2d(features, weight, bias, padding=1))
            features = F.avg_pool2d(features, 2)
        features = features.flatten(1)
        return features / math.sqrt(features.shape[1])

    return torch.cat(
        [checkpoint(forward, part, use_reentrant=False) for part in images.split(at_once)]
    )
