"""ZCA whitening, against its formulas in numpy and what a whitening must do."""

import numpy as np
import pytest
import torch
from conftest import small_dataset

from condensation.config.entries import Dataset
from condensation.core import storage
from condensation.core.errors import InputError
from condensation.data import readers, whitening


@pytest.fixture
def images():
    return small_dataset(classes=4, per_class=100, shape=(2, 4, 4)).train_images


def fitted(images, kind):
    return whitening.fit(images, kind, (0.4, 0.5), (0.3, 0.2))


def test_zca_follows_its_formula(images, monkeypatch):
    monkeypatch.setattr(whitening, "_CHUNK", 130)
    x = images.double().numpy().reshape(len(images), -1) / 255
    vectors, values, _ = np.linalg.svd(np.cov(x, rowvar=False))
    matrix = vectors @ np.diag(1 / np.sqrt(values + 0.1)) @ vectors.T
    whitened = fitted(images, "zca").apply(images).flatten(1).numpy()
    np.testing.assert_allclose(whitened, (x - x.mean(0)) @ matrix, atol=2e-5)


def test_zca_kip_follows_its_formula(images):
    unit = images.double().numpy() / 255
    x = (unit - np.array([0.4, 0.5])[:, None, None]) / np.array([0.3, 0.2])[:, None, None]
    x = x.reshape(len(x), -1)
    x = x - x.mean(1, keepdims=True)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    covariance = x.T @ x / len(x)
    covariance += 0.1 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    expected = x @ vectors @ np.diag(values**-0.5) @ vectors.T
    np.testing.assert_allclose(
        fitted(images, "zca_kip").apply(images).flatten(1).numpy(), expected, atol=2e-5
    )


@pytest.mark.parametrize("kind", ["zca", "zca_kip"])
def test_an_image_alone_is_whitened_as_in_a_batch(images, kind):
    first = fitted(images, kind)
    torch.testing.assert_close(
        first.apply(images[:1]), first.apply(images)[:1], atol=1e-5, rtol=1e-5
    )
    grey = torch.full((1, 2, 4, 4), 100, dtype=torch.uint8)
    assert torch.isfinite(first.apply(grey)).all()


@pytest.mark.parametrize("kind", ["zca", "zca_kip"])
def test_the_covariance_becomes_nearly_the_identity(kind):
    # what whitening is for, on real images: eigenvalues l become l / (l + ridge)
    digits = readers.read("digits", Dataset(source="digits").model_dump(), [])
    first = whitening.fit(digits.train_images, kind, digits.mean, digits.std)
    unit = digits.train_images.double() / 255
    rows = unit.flatten(1)
    if kind == "zca_kip":
        rows = rows - rows.mean(1, keepdim=True)
        rows = rows / rows.norm(dim=1, keepdim=True)
    else:
        rows = rows - rows.mean(0)
    before = torch.linalg.eigvalsh(rows.T @ rows / len(rows))
    ridge = 0.1 if kind == "zca" else 0.1 * before.mean()
    white = first.apply(digits.train_images).double().flatten(1)
    after = torch.linalg.eigvalsh(white.T @ white / len(rows))
    torch.testing.assert_close(after, before / (before + ridge), atol=2e-3, rtol=2e-2)
    assert (
        torch.equal(first.matrix, first.matrix.T)
        or (first.matrix - first.matrix.T).abs().max() < 1e-5
    )


def test_inverted_images_look_like_the_originals(images):
    zca = fitted(images, "zca")
    unit = images.float() / 255
    torch.testing.assert_close(zca.invert(zca.apply(images)), unit, atol=1e-4, rtol=1e-4)
    kip = fitted(images, "zca_kip")
    pictures = kip.invert(kip.apply(images)).flatten(1)
    torch.testing.assert_close(pictures.mean(1), torch.full((len(images),), 0.5))
    torch.testing.assert_close(pictures.std(1, unbiased=False), torch.full((len(images),), 0.2))
    for ours, theirs in zip(pictures[:20], unit.flatten(1), strict=False):
        assert np.corrcoef(ours, theirs)[0, 1] > 0.5


def test_a_whitening_comes_back_from_its_file_and_misuse_is_refused(images, tmp_path):
    first = fitted(images, "zca_kip")
    whitening.save(first, tmp_path / "w", dataset="small")
    again = whitening.load(tmp_path / "w")
    assert again.preprocessing() == first.preprocessing()
    assert torch.equal(again.apply(images), first.apply(images))
    assert fitted(images[:200], "zca_kip").preprocessing() != first.preprocessing()
    storage.write_tensors(tmp_path / "x", {}, {"kind": "dataset"})
    with pytest.raises(InputError, match="holds a dataset, not a whitening"):
        whitening.load(tmp_path / "x")
    with pytest.raises(InputError, match=r"\(2, 8, 8\).*\(2, 4, 4\)"):
        first.apply(torch.zeros(1, 2, 8, 8, dtype=torch.uint8))
    with pytest.raises(InputError, match="two images or more"):
        fitted(images[:1], "zca")
    with pytest.raises(InputError, match="pca.*zca_kip"):
        fitted(images, "pca")
    whitening.save(first, tmp_path / "w", kind="zca", shape=(1, 1, 1))  # cannot pass for another
    assert whitening.load(tmp_path / "w").preprocessing() == first.preprocessing()
