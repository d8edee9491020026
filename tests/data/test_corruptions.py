"""Corruptions against closed forms, plain loops, scipy, Pillow and the standard of JPEG."""

import colorsys
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import fft, ndimage

from condensation.core.errors import InputError
from condensation.core.randomness import generator
from condensation.data.corruptions import NAMES, STRENGTHS, corrupt

SHAPES = [(3, 32, 32), (1, 28, 28), (1, 8, 8), (3, 32, 48), (3, 96, 72)]


def smooth_images(shape, count=6):
    """Images with few sharp edges, as photographs: noise, blurred and stretched to 0 .. 255."""
    noise = np.random.default_rng(0).normal(size=(count, *shape))
    blurred = ndimage.gaussian_filter(noise, (0, 0, 1.5, 1.5))
    low, high = blurred.min((1, 2, 3), keepdims=True), blurred.max((1, 2, 3), keepdims=True)
    return torch.from_numpy((255 * (blurred - low) / (high - low)).round().astype(np.uint8))


def after(images, name, strength, seed=0):
    return corrupt(images, name, strength, generator(seed, "test"))


def near(ours, expected, levels=1):
    """Whether all pixels agree up to a few of 256 levels; ``expected`` is not rounded."""
    return np.abs(ours.numpy().astype(float) - np.clip(expected, 0, 255)).max() <= levels


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_each_strength_damages_more_than_the_one_before(name, shape):
    images = smooth_images(shape)
    before = images.clone()
    errors = []
    for strength in STRENGTHS:
        result = after(images, name, strength)
        assert result.dtype == torch.uint8 and result.shape == images.shape
        errors.append(float((result.float() - images.float()).square().mean()))
    assert torch.equal(images, before), "the originals stay"
    # boxes of 8 pixels are equally large at two strengths of pixelation
    assert all(low <= high for low, high in pairwise(errors)), errors
    assert 0 < errors[0] < errors[-1]


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_images(name):
    images = smooth_images((3, 16, 16))
    first, second = after(images, name, 3), after(images, name, 3)
    assert torch.equal(first, second)
    assert torch.equal(first, after(images, name, 3, seed=1)) == (name != "gaussian_noise")


def test_noise_has_the_published_deviation_and_other_values_in_each_image():
    grey = torch.full((2000, 1, 8, 8), 128, dtype=torch.uint8)  # far from both ends
    large = torch.full((40, 1, 65, 65), 128, dtype=torch.uint8)
    for images, stds in ((grey, (0.04, 0.06, 0.08, 0.09, 0.10)), (large, (0.08, 0.12))):
        for strength, std in enumerate(stds, 1):
            shifts = (after(images, "gaussian_noise", strength).double() - 128) / 255
            assert float(shifts.std()) == pytest.approx(std, rel=0.02)
            assert abs(float(shifts.mean())) < 0.002
            assert float(torch.corrcoef(shifts[:2].flatten(1))[0, 1]) < 0.5
    # the images are corrupted in parts, which must differ too
    assert len(after(grey, "gaussian_noise", 5).flatten(1).unique(dim=0)) == len(grey)


@pytest.mark.parametrize(
    ("size", "strength", "radius", "std", "reach"),
    [
        (24, 1, 0.3, 0.4, 1),
        (24, 2, 0.4, 0.5, 1),
        (24, 3, 0.5, 0.6, 1),
        (24, 4, 1, 0.2, 1),
        (24, 5, 1.5, 0.1, 1),
        (70, 1, 3, 0.1, 1),
        (70, 2, 4, 0.5, 1),
        (70, 3, 6, 0.5, 1),
        (70, 4, 8, 0.5, 1),
        (70, 5, 10, 0.5, 2),
    ],
)
def test_blur_is_a_smoothed_disk_in_scipy(size, strength, radius, std, reach):
    images = smooth_images((3, size, size + 2), count=2)
    disk = np.zeros((41, 41))
    for y in range(41):
        for x in range(41):
            disk[y, x] = (y - 20) ** 2 + (x - 20) ** 2 <= radius**2
    disk = ndimage.gaussian_filter(disk, std, radius=reach)
    expected = ndimage.correlate(
        images.numpy().astype(float), disk[None, None] / disk.sum(), mode="mirror"
    )
    assert near(after(images, "defocus_blur", strength), expected, 0.51)


def test_a_blurred_point_is_the_kernel():
    point = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    point[..., 4, 4] = 255
    # strength 5: a disk of nine pixels, whose edge is hardly smoothed
    blurred = after(point, "defocus_blur", 5)[0, 0]
    assert blurred[3:6, 3:6].unique().tolist() == [28] and int(blurred.sum()) == 9 * 28


