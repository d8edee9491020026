"""Condensed sets made elsewhere: every form that is read, and every mistake that is told."""

import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from condensation import sets
from condensation.contract import finish
from condensation.errors import InputError
from condensation.methods.imported import condense
from condensation.sets import Condensed

DEFAULTS = {
    **{"labels_path": None, "scale": "standardized", "mean": None, "std": None},
    "restandardize": False,
}
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


@pytest.fixture
def images():
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def imported(path, problem, **options):
    result = condense(problem, path=str(path), **{**DEFAULTS, **options})
    return finish(result, problem, "imported")


def same(got, images):
    assert torch.equal(got.labels, LABELS)
    torch.testing.assert_close(got.images, images)


def test_own_file(tmp_path, problem, images):
    sets.write(Condensed(images, LABELS), problem.dataset, tmp_path / "s.safetensors", method="m")
    same(imported(tmp_path / "s.safetensors", problem), images)


def test_any_safetensors(tmp_path, problem, images):
    save_file({"images": images, "labels": LABELS}, tmp_path / "s.safetensors")
    same(imported(tmp_path / "s.safetensors", problem), images)


def test_npz_as_kip_writes_it(tmp_path, problem, images):
    """N x H x W x C, labels centred one-hot rows."""
    nhwc = images.permute(0, 2, 3, 1).numpy()
    rows = np.eye(3, dtype=np.float32)[LABELS] - 1 / 3
    np.savez(tmp_path / "kip.npz", images=nhwc, labels=rows)
    same(imported(tmp_path / "kip.npz", problem), images)


def test_pt_as_dc_dsa_and_dm_write_it(tmp_path, problem, images):
    """A list of runs, of which the last counts."""
    runs = [[torch.zeros_like(images), LABELS], [images, LABELS]]
    torch.save({"data": runs, "accs_all_exps": {"ConvNet": [np.float64(0.3)]}}, tmp_path / "res.pt")
    same(imported(tmp_path / "res.pt", problem), images)


def test_pt_as_tm_writes_it(tmp_path, problem, images):
    """Two files of one tensor each."""
    torch.save(images.clone().requires_grad_(), tmp_path / "images_best.pt")
    torch.save(LABELS, tmp_path / "labels_best.pt")
    got = imported(
        tmp_path / "images_best.pt", problem, labels_path=str(tmp_path / "labels_best.pt")
    )
    same(got, images)
    same(imported(tmp_path / "images_best.pt", problem), images)  # class order is assumed


def test_another_order_is_put_into_class_order(tmp_path, problem, images):
    order = torch.tensor([5, 0, 3, 1, 4, 2])
    torch.save({"images": images[order], "labels": LABELS[order]}, tmp_path / "s.pt")
    got = imported(tmp_path / "s.pt", problem)
    assert torch.equal(got.labels, LABELS)
    for label in range(3):
        mine = {tuple(i.flatten().tolist()) for i in got.images[LABELS == label]}
        assert mine == {tuple(i.flatten().tolist()) for i in images[LABELS == label]}


def test_pixel_scales(tmp_path, problem):
    pixels = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    expected = problem.dataset.standardize(pixels)
    torch.save((pixels, LABELS), tmp_path / "uint8.pt")
    torch.save((pixels.float() / 255, LABELS), tmp_path / "unit.pt")
    same(imported(tmp_path / "uint8.pt", problem, scale="uint8"), expected)
    same(imported(tmp_path / "unit.pt", problem, scale="unit"), expected)


def test_other_constants_are_converted_when_asked(tmp_path, problem):
    pixels = torch.rand(6, 3, 8, 8)
    theirs = (pixels - 0.1) / 0.5
    torch.save((theirs, LABELS), tmp_path / "s.pt")
    constants = {"mean": [0.1] * 3, "std": [0.5] * 3}
    with pytest.raises(InputError, match=r"numbers would be wrong; set restandardize: true"):
        imported(tmp_path / "s.pt", problem, **constants)
    got = imported(tmp_path / "s.pt", problem, **constants, restandardize=True)
    same(got, (pixels - 0.4) / 0.3)


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


