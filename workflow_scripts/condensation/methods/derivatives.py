"""A network as a function of one parameter vector, with the derivatives that matching needs.

Gradient matching (DC, DSA) and trajectory matching (TM) differentiate a gradient. With g(p, x) the
gradient of the loss with respect to the parameters p at images x, both need the derivatives of
v . g(p, x) for a direction v. Second derivatives are symmetric, so these are the rates at which the
gradients of the loss with respect to p and x change when p moves along v: one forward-mode pass
over a backward pass. It needs the memory of two backward passes, and no graph of a graph.
"""

import logging
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, jvp, vmap

from condensation.core import compute

# torch uses it for its forward-mode rules; users cannot change that
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)

log = logging.getLogger("condensation")


EAGER = compute.Mode(compile=False, precision="float32")


def values(network: nn.Module) -> torch.Tensor:
    """Return a copy of the parameters of ``network`` as a vector where they are."""
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def warn_of_batch_norm(network: nn.Module) -> None:
    """Write a warning if the network, in evaluation mode, would show statistics of new layers."""
    if compute.keeps_batch_statistics(network):
        log.warning(
            "%s has batch norm: its gradients are taken with the statistics of a new network, "
            "mean 0 and variance 1",
            type(network).__name__,
        )


class Flat:
    """Gradients of the mean cross-entropy of a network, with its parameters as one vector.

    Parameters
    ----------
    network : gives the structure; it is put into evaluation mode, without dropout.
    shape : C, H, W of the images.
    mode : whether passes go through torch.compile, and the precision of ``gradient``.
    batch : most images of a call, for which graphs are compiled; None compiles each size.
    chunk : most images in one pass; None for the fastest number. It changes results by rounding
        only, unless the network has batch norm without running statistics, which sees one pass.
    """

    def __init__(
        self,
        network: nn.Module,
        shape: tuple[int, int, int],
        device: torch.device,
        mode: compute.Mode = EAGER,
        batch: int | None = None,
        chunk: int | None = None,
    ):
        self.network = network.to(device).eval().requires_grad_(False)
        warn_of_batch_norm(network)
        self.names = [name for name, _ in network.named_parameters()]
        self.shapes = [parameter.shape for parameter in network.parameters()]
        self.chunk = chunk or compute.images_at_once(network, shape, device)
        self.precision, self.device = mode.precision, device
        full = None if batch is None else self._part(batch)

        def prepared(function: Callable, dimension: int = 0) -> Callable:
            at = (-2, dimension)
            return compute.compiled(function, mode.compile, device, full, images_at=at)

        self._gradient = prepared(grad(self._loss))
        self._image_rates = prepared(self._rates_of_images)
        self._all_rates = prepared(self._rates_of_all)
        self._gradients = prepared(vmap(grad(self._loss), in_dims=(None, 0, 0)), 1)
        self._gradients_of_each = prepared(vmap(grad(self._loss)), 1)
        self._rates_each = prepared(vmap(self._rates_of_images, in_dims=(None, 0, 0, 0)), 1)

    def vector(self, network: nn.Module) -> torch.Tensor:
        """Return a copy of the parameters of ``network`` as a vector on the device."""
        return values(network).to(self.device)

    def split(self, vector: torch.Tensor) -> list[torch.Tensor]:
        """Return views of the vector with the shapes of the parameter tensors."""
        parts = vector.split([shape.numel() for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def forward(self, vector: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, classes] for these parameters; differentiable in both arguments."""
        parameters = dict(zip(self.names, self.split(vector), strict=True))
        return functional_call(self.network, parameters, (images,))

    def gradient(
        self, vector: torch.Tensor, images: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Return the gradient of the mean loss with respect to the vector."""
        total = torch.zeros_like(vector)
        for part, weight in self._chunks(len(images)):
            with compute.lower_precision(self.precision, self.device):
                total.add_(self._gradient(vector, images[part], labels[part]), alpha=weight)
        return total

    def gradients(
        self, vector: torch.Tensor, images: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Return ``gradient`` for each batch of images [b, n, C, H, W], labels [b, n]: [b, P].

        Several batches are one computation, whatever ``chunk`` is.
        """
        if len(images) == 1:
            return self.gradient(vector, images[0], labels[0])[None]
        with compute.lower_precision(self.precision, self.device):
            return self._gradients(vector, images, labels).to(vector.dtype)

    def gradients_of_each(
        self, vectors: torch.Tensor, images: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Return ``gradients`` where each batch has its own parameters, vectors [b, P]."""
        if len(images) == 1:
            return self.gradient(vectors[0], images[0], labels[0])[None]
        with compute.lower_precision(self.precision, self.device):
            return self._gradients_of_each(vectors, images, labels).to(vectors.dtype)

    def rates_of_each(
        self,
        vector: torch.Tensor,
        directions: torch.Tensor,
        images: torch.Tensor,
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """Return ``rates_of_images`` for each batch [b, n, ...] and its direction of [b, P]."""
        if len(images) == 1:
            return self.rates_of_images(vector, directions[0], images[0], labels[0])[None]
        return self._rates_each(vector, directions, images, labels)

    def rates_of_images(
        self,
        vector: torch.Tensor,
        direction: torch.Tensor,
        images: torch.Tensor,
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """Return the derivative of direction . gradient with respect to the images."""
        parts = [
            self._image_rates(vector, direction, images[part], labels[part]) * weight
            for part, weight in self._chunks(len(images))
        ]
        return torch.cat(parts)

    def rates(
        self,
        vector: torch.Tensor,
        direction: torch.Tensor,
        images: torch.Tensor,
        labels: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Return direction . gradient, and its derivatives with respect to vector and images.

        With soft labels, float [n, classes], also the one with respect to them.
        """
        product = vector.new_zeros(())
        of_vector, of_inputs = torch.zeros_like(vector), []
        for part, weight in self._chunks(len(images)):
            s, dv, *rates = self._all_rates(vector, direction, images[part], labels[part])
            product.add_(s, alpha=weight)
            of_vector.add_(dv, alpha=weight)
            of_inputs.append([rate * weight for rate in rates])
        return product, of_vector, *map(torch.cat, zip(*of_inputs, strict=True))

    def _chunks(self, count: int) -> list[tuple[slice, float]]:
        size = self._part(count)
        return [
            (slice(first, first + size), min(size, count - first) / count)
            for first in range(0, count, size)
        ]

    def _part(self, count: int) -> int:
        return compute.part_size(count, self.chunk)

    def _loss(
        self, vector: torch.Tensor, images: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        return F.cross_entropy(self.forward(vector, images), labels)

    def _rates_of_images(
        self,
        vector: torch.Tensor,
        direction: torch.Tensor,
        images: torch.Tensor,
        labels: torch.Tensor,
    ) -> torch.Tensor:
        def by_images(p: torch.Tensor) -> torch.Tensor:
            return grad(self._loss, argnums=1)(p, images, labels)

        return jvp(by_images, (vector,), (direction,))[1]

    def _rates_of_all(
        self,
        vector: torch.Tensor,
        direction: torch.Tensor,
        images: torch.Tensor,
        labels: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        of_what = (0, 1, 2) if labels.is_floating_point() else (0, 1)

        def by_all(p: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return grad(self._loss, argnums=of_what)(p, images, labels)

        (of_vector, *_), rates = jvp(by_all, (vector,), (direction,))[:2]
        return (of_vector * direction).sum(), *rates
