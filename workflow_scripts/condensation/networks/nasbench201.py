"""The cell network of NAS-Bench-201 (Dong & Yang, 2020, arXiv:2001.00326), for one discrete cell.

Stem, three stages of N cells with C, 2C and 4C channels, residual blocks between them that halve
the image, norm, global pooling, linear. The benchmark trained N = 5 with affine norms in the cells;
a proxy has N = 1 without them.
"""

import torch
from torch import nn

from condensation.core.errors import InputError
from condensation.networks import cells201


def _relu_conv_norm(
    inputs: int, outputs: int, kernel: int, stride: int = 1, affine: bool = True
) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs, affine=affine),
    )


def _operation(name: str, channels: int, affine: bool) -> nn.Module:
    if name == "nor_conv_1x1":
        return _relu_conv_norm(channels, channels, 1, affine=affine)
    if name == "nor_conv_3x3":
        return _relu_conv_norm(channels, channels, 3, affine=affine)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return nn.Identity()  # skip_connect; `none` is never called


class _Cell(nn.Module):
    """Four nodes, each the sum of its incoming edges; the last node is the output.

    Edges that do not lead to the output are skipped.
    """

    def __init__(self, cell: cells201.Cell, channels: int, affine: bool):
        super().__init__()
        self.edges = nn.ModuleList(_operation(name, channels, affine) for name in cell)
        self.useful = cells201.useful(cell)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nodes: list[torch.Tensor | None] = [x, None, None, None]
        for (node, source), edge, used in zip(cells201.EDGES, self.edges, self.useful, strict=True):
            if used:
                value = nodes[source]
                incoming = edge(torch.zeros_like(x) if value is None else value)
                nodes[node] = incoming if nodes[node] is None else nodes[node] + incoming
        return torch.zeros_like(x) if nodes[-1] is None else nodes[-1]


class _Reduction(nn.Module):
    """A residual block to half the size and twice the channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.residual = nn.Sequential(
            _relu_conv_norm(channels, 2 * channels, 3, stride=2),
            _relu_conv_norm(2 * channels, 2 * channels, 3),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(channels, 2 * channels, 1, bias=False)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.residual(x) + self.shortcut(x)


class CellNetwork(nn.Module):
    """The network of NAS-Bench-201 with the same cell in all places."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        cell: cells201.Cell,
        cells: int,
        channels: int,
        affine: bool,
    ):
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(shape[0], channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        ]
        for stage in range(3):
            if stage:
                layers.append(_Reduction(channels))
                channels *= 2
            layers += [_Cell(cell, channels, affine) for _ in range(cells)]
        layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the pooled features, N x 4 channels."""
        return self.features(images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, N x classes."""
        return self.classifier(self.embed(images))


def build(
    shape: tuple[int, int, int],
    classes: int,
    cell: str,
    cells: int = 1,
    channels: int = 16,
    affine: bool = False,
) -> CellNetwork:
    """Return the network of a cell.

    Parameters
    ----------
    cell : the architecture string.
    cells : cells per stage.
    affine : whether norms inside the cells have scale and shift; all other norms have.

    Raises
    ------
    InputError
        For a malformed string, or image sides that are not multiples of 4.
    """
    if shape[1] % 4 or shape[2] % 4:
        raise InputError(
            f"nasbench201: halves the image twice, so its sides must be multiples of 4, "
            f"not {shape[1]}x{shape[2]}"
        )
    return CellNetwork(shape, classes, cells201.parse(cell), cells, channels, affine)
