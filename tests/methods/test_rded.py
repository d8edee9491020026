"""RDED against torchvision's crop, a plain choice of patches, and pictures stitched by hand."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as reference

from condensation import networks
from condensation.config.entries import ConvNet
from condensation.core.errors import InputError
from condensation.methods import rded
from condensation.methods.contract import Problem

OPTIONS = {"teacher": "scoring", "pool": 12, "crops": 3, "factor": 1, "smallest": 0.3}


@pytest.fixture
def problem(dataset):
    entry = ConvNet(network="convnet", width=8, depth=1).model_dump()
    teacher = networks.build(entry, dataset.shape, 3, 0, "teacher").eval()
    return Problem(dataset, ipc=2, seed=0, teacher=teacher)


@pytest.mark.parametrize("size", [(8, 8), (4, 4)])
def test_a_crop_is_torchvisions_resized_crop_of_the_same_box(size):
    stream = torch.Generator().manual_seed(0)
    images = torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    cropped = rded.crop(images, stream, size, 0.2)
    stream.manual_seed(0)
    areas = []
    for image, ours in zip(images, cropped, strict=True):
        area = 0.2 + 0.8 * torch.rand((), generator=stream).item()
        side = max(1, round(8 * area**0.5))
        top = torch.randint(8 - side + 1, (), generator=stream).item()
        left = torch.randint(8 - side + 1, (), generator=stream).item()
        expected = reference.resized_crop(image, top, left, side, side, list(size), antialias=True)
        torch.testing.assert_close(ours, expected)
        areas.append(area)
    assert min(areas) >= 0.2 and max(areas) <= 1 and max(areas) - min(areas) > 0.5


def test_the_patches_with_the_smallest_loss_of_different_images_are_kept(problem):
    images = rded.condense(problem, **OPTIONS)
    for label, indices in enumerate(problem.dataset.indices_by_class()):
        stream = problem.generator("rded", label)
        pool = indices[torch.randperm(len(indices), generator=stream)[:12]]
        candidates = []
        for _ in range(3):
            for place, patch in enumerate(rded.crop(problem.real(pool), stream, (8, 8), 0.3)):
                share = problem.teacher(patch[None]).softmax(1)[0, label].detach()
                candidates.append((float(-share.log()), place, patch))
        kept: dict[int, torch.Tensor] = {}
        for _, place, patch in sorted(candidates, key=lambda candidate: candidate[0]):
            kept.setdefault(place, patch)  # the first crop of an image is its best
        expected = torch.stack(list(kept.values())[:2])
        torch.testing.assert_close(images[2 * label : 2 * label + 2], expected)


def test_a_small_patch_is_judged_in_the_middle_of_an_image(problem):
    patches = torch.randn(5, 3, 3, 4, generator=torch.Generator().manual_seed(2))
    framed = torch.zeros(5, 3, 8, 8)
    framed[:, :, 2:5, 2:6] = patches
    with torch.no_grad():
        expected = F.cross_entropy(problem.teacher(framed), torch.tensor([1] * 5), reduction="none")
    torch.testing.assert_close(rded._losses(problem, patches, 1, at_once=500), expected)


def test_patches_are_stitched_in_the_order_of_their_ranks():
    patches = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 1, 2, 2)
    images = rded.stitch(patches, 2, 2, (4, 4))
    assert images[0, 0].tolist() == [[0, 0, 2, 2], [0, 0, 2, 2], [4, 4, 6, 6], [4, 4, 6, 6]]
    assert images[1, 0].tolist() == [[1, 1, 3, 3], [1, 1, 3, 3], [5, 5, 7, 7], [5, 5, 7, 7]]


def test_sides_that_the_factor_does_not_divide_are_filled():
    patches = torch.arange(1.0, 5.0).view(4, 1, 1, 1).expand(4, 1, 2, 2)
    (image,) = rded.stitch(patches, 2, 1, (5, 5))
    assert image[0].unique().tolist() == [1, 2, 3, 4]
    assert (image[0, :3, :3] == 1).all() and (image[0, 3:, 3:] == 4).all()


def test_images_of_several_patches_hold_each_training_image_once(problem):
    images = rded.condense(problem, **{**OPTIONS, "factor": 2, "pool": 20})
    assert images.shape == (6, 3, 8, 8) and torch.isfinite(images).all()
    assert torch.equal(images, rded.condense(problem, **{**OPTIONS, "factor": 2, "pool": 20}))
    other = rded.condense(replace(problem, seed=1), **{**OPTIONS, "factor": 2, "pool": 20})
    assert not torch.equal(images, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool": 1}, "class 'class 0' needs 2 crops, each of another image, but its pool has 1"),
        ({"factor": 4, "pool": 300}, "needs 32 crops, .* its pool has 20 images"),
        ({"factor": 9}, "factor 9 is more than the 8 pixels"),
    ],
)
def test_what_cannot_be_made_is_named(problem, changes, message):
    with pytest.raises(InputError, match=message):
        rded.condense(problem, **{**OPTIONS, **changes})


def test_the_teacher_is_needed(problem):
    with pytest.raises(InputError, match="the network of the features 'scoring' is needed"):
        rded.condense(replace(problem, teacher=None), **OPTIONS)