def test_code_in_a_pt_file_is_not_run(tmp_path, problem, images, monkeypatch):
    monkeypatch.setenv("BOMB", str(tmp_path / "was_run"))
    torch.save({"images": images, "labels": LABELS, "more": Bomb()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"evil\.pt: holds more than tensors.*is refused"):
        imported(tmp_path / "evil.pt", problem)
    assert not (tmp_path / "was_run").exists()


def test_objects_in_an_npz_file_are_not_unpickled(tmp_path, problem, monkeypatch):
    monkeypatch.setenv("BOMB", str(tmp_path / "was_run"))
    np.savez(tmp_path / "evil.npz", images=np.array([Bomb()], dtype=object))
    with pytest.raises(InputError, match=r"evil\.npz: not a readable \.npz file"):
        imported(tmp_path / "evil.npz", problem)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (lambda x: (x[:4], LABELS[:4]), {}, r"shape \(4, 3, 8, 8\); expected \(6, 3, 8, 8\)"),
        (lambda x: (x[..., :7], LABELS), {}, r"expected \(6, 3, 8, 8\): 2 per class of small"),
        (lambda x: (x, LABELS + 1), {}, "labels from 1 to 3; the dataset has classes 0 to 2"),
        (lambda x: (x, LABELS[:5]), {}, "5 labels for 6 images"),
        (lambda x: (x, torch.zeros(6, 4)), {}, r"labels of shape \(6, 4\); expected"),
        (lambda x: (x, torch.zeros(6).long()), {}, "6 images of class 'class 0'; expected 2"),
        (lambda x: (x * float("nan"), LABELS), {}, "NaN or infinite"),
        (lambda x: (x.sigmoid(), LABELS), {}, "scale is `standardized`, but .* set scale: unit"),
        (lambda x: (x.sigmoid() * 255, LABELS), {}, "set scale: uint8"),
        (lambda x: (x, LABELS), {"scale": "unit"}, "scale is `unit`, but its pixels run from -"),
        (lambda x: (x.sigmoid(), LABELS), {"scale": "uint8"}, "scale is `uint8`, but"),
        (lambda x: {"pictures": x}, {}, r"holds \['pictures'\]; expected a mapping with"),
        (lambda x: [x, x, x], {}, "holds 3 things; expected"),
        (lambda x: "words", {}, "holds str; expected"),
    ],
)
def test_each_mistake_is_told(tmp_path, problem, images, content, options, expected):
    torch.save(content(images), tmp_path / "s.pt")
    with pytest.raises(InputError, match=expected):
        imported(tmp_path / "s.pt", problem, **options)


def test_own_file_of_other_preprocessing_is_refused(tmp_path, problem, images):
    from dataclasses import replace

    other = replace(problem.dataset, mean=(0.1, 0.1, 0.1))
    sets.write(Condensed(images, LABELS), other, tmp_path / "s.safetensors", method="m")
    with pytest.raises(InputError, match="were made with .*0.1.* is prepared with .*0.4"):
        imported(tmp_path / "s.safetensors", problem)
    with pytest.raises(InputError, match="the numbers would be wrong"):
        sets.load(tmp_path / "s.safetensors", problem.dataset)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("suffix", ["pt", "npz", "safetensors"])
def test_files_that_are_not_what_they_say(tmp_path, problem, suffix):
    path = tmp_path / f"s.{suffix}"
    with pytest.raises(InputError, match="no such file"):
        imported(path, problem)
    noise = np.random.default_rng(0)
    for content in (b"", b"garbage", *(noise.bytes(n) for n in range(1, 400))):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"s\.{suffix}: (not a readable|holds more)"):
            imported(path, problem)
