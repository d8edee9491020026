"""Vision transformer (Dosovitskiy et al., 2021, arXiv:2010.11929), in the form of the paper.

Patches are flattened as (row, column, channel) and pass one linear layer without norms. Class token
and positions are learned from N(0, 1). Blocks are pre-norm, without dropout on attention weights.
"""

import torch
import torch.nn.functional as F
from torch import nn

from condensation.core.errors import InputError


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, head_width: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.out = nn.Linear(heads * head_width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.qkv(self.norm(x)).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v)  # scale 1 / sqrt(head width)
        return x + self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout)),
            *(nn.Linear(hidden, width), nn.Dropout(dropout)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


class ViT(nn.Module):
    """Patch embedding, class token, transformer blocks, linear head on the token."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        *,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        dropout: float,
    ):
        super().__init__()
        self.patch = patch
        channels, height, side = shape
        count = (height // patch) * (side // patch)
        self.to_patches = nn.Linear(channels * patch * patch, width)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, count + 1, width))
        self.dropout = nn.Dropout(dropout)
        blocks: list[nn.Module] = []
        for _ in range(depth):
            blocks.append(_Attention(width, heads, 64, dropout))
            blocks.append(_FeedForward(width, width, dropout))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, classes)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the normed class token, N x width."""
        p = self.patch
        patches = images.unflatten(3, (-1, p)).unflatten(2, (-1, p))  # N C rows p columns p
        patches = patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        tokens = self.to_patches(patches)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = self.blocks(self.dropout(tokens + self.positions))
        return self.norm(tokens[:, 0])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, N x classes."""
        return self.classifier(self.embed(images))


def build(
    shape: tuple[int, int, int],
    classes: int,
    patch: int = 4,
    width: int = 512,
    depth: int = 6,
    heads: int = 8,
    dropout: float = 0.1,
) -> ViT:
    """Return a ViT for images of ``shape`` (C, H, W).

    Raises
    ------
    InputError
        If the patches do not tile the image.
    """
    if shape[1] % patch or shape[2] % patch:
        raise InputError(
            f"vit: patches of {patch} pixels do not tile {shape[1]}x{shape[2]} images; "
            "set patch to a divisor"
        )
    return ViT(
        *(shape, classes),
        **{"patch": patch, "width": width, "depth": depth, "heads": heads, "dropout": dropout},
    )
