"""Multi-formation against scipy's zoom, part by part, and as a linear map."""

import numpy as np
import pytest
import torch
from conftest import small_dataset
from scipy import ndimage

from condensation.data import formation, sets
from condensation.data.sets import Condensed

SHAPES = [(3, 8, 8, 2), (1, 8, 8, 4), (3, 12, 20, 2), (1, 28, 28, 3), (3, 9, 10, 2)]


def images_of(shape, count=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("channels", "height", "width", "factor"), SHAPES)
def test_each_part_is_enlarged_as_scipy_does(channels, height, width, factor):
    images = images_of((channels, height, width))
    formed = formation.decode(images, factor)
    assert formed.shape == (3 * factor**2, channels, height, width)
    rows, columns = -(-height // factor), -(-width // factor)
    for i, row, column, channel in np.ndindex(3, factor, factor, channels):
        filled = np.zeros((rows * factor, columns * factor))
        filled[:height, :width] = images[i, channel]
        part = filled[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
        scales = height / rows, width / columns
        expected = ndimage.zoom(part, scales, order=1, grid_mode=True, mode="nearest")
        actual = formed[i * factor**2 + row * factor + column, channel]
        np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize(("channels", "height", "width", "factor"), SHAPES)
def test_parts_show_the_images_that_they_were_made_from(channels, height, width, factor):
    smooth = torch.linspace(-1, 1, height, dtype=torch.float64)[:, None].expand(height, width)
    levels = torch.arange(2 * factor**2, dtype=torch.float64).view(-1, 1, 1, 1)
    images = smooth.expand(2 * factor**2, channels, height, width) + levels
    stored = formation.encode(images, factor)
    assert stored.shape == (2, channels, height, width)
    formed = formation.decode(stored, factor)
    # but for the last row and column, which may be filled up
    inner = (slice(None), slice(None), slice(height // 2), slice(width // 2))
    assert float((formed - images)[inner].abs().max()) < 4 * factor / height


def test_without_a_factor_nothing_changes():
    images = images_of((3, 8, 8))
    assert formation.decode(images, 1) is images and formation.encode(images, 1) is images


def test_a_set_is_stored_with_its_factor_and_formed_with_its_labels(tmp_path):
    dataset = small_dataset()
    images = torch.randn(3, *dataset.shape)
    condensed = Condensed(images, torch.arange(3), factor=2)
    sets.write(condensed, dataset, tmp_path / "set", method="m")
    loaded, metadata = sets.load(tmp_path / "set", dataset)
    assert metadata["factor"] == loaded.factor == 2
    formed = loaded.formed()
    assert formed.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and formed.factor == 1
    assert torch.equal(formed.images, formation.decode(images, 2))
    soft = Condensed(images, torch.eye(3), factor=2).formed()
    assert torch.equal(soft.labels, torch.eye(3).repeat_interleave(4, dim=0))
    plain = Condensed(images, torch.arange(3))
    assert plain.formed() is plain
    assert sets.content_digest(plain) != sets.content_digest(condensed)
