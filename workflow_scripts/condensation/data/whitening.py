"""ZCA whitening of images, in the two forms that published condensed sets use.

``zca``, as in TM (arXiv:2203.11932): with x the pixels on [0, 1], mu their mean over the training
images and U diag(s) U^T their covariance, an image becomes (x - mu) U diag((s + 0.1)^-1/2) U^T.

``zca_kip``, as in KIP (arXiv:2107.13034): standardise the image per channel, subtract the mean of
the image, divide by its norm, and multiply by U diag(s)^-1/2 U^T, where U diag(s) U^T is
X^T X / n + 0.1 (tr / d) I.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from condensation.core import storage
from condensation.core.errors import InputError, unknown
from condensation.data.pixels import as_uint8

KIND = "whitening"
KINDS = ("zca", "zca_kip")
_RIDGE = 0.1
_CHUNK = 2000  # images in float64 at a time, while fitting
_CONTRAST = 0.2  # standard deviation of the pictures of `zca_kip`


@dataclass(frozen=True)
class Whitening:
    """A fitted whitening.

    Attributes
    ----------
    kind : ``zca`` or ``zca_kip``.
    shape : channels, height and width of an image; D is their product.
    matrix, inverse : float32 [D, D], symmetric.
    mean : float32 [D], which ``zca`` subtracts; zeros for ``zca_kip``.
    channel_mean, channel_std : constants with which ``zca_kip`` standardises.
    """

    kind: str
    shape: tuple[int, int, int]
    matrix: torch.Tensor
    inverse: torch.Tensor
    mean: torch.Tensor
    channel_mean: tuple[float, ...]
    channel_std: tuple[float, ...]

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Return uint8 images [n, C, H, W] as whitened float32 images of the same shape.

        Raises
        ------
        InputError
            For images of another shape than the whitening was fitted to.
        """
        if tuple(images.shape[1:]) != self.shape:
            raise InputError(
                f"images of shape {tuple(images.shape[1:])} cannot be whitened by a matrix for "
                f"{self.shape}"
            )
        rows = _rows(images.float() / 255, self.kind, self.channel_mean, self.channel_std)
        moved = self.to(images.device)
        return ((rows - moved.mean) @ moved.matrix).view(-1, *self.shape)

    def through_pixels(
        self, images: torch.Tensor, change: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Apply ``change``, a function of uint8 pixels, to whitened images.

        ``zca_kip`` gives all images the same contrast; here each keeps the contrast it had.
        """
        moved = self.to(images.device)
        pixels = as_uint8(self.invert(images))
        changed = self.apply(change(pixels))
        if self.kind != "zca_kip":
            return changed
        before, after = (x.flatten(1) @ moved.inverse + moved.mean for x in (images, changed))
        after = after * before.norm(dim=1, keepdim=True)
        return ((after - moved.mean) @ moved.matrix).view(-1, *self.shape)

    def invert(self, images: torch.Tensor) -> torch.Tensor:
        """Return whitened images as pixels on [0, 1], not clipped, to draw them.

        ``zca_kip`` loses the brightness and contrast of each image; its pictures get mean 1/2 and
        standard deviation 0.2.
        """
        moved = self.to(images.device)
        rows = images.flatten(1) @ moved.inverse + moved.mean
        if self.kind == "zca_kip":
            std = torch.tensor(self.channel_std, device=images.device)
            rows = (rows.view(-1, self.shape[0], 1, self.shape[1] * self.shape[2])).squeeze(2)
            rows = (rows * std.view(1, -1, 1)).flatten(1)
            rows = rows - rows.mean(1, keepdim=True)
            spread = rows.std(1, keepdim=True, unbiased=False).clamp_min(1e-12)
            rows = 0.5 + _CONTRAST * rows / spread
        return rows.view(-1, *self.shape)

    def to(self, device: torch.device) -> "Whitening":
        """Return this whitening on ``device``."""
        if self.matrix.device == device:
            return self
        cached = self.__dict__.get("_moved")
        if cached is None or cached.matrix.device != device:
            moved = {name: getattr(self, name).to(device) for name in ("matrix", "inverse", "mean")}
            cached = Whitening(**{**_fields(self), **moved})
            object.__setattr__(self, "_moved", cached)  # one copy to the device, not one per batch
        return cached

    def preprocessing(self) -> dict[str, str]:
        """Return the kind and a digest of the numbers, which identify this whitening."""
        hexdigits = self.__dict__.get("_digest")
        if hexdigits is None:
            digest = hashlib.sha256(repr((self.channel_mean, self.channel_std)).encode())
            for tensor in (self.matrix, self.mean):
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
            hexdigits = digest.hexdigest()[:16]
            object.__setattr__(self, "_digest", hexdigits)
        return {"kind": self.kind, "digest": hexdigits}


def _fields(whitening: Whitening) -> dict[str, Any]:
    return {name: getattr(whitening, name) for name in Whitening.__dataclass_fields__}


def _rows(
    unit: torch.Tensor, kind: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> torch.Tensor:
    """Return images on [0, 1] as the rows [n, D] that the matrix multiplies."""
    if kind == "zca":
        return unit.flatten(1)
    offset, scale = (
        torch.tensor(values, dtype=unit.dtype, device=unit.device).view(-1, 1, 1)
        for values in (mean, std)
    )
    rows = ((unit - offset) / scale).flatten(1)
    rows = rows - rows.mean(1, keepdim=True)
    # the norm of an image of one colour is 0, and its row stays 0
    return rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)


def fit(
    images: torch.Tensor, kind: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> Whitening:
    """Fit a whitening to training images, in float64.

    Parameters
    ----------
    images : uint8 [n, C, H, W].
    kind : ``zca`` or ``zca_kip``.
    mean, std : per channel, for pixels on [0, 1]; only ``zca_kip`` uses them.

    Raises
    ------
    InputError
        For fewer than two images, or an unknown kind.

    Examples
    --------
    >>> import torch
    >>> draw = torch.Generator().manual_seed(0)
    >>> images = torch.randint(0, 256, (50, 1, 4, 4), generator=draw).to(torch.uint8)
    >>> whitening = fit(images, "zca", (0.5,), (0.25,))
    >>> whitened = whitening.apply(images)
    >>> whitened.shape, bool(whitened.mean(0).abs().max() < 1e-4)
    (torch.Size([50, 1, 4, 4]), True)
    >>> torch.allclose(whitening.invert(whitened), images / 255, atol=1e-4)
    True
    """
    if kind not in KINDS:
        raise InputError(unknown("whitening", kind, KINDS))
    if len(images) < 2:
        raise InputError(f"a whitening needs two images or more, got {len(images)}")
    _, channels, height, width = images.shape
    size = channels * height * width
    total = torch.zeros(size, dtype=torch.float64)
    square = torch.zeros(size, size, dtype=torch.float64)
    # sums around the mean of a few images, so that no digits cancel
    centre = torch.zeros(size, dtype=torch.float64)
    if kind == "zca":
        centre = (images[:_CHUNK].double() / 255).flatten(1).mean(0)
    for part in images.split(_CHUNK):
        rows = _rows(part.double() / 255, kind, mean, std) - centre
        total += rows.sum(0)
        square.addmm_(rows.T, rows)
    count = len(images)
    if kind == "zca":
        offset = total / count
        covariance = (square - count * torch.outer(offset, offset)) / (count - 1)
        ridge, centre = _RIDGE, centre + offset
    else:
        covariance = square / count
        ridge, centre = _RIDGE * float(covariance.trace()) / size, torch.zeros_like(total)
    values, vectors = torch.linalg.eigh(covariance)
    roots = (values.clamp_min(0) + ridge).sqrt()
    return Whitening(
        kind,
        (channels, height, width),
        ((vectors / roots) @ vectors.T).float(),
        ((vectors * roots) @ vectors.T).float(),
        centre.float(),
        tuple(mean),
        tuple(std),
    )


def save(whitening: Whitening, path: str | Path, **facts: Any) -> None:
    """Write a whitening; its metadata includes ``facts``."""
    tensors = {name: getattr(whitening, name) for name in ("matrix", "inverse", "mean")}
    metadata = {name: value for name, value in _fields(whitening).items() if name not in tensors}
    metadata |= {"whitening": whitening.kind, "kind": KIND}
    storage.write_tensors(path, tensors, facts | metadata)


def load(path: str | Path) -> Whitening:
    """Return the whitening in a file; raises InputError if the file is damaged or another kind."""
    tensors, metadata = storage.read_tensors(path)
    if metadata.get("kind") != KIND:
        raise InputError(f"{path}: holds a {metadata.get('kind')}, not a whitening")
    return Whitening(
        kind=metadata["whitening"],
        shape=tuple(metadata["shape"]),
        channel_mean=tuple(metadata["channel_mean"]),
        channel_std=tuple(metadata["channel_std"]),
        **tensors,
    )
