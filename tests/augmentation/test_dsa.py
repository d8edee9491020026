"""Each operator against a loop over images and pixels, or scipy; ranges by exhaustion."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import small_dataset
from scipy import ndimage

from condensation import augmentation
from condensation.augmentation import dsa
from condensation.config.entries import DSA_OPERATORS
from condensation.core.errors import InputError
from condensation.core.randomness import generator

SHAPES = [(3, 32, 32), (1, 8, 8), (3, 64, 64), (1, 28, 28), (3, 12, 20)]


def images(shape, n=4, dtype=torch.float64):
    return torch.randn(n, *shape, generator=generator(0, "test", shape), dtype=dtype)


def build(shape, operator, align=False):
    entry = {"policy": "dsa", "operators": [operator], "align_corners": align}
    return augmentation.build(entry, small_dataset(per_class=1, shape=shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_color_follows_its_definition_image_by_image(shape):
    x = images(shape)
    u, v, w = (torch.rand(4, generator=generator(0, k), dtype=torch.float64) for k in "uvw")
    got = dsa.color(x, u, v, w)
    for i in range(4):
        image = x[i].numpy().copy()
        image += float(u[i]) - 0.5
        grey = image.mean(axis=0)
        image = np.stack([(c - grey) * 2 * float(v[i]) + grey for c in image])
        image = (image - image.mean()) * (float(w[i]) + 0.5) + image.mean()
        np.testing.assert_allclose(got[i], image, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (-1, 1), (1, -1)])
def test_crop_shifts_and_fills_with_zeros(shape, shift):
    x = images(shape)
    got = dsa.crop(x, torch.tensor([shift[0]] * 4), torch.tensor([shift[1]] * 4))
    for i, c in np.ndindex(4, shape[0]):
        np.testing.assert_allclose(got[i, c], ndimage.shift(x[i, c], shift, order=0))


def test_crop_takes_a_shift_per_image():
    x = images((3, 32, 32))
    down, right = torch.tensor([4, -4, 0, 2]), torch.tensor([0, 3, -4, 4])
    together = dsa.crop(x, down, right)
    for i in range(4):
        alone = dsa.crop(x[i : i + 1], down[i : i + 1], right[i : i + 1])
        assert torch.equal(together[i : i + 1], alone)


@pytest.mark.parametrize("shape", SHAPES)
def test_cutout_zeroes_a_half_sized_box_cut_at_the_border(shape):
    side_y, side_x = int(shape[1] * 0.5 + 0.5), int(shape[2] * 0.5 + 0.5)
    for row in (0, 1, shape[1] // 2, shape[1]):
        for column in (0, shape[2] // 3, shape[2]):
            x = torch.ones(2, *shape)
            got = dsa.cutout(x, torch.tensor([row]), torch.tensor([column]))
            for y in range(shape[1]):
                for z in range(shape[2]):
                    inside = (
                        row - side_y // 2 <= y < row - side_y // 2 + side_y
                        and column - side_x // 2 <= z < column - side_x // 2 + side_x
                    )
                    assert bool((got[:, :, y, z] == (0 if inside else 1)).all())


def test_flip_mirrors_left_and_right():
    x = images((3, 32, 32))
    got = dsa.flip(x, torch.tensor([1.0, 0, 0, 1]))
    for i, mirrored in enumerate([True, False, False, True]):
        expected = np.flip(x[i].numpy(), axis=2) if mirrored else x[i].numpy()
        assert np.array_equal(got[i], expected)


def sampled_by_hand(image, matrix, align):
    """Bilinear sampling with zeros outside, pixel by pixel, from the definition of the grid."""
    _, height, width = image.shape

    def to_pixel(coordinate, size):
        return (coordinate + 1) / 2 * (size - 1) if align else ((coordinate + 1) * size - 1) / 2

    def from_pixel(pixel, size):
        return 2 * pixel / (size - 1) - 1 if align else (2 * pixel + 1) / size - 1

    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            place = np.array([from_pixel(x, width), from_pixel(y, height), 1.0])
            sx = to_pixel(matrix[0] @ place, width)
            sy = to_pixel(matrix[1] @ place, height)
            for yy in (math.floor(sy), math.floor(sy) + 1):
                for xx in (math.floor(sx), math.floor(sx) + 1):
                    if 0 <= yy < height and 0 <= xx < width:
                        share = (1 - abs(sy - yy)) * (1 - abs(sx - xx))
                        out[:, y, x] += share * image[:, yy, xx]
    return out


@pytest.mark.parametrize("align", [False, True])
def test_scale_and_rotate_sample_the_grid_by_hand(align):
    x = images((3, 12, 12), n=3)
    sx, sy = torch.tensor([1.2, 1 / 1.2, 1.0]).double(), torch.tensor([1.0, 1.1, 0.9]).double()
    got = dsa.scale(x, sx, sy, align)
    for i in range(3):
        matrix = np.array([[float(sx[i]), 0, 0], [0, float(sy[i]), 0]])
        np.testing.assert_allclose(got[i], sampled_by_hand(x[i].numpy(), matrix, align), atol=1e-9)
    degrees = torch.tensor([15.0, -15.0, 3.0]).double()
    got = dsa.rotate(x, degrees, align)
    for i in range(3):
        a = math.radians(float(degrees[i]))
        matrix = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0]])
        np.testing.assert_allclose(got[i], sampled_by_hand(x[i].numpy(), matrix, align), atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("operator", DSA_OPERATORS)
def test_siamese_is_one_draw_for_every_image_of_every_batch(shape, operator):
    augment = build(shape, operator)
    drawn = augment.draw(generator(1, operator), 1)
    x = images(shape, n=5, dtype=torch.float32)
    together = augment.apply(x, drawn)
    assert together.shape == x.shape
    for i in range(5):
        torch.testing.assert_close(augment.apply(x[i : i + 1], drawn), together[i : i + 1])
    if operator == "flip":
        assert torch.equal(together, x) or torch.equal(together, x.flip(3))


@pytest.mark.parametrize("operator", sorted(set(DSA_OPERATORS) - {"flip"}))
def test_unseeded_draws_differ_between_images(operator):
    augment = build((3, 32, 32), operator)
    x = images((3, 32, 32), n=1, dtype=torch.float32).expand(16, -1, -1, -1)
    got = augment.apply(x, augment.draw(generator(2), 16))
    assert len({tuple(image.flatten().tolist()) for image in got}) > 8


@pytest.mark.parametrize("operator", DSA_OPERATORS)
def test_gradients_reach_the_pixels(operator):
    x = images((2, 8, 8), n=2).requires_grad_()
    augment = build((2, 8, 8), operator)
    drawn = augment.draw(generator(3), 2)
    assert torch.autograd.gradcheck(lambda z: augment.apply(z, drawn), (x,))


@pytest.mark.parametrize(
    ("operator", "shape", "low", "high"),
    [
        ("crop", (3, 32, 32), -4, 4),
        ("crop", (3, 64, 64), -8, 8),
        ("crop", (1, 28, 28), -4, 4),
        ("crop", (1, 8, 8), -1, 1),
        ("cutout", (3, 32, 32), 0, 32),  # side 16 is even: both ends
        ("cutout", (3, 10, 10), 0, 9),  # side 5 is odd
    ],
)
def test_integer_ranges_include_both_ends_and_nothing_else(operator, shape, low, high):
    drawn = build(shape, operator).draw(generator(4), 20_000).parameters
    for row in drawn:
        assert sorted(set(row.tolist())) == list(range(low, high + 1))


def test_continuous_ranges_and_probabilities():
    n = 50_000
    turned = build((3, 32, 32), "rotate").draw(generator(5), n).parameters
    assert (
        turned.min() >= -15
        and turned.max() <= 15
        and turned.std() == pytest.approx(30 / math.sqrt(12), rel=0.02)
    )
    factors = build((3, 32, 32), "scale").draw(generator(6), n).parameters
    assert factors.min() >= 1 / 1.2 and factors.max() <= 1.2
    assert factors.mean() == pytest.approx((1.2 + 1 / 1.2) / 2, abs=2e-3)
    mirrored = build((3, 32, 32), "flip").draw(generator(7), n).parameters
    assert mirrored.mean() == pytest.approx(0.5, abs=0.01)
    shades = build((3, 32, 32), "color").draw(generator(8), n).parameters
    assert shades.shape == (3, n) and shades.min() >= 0 and shades.max() <= 1


@pytest.mark.parametrize("operator", ["color", "scale", "crop", "cutout"])
def test_the_numbers_of_an_operator_are_drawn_apart(operator):
    drawn = build((3, 32, 32), operator).draw(generator(10), 50_000).parameters.double()
    between = torch.corrcoef(drawn) - torch.eye(len(drawn))
    assert len(drawn) > 1 and between.abs().max() < 0.02


def test_a_policy_with_no_operator_left_is_refused():
    entry = {"policy": "dsa", "operators": ["flip"], "align_corners": False}
    with pytest.raises(InputError, match="no operator is left for small"):
        augmentation.build(entry, replace(small_dataset(per_class=1), flip=False))


def test_every_operator_is_equally_likely():
    options = {"policy": "dsa", "operators": list(DSA_OPERATORS), "align_corners": False}
    augment = augmentation.build(options, small_dataset(per_class=1, shape=(3, 32, 32)))
    g = generator(9)
    names = [augment.draw(g, 1).operator for _ in range(6000)]
    for operator in DSA_OPERATORS:
        assert names.count(operator) == pytest.approx(1000, abs=120)  # 4 standard deviations
    unflipped = augmentation.build(options, replace(small_dataset(per_class=1), flip=False))
    assert "flip" not in {unflipped.draw(g, 1).operator for _ in range(200)}


def with_doubles(drawn):
    return dsa.Drawn(drawn.operator, drawn.parameters.double())


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("operator", DSA_OPERATORS)
def test_all_operators_at_once_give_the_drawn_one_and_its_gradient(operator, shape, count, align):
    augment = build(shape, operator, align)
    x, weights = images(shape).requires_grad_(), images(shape).flip(0)
    for seed in range(5):
        drawn = with_doubles(augment.draw(generator(seed, "draw"), count))
        packed = augment.packed(drawn)
        assert packed.shape == (count, len(dsa.NEUTRAL))
        results = [augment.apply(x, choice) for choice in (drawn, packed)]
        torch.testing.assert_close(*results, rtol=0, atol=1e-9)
        gradients = [torch.autograd.grad((r * weights).sum(), x)[0] for r in results]
        torch.testing.assert_close(*gradients, rtol=0, atol=1e-9)


def test_draws_of_several_operators_are_applied_image_by_image():
    x = images((3, 32, 32), n=len(DSA_OPERATORS))
    policies = [build((3, 32, 32), operator) for operator in DSA_OPERATORS]
    draws = [with_doubles(p.draw(generator(3, p.operators), 1)) for p in policies]
    packed = torch.cat([p.packed(drawn) for p, drawn in zip(policies, draws, strict=True)])
    parts = zip(policies, x.split(1), draws, strict=True)
    expected = [p.apply(part, drawn) for p, part, drawn in parts]
    torch.testing.assert_close(policies[0].apply(x, packed), torch.cat(expected), rtol=0, atol=1e-9)