@pytest.mark.parametrize(("size", "added"), [(8, 0.15), (65, 0.3)])
def test_brightness_is_that_of_colorsys(size, added):
    images = smooth_images((3, size, size), count=1)
    images[0, :, 0, 0] = 0
    result = after(images, "brightness", 3)
    for y in range(size):
        for x in range(min(size, 8)):
            hue, saturation, value = colorsys.rgb_to_hsv(*(images[0, :, y, x].numpy() / 255))
            expected = colorsys.hsv_to_rgb(hue, saturation, min(value + added, 1))
            assert near(result[0, :, y, x], 255 * np.array(expected), 0.51)
    grey = smooth_images((1, size, size), count=2)
    assert near(after(grey, "brightness", 3), grey.numpy() + 255 * added, 0.51)


@pytest.mark.parametrize(("size", "factors"), [(8, (0.75, 0.15)), (65, (0.4, 0.05))])
def test_contrast_moves_pixels_towards_the_mean_of_their_channel(size, factors):
    images = smooth_images((3, size, size), count=3)
    for strength, factor in zip((1, 5), factors, strict=True):
        result = after(images, "contrast", strength)
        for i in range(3):
            for c in range(3):
                pixels = images[i, c].numpy().astype(float)
                mean = pixels.mean()
                assert near(result[i, c], mean + factor * (pixels - mean), 0.51)


# ITU-T T.81, table K.1: the luminance of quality 50
LUMINANCE = """16 11 10 16 24 40 51 61  12 12 14 19 26 58 60 55  14 13 16 24 40 57 69 56
14 17 22 29 51 87 80 62  18 22 37 56 68 109 103 77  24 35 55 64 81 104 113 92
49 64 78 87 103 121 120 101  72 92 95 98 112 100 103 99"""


@pytest.mark.parametrize(("strength", "quality"), [(1, 80), (2, 65), (3, 58), (4, 50), (5, 40)])
def test_jpeg_rounds_the_cosine_transform_of_blocks(strength, quality):
    table = np.array(LUMINANCE.split(), float).reshape(8, 8)
    percent = 200 - 2 * quality if quality >= 50 else 5000 // quality
    table = np.floor((table * percent + 50) / 100)
    images = 64 + smooth_images((1, 16, 8), count=4) // 2  # nothing is clipped
    result = after(images, "jpeg_compression", strength)
    for image, ours in zip(images[:, 0], result[:, 0], strict=True):
        for rows in (slice(0, 8), slice(8, 16)):
            block = fft.dctn(image[rows].numpy() - 128.0, norm="ortho") / table
            steps = np.round(fft.dctn(ours[rows].numpy() - 128.0, norm="ortho") / table)
            assert np.abs(steps - block).max() < 0.52, "rounded to whole steps of the table"
            assert near(ours[rows], fft.idctn(steps * table, norm="ortho") + 128)


def test_jpeg_keeps_the_colours_and_the_order_of_images():
    images = torch.zeros(3, 3, 16, 16, dtype=torch.uint8)
    for i in range(3):
        images[i, i] = 200
    result = after(images, "jpeg_compression", 5)
    assert near(result, images.numpy(), 6)


@pytest.mark.parametrize(
    ("height", "width", "factors"),
    [(32, 32, (0.95, 0.65)), (8, 8, (0.95, 0.65)), (28, 50, (0.95, 0.65)), (96, 80, (0.6, 0.25))],
)
def test_pixelation_is_pillows_box_filter(height, width, factors):
    images = smooth_images((3, height, width), count=3)
    for strength, factor in zip((1, 5), factors, strict=True):
        for image, ours in zip(images, after(images, "pixelate", strength), strict=True):
            picture = Image.fromarray(image.permute(1, 2, 0).numpy())
            small = picture.resize(
                (int(width * factor), int(height * factor)), Image.Resampling.BOX
            )
            expected = np.asarray(small.resize((width, height), Image.Resampling.BOX))
            assert near(ours, expected.transpose(2, 0, 1))


def test_the_smallest_images_survive_all_corruptions():
    images = smooth_images((1, 3, 3), count=2)
    for name in NAMES:
        assert after(images, name, 5).shape == images.shape


@pytest.mark.parametrize(
    ("images", "name", "strength", "message"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "pixelated", 1, "did you mean 'pixelate'"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "contrast", 0, "expected 1 to 5"),
        (torch.zeros(1, 3, 8, 8), "contrast", 1, "float32.*expected uint8"),
        (torch.zeros(1, 2, 8, 8, dtype=torch.uint8), "contrast", 1, "one or three channels"),
        (torch.zeros(1, 1, 2, 8, dtype=torch.uint8), "contrast", 1, "2 x 8 pixels"),
    ],
)
def test_what_cannot_be_corrupted_is_named(images, name, strength, message):
    with pytest.raises(InputError, match=message):
        after(images, name, strength)
