"""Kernels of infinitely wide networks, for KIP.

``fc_ntk`` is exact. ``conv_kernel`` stands in for the paper's convolutional
kernel, whose exact form needs the covariance of every pair of pixels of every
pair of images: it is the mean, over a few random convolutional networks, of
the inner product of their features (RFAD, Loo et al., 2022).
"""

import math

import torch
import torch.nn.functional as F

from condensation.networks.convnet import standard_depth

WEIGHT_STD, BIAS_STD = math.sqrt(2), 0.1  # of both, as in KIP's published notebooks


def fc_ntk(x: torch.Tensor, z: torch.Tensor, *, depth: int = 1) -> torch.Tensor:
    """Return the neural tangent kernel [n, m] of a ReLU network with ``depth`` hidden layers.

    Parameters
    ----------
    x, z : [n, ...] and [m, ...], flattened to vectors of d values.

    NTK parameterisation (Jacot et al., 2018): a layer is
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
    of_x = w * x.square().sum(1) / size + b  # the diagonals: variances of the outputs
    of_z = w * z.square().sum(1) / size + b
    kernel = covariance
    for _ in range(depth):
        scale = (of_x[:, None] * of_z[None, :]).sqrt()
        # 1 - cosine^2 is 0 where two points coincide, and its root has no slope there
        cosine = (covariance / scale).clamp(-1, 1)
        sine = (1 - cosine.square()).clamp_min(1e-14).sqrt()
        angle = torch.atan2(sine, cosine)
        first = scale * (sine + (math.pi - angle) * cosine) / (2 * math.pi)
        zeroth = (math.pi - angle) / (2 * math.pi)
        covariance = w * first + b
        kernel = covariance + w * kernel * zeroth
        of_x, of_z = w * of_x / 2 + b, w * of_z / 2 + b
    return kernel


def conv_features(
    images: torch.Tensor, generator: torch.Generator, *, width: int, depth: int | None = None
) -> torch.Tensor:
    """Return features [n, d] of one random network, scaled so that <f, g> estimates the kernel.

    ``depth`` blocks of 3x3 convolution, ReLU and 2x2 average pooling, without
    normalisation; None takes the field's depth for the image size. Weights are
    drawn from ``generator``, a CPU generator.
    """
    features = images
    for _ in range(depth or standard_depth(tuple(images.shape[1:]))):
        channels = features.shape[1]
        weight = torch.randn(width, channels, 3, 3, generator=generator)
        bias = torch.randn(width, generator=generator) * BIAS_STD
        weight = (weight * WEIGHT_STD / math.sqrt(9 * channels)).to(images)
        features = F.relu(F.conv2d(features, weight, bias.to(images), padding=1))
        features = F.avg_pool2d(features, 2)
    features = features.flatten(1)
    return features / math.sqrt(features.shape[1])


def conv_kernel(
    x: torch.Tensor, z: torch.Tensor, generator: torch.Generator, *, networks: int, width: int
) -> torch.Tensor:
    """Return the kernel [n, m] estimated with ``networks`` fresh networks, plus BIAS_STD^2."""
    total = x.new_zeros(len(x), len(z))
    for _ in range(networks):
        features = conv_features(torch.cat([x, z]), generator, width=width)
        total = total + features[: len(x)] @ features[len(x) :].T
    return total * WEIGHT_STD**2 / networks + BIAS_STD**2
