"""Multi-formation: several training images from the pixels of one (IDC: Kim et al., 2022,
arXiv:2205.14959).

A stored image is a grid of ``factor`` x ``factor`` parts. Each part, enlarged to the size of the
image, is a training image. So a set of the same size shows a network factor^2 times as many images,
each of lower resolution.
"""

import torch
import torch.nn.functional as F


def decode(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Return the training images of stored images; differentiable.

    Parameters
    ----------
    images : network input [n, C, H, W].
    factor : parts per side. Sides that it does not divide are filled up with 0, the mean colour.

    Returns
    -------
    [n * factor^2, C, H, W]: the parts of the first image, row by row, then those of the next. They
    are enlarged bilinearly.
    """
    if factor == 1:
        return images
    count, channels, height, width = images.shape
    padded = F.pad(images, (0, -width % factor, 0, -height % factor))
    rows, columns = (side // factor for side in padded.shape[2:])
    parts = padded.view(count, channels, factor, rows, factor, columns)
    parts = parts.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, rows, columns)
    return F.interpolate(parts, size=(height, width), mode="bilinear", align_corners=False)


def encode(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Return stored images [n / factor^2, C, H, W] whose parts show ``images``, made smaller.

    A pixel of a part is the mean of the pixels that it stands for.
    """
    if factor == 1:
        return images
    channels, height, width = images.shape[1:]
    rows, columns = (-(-side // factor) for side in (height, width))
    parts = F.adaptive_avg_pool2d(images, (rows, columns))
    parts = parts.view(-1, factor, factor, channels, rows, columns).permute(0, 3, 1, 4, 2, 5)
    return parts.reshape(-1, channels, factor * rows, factor * columns)[:, :, :height, :width]
