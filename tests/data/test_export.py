"""Exported sets, held against other readers (PIL, numpy, torch, csv), and imported again."""

import csv
import itertools
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from builders import encoded, pack
from conftest import ROOT, small_dataset
from PIL import Image
from safetensors import safe_open

from condensation import api, cli
from condensation.commands import evaluate, export
from condensation.config.loading import parse
from condensation.core.errors import InputError
from condensation.data import datasets, readers, sets, whitening
from condensation.data.datasets import Dataset
from condensation.data.sets import Condensed
from condensation.methods import contract, imported
from condensation.methods.contract import Problem
from condensation.workflow import jobs
from condensation.workflow.grid import SetId

IPC = 2
ARRAYS = ("npz", "pt", "safetensors")
CLASSES = ("apple", "boat", "cat")
SPLITS = ("train", "test")


def config_of(method: dict, **dataset):
    return parse(
        {
            "datasets": {"d": dataset or {"source": "digits"}},
            "methods": {"m": method},
            "experiments": {"e": {"datasets": ["d"], "methods": ["m"], "ipc": [IPC]}},
        }
    )


def read_dataset(name, path=None) -> Dataset:
    fields = {"source": "image_folder", "path": str(path)} if path else {"source": "digits"}
    entry = config_of({"algorithm": "random"}, **fields).datasets["d"].model_dump()
    return readers.read(name, entry, [path] if path else [])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """A user's folder of RGB pictures, each of other pixels, names without an order."""
    random = np.random.default_rng(0)
    files = {}
    for (number, label), split in itertools.product(
        enumerate(CLASSES), ("train",) * 5 + ("test",) * 2
    ):
        pixels = random.integers(number * 60, number * 60 + 130, (6, 8, 3))
        files[f"{split}/{label}/é {random.integers(10**6)}.png"] = encoded(pixels)
    return pack(tmp_path_factory.mktemp("pictures"), files, "folder")


@pytest.fixture(scope="module")
def real(pictures) -> dict[str, Dataset]:
    return {"digits": read_dataset("digits"), "rgb": read_dataset("rgb", pictures)}


@dataclass
class Place:
    """A set at its place in a results folder."""

    dataset: Dataset
    condensed: Condensed
    path: Path


def place(folder, dataset, condensed, method="m", below="", **facts) -> Place:
    path = folder / f"results/{dataset.name}/{method}/ipc{IPC}/set0{below}/condensed.safetensors"
    sets.write(condensed, dataset, path, method=method, ipc=IPC, seed=0, **facts)
    datasets.write(replace(dataset, whitening=None), path.parents[3 + below.count("/")] / FILE)
    return Place(dataset, condensed, path)


FILE = "dataset.safetensors"


def positions_of(dataset) -> torch.Tensor:
    return torch.cat([indices[[3, 1]] for indices in dataset.indices_by_class()])


def selected(dataset) -> Condensed:
    problem = Problem(dataset, IPC, seed=0)
    return contract.finish(positions_of(dataset), problem, "m")


def learned(dataset, kind="hard") -> Condensed:
    """Real images with noise, of which some leave the range of a picture."""
    draw = torch.Generator().manual_seed(0)
    images = dataset.preprocess(dataset.train_images[positions_of(dataset)])
    images += 0.1 * torch.randn(images.shape, generator=draw)
    labels = Problem(dataset, IPC, seed=0).labels
    if kind == "soft":
        scores = torch.randn(len(labels), len(dataset.classes), generator=draw)
        labels = (scores + 4 * torch.nn.functional.one_hot(labels)).softmax(1)
    return Condensed(images, labels)


def whitened(dataset, kind) -> Dataset:
    fitted = whitening.fit(dataset.train_images, kind, dataset.mean, dataset.std)
    return replace(dataset, whitening=fitted)


def run(capsys, path, form, into, *options) -> list[str]:
    """The lines that the command prints."""
    export.main([str(path), "--to", form, "--into", str(into), *options])
    return capsys.readouterr().out.splitlines()


def entry_in(lines) -> dict:
    """The config entry in the last line."""
    return yaml.safe_load(lines[-1].removeprefix("read it back with "))


def read_back(dataset, config) -> Condensed:
    """The set as the rule `condense` imports it."""
    job = jobs.condense(config, SetId("d", "m", str(IPC), 0))
    problem = Problem(dataset, IPC, seed=0)
    raw = imported.condense(problem, **job["options"])
    return contract.finish(raw, problem, "imported", job["labels"])


def unit_of(place) -> np.ndarray:
    """The pixels of a standardised set by the definition of standardisation, float64."""
    mean, std = (np.reshape(x, (-1, 1, 1)) for x in (place.dataset.mean, place.dataset.std))
    return place.condensed.images.numpy().astype(np.float64) * std + mean


def pixels_of(place) -> np.ndarray:
    return np.clip(np.rint(unit_of(place) * 255), 0, 255).astype(np.uint8)


def table(path) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def decoded(path) -> np.ndarray:
    """A picture as PIL reads it, C x H x W."""
    array = np.asarray(Image.open(path))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def loaded(path) -> dict:
    """An exported file, by a reader of another program."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays) | {name: arrays[name].tolist() for name in ("classes", "values")}
    if path.suffix == ".pt":
        content = torch.load(path, weights_only=True)
        return {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in content.items()}
    with safe_open(path, "numpy") as file:
        metadata = json.loads(file.metadata()["condensation"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return arrays | {name: metadata[name] for name in ("classes", "values")}


# --- what is in the files -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "rgb"])
def test_pictures_hold_the_rounded_and_clipped_pixels(tmp_path, real, capsys, name):
    at = place(tmp_path, real[name], learned(real[name]))
    lines = run(capsys, at.path, "folder", tmp_path / "out")
    steps, expected = np.rint(unit_of(at) * 255), pixels_of(at)
    clipped = int((steps != expected).sum())
    assert clipped > 0
    assert f"{clipped} of {expected.size} values were clipped to 0 to 255" in lines
    rows = table(tmp_path / "out/manifest.csv")
    labels = at.condensed.labels.tolist()
    assert [int(row["label"]) for row in rows] == labels
    assert [row["class"] for row in rows] == [at.dataset.classes[label] for label in labels]
    assert {row["source_position"] + row["source_file"] for row in rows} == {""}
    for row, pixels in zip(rows, expected, strict=True):
        assert row["file"].startswith(f"{row['class']}/")
        np.testing.assert_array_equal(decoded(tmp_path / "out" / row["file"]), pixels)
    on_disk = {p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.glob("out/*/*")}
    assert on_disk == {row["file"] for row in rows}
    assert {p.name for p in tmp_path.glob("out/*.*")} == {"manifest.csv"}


@pytest.mark.parametrize("form", ARRAYS)
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_arrays_hold_pixels_labels_constants_and_names(tmp_path, real, capsys, form, kind):
    at = place(tmp_path, real["rgb"], learned(real["rgb"], kind))
    expected = {
        "unit": (unit_of(at), np.float32, 1e-6),
        "uint8": (pixels_of(at), np.uint8, 0),
        "standardized": (at.condensed.images.numpy(), np.float32, 0),
    }
    outside = np.rint(unit_of(at) * 255) != pixels_of(at)
    for values, (images, dtype, tolerance) in expected.items():
        lines = run(capsys, at.path, form, tmp_path / values, "--values", values)
        content = loaded(tmp_path / f"{values}.{form}")
        assert content["images"].dtype == dtype
        np.testing.assert_allclose(content["images"], images, rtol=0, atol=tolerance)
        assert content["labels"].dtype == (np.int64 if kind == "hard" else np.float32)
        np.testing.assert_array_equal(content["labels"], at.condensed.labels.numpy())
        np.testing.assert_array_equal(content["mean"], np.float32(at.dataset.mean))
        np.testing.assert_array_equal(content["std"], np.float32(at.dataset.std))
        assert (content["classes"], content["values"]) == (list(CLASSES), values)
        counted = [line for line in lines if re.match(r"\d+ of", line)]
        assert len(counted) == (values != "standardized")
        assert all(line.startswith(f"{outside.sum()} of {outside.size}") for line in counted)
    run(capsys, at.path, form, tmp_path / f"plain.{form}")
    assert loaded(tmp_path / f"plain.{form}")["values"] == "unit"


@pytest.mark.parametrize("form", ["folder", *ARRAYS])
def test_equal_sets_give_equal_bytes(tmp_path, real, capsys, form):
    at = place(tmp_path, real["rgb"], selected(real["rgb"]))
    for name in ("a", "b"):
        run(capsys, at.path, form, tmp_path / name / "set")
    first, second = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in tmp_path.glob(f"{name}/**/*.*")}
        for name in ("a", "b")
    )
    assert first == second


# --- selected real images -------------------------------------------------------------------------


def test_selected_images_are_the_files_of_the_user(tmp_path, real, pictures, capsys):
    at = place(tmp_path, real["rgb"], selected(real["rgb"]))
    run(capsys, at.path, "folder", tmp_path / "out")
    run(capsys, at.path, "npz", tmp_path / "arrays/set", "--values", "uint8")
    positions = positions_of(at.dataset).tolist()
    manifest, chosen = table(tmp_path / "out/manifest.csv"), table(tmp_path / "out/chosen.csv")
    assert [int(row["position"]) for row in chosen] == positions
    assert table(tmp_path / "arrays/set.chosen.csv") == chosen
    images = loaded(tmp_path / "arrays/set.npz")["images"]
    for row, listed, image in zip(manifest, chosen, images, strict=True):
        assert (listed["class"], listed["file"]) == (row["class"], row["source_file"])
        assert listed["position"] == row["source_position"]
        assert listed["file"].split("/")[:2] == ["train", row["class"]]
        original = decoded(pictures / listed["file"])
        np.testing.assert_array_equal(decoded(tmp_path / "out" / row["file"]), original)
        np.testing.assert_array_equal(image, original)


def test_an_archive_without_file_names_has_positions_alone(tmp_path, real, capsys):
    at = place(tmp_path, real["digits"], selected(real["digits"]))
    lines = run(capsys, at.path, "pt", tmp_path / "set.pt")
    rows = table(tmp_path / "set.chosen.csv")
    assert [int(row["position"]) for row in rows] == positions_of(at.dataset).tolist()
    assert [row["class"] for row in rows] == [str(n // 2) for n in range(20)]
    assert {row["file"] for row in rows} == {""}
    assert any("there are no file names" in line for line in lines)


def test_names_that_are_not_utf8_are_listed_as_text(tmp_path, real, capsys):
    names = [f"train/a/\udce9{n}.png" for n in range(15)]  # a byte that is no UTF-8
    dataset = replace(real["rgb"], files={"train": tuple(names), "test": ("x",) * 6})
    at = place(tmp_path, dataset, selected(dataset))
    run(capsys, at.path, "npz", tmp_path / "set.npz")
    expected = [f"train/a/\\xe9{n}.png" for n in positions_of(dataset).tolist()]
    assert [row["file"] for row in table(tmp_path / "set.chosen.csv")] == expected


def test_positions_of_another_dataset_are_refused(tmp_path, real, capsys):
    at = place(tmp_path, real["rgb"], selected(real["rgb"]))
    turned = replace(real["rgb"], train_images=real["rgb"].train_images.flip(0))
    datasets.write(turned, tmp_path / FILE)
    with pytest.raises(InputError, match="other images than those at its positions"):
        run(capsys, at.path, "npz", tmp_path / "out", "--dataset", str(tmp_path / FILE))
    fewer = replace(turned, train_images=turned.train_images[:11])
    fewer = replace(fewer, train_labels=turned.train_labels[:11])
    datasets.write(fewer, tmp_path / FILE)
    with pytest.raises(InputError, match="other images than those at its positions"):
        run(capsys, at.path, "npz", tmp_path / "out", "--dataset", str(tmp_path / FILE))


# --- imported again -------------------------------------------------------------------------------


def documented() -> list[tuple[str, str, str]]:
    """Form, values and options of `imported`, by the table in docs/using.md."""
    section = (ROOT / "docs/using.md").read_text().partition("## Use the set elsewhere")[2]
    rows = re.findall(r"^\| (`(?:folder|npz).*)\|$", section.partition("\n## ")[0], flags=re.M)
    ways = []
    for row in rows:
        forms, values, _, options = (cell.strip() for cell in row.split(" |"))
        names = re.findall(r"`([^`]+)`", options)
        for form in re.findall(r"`(\w+)`", forms):
            ways += [(form, values.partition(" ")[0].strip("`"), names[0] if names else "")]
    return ways


def test_the_page_names_every_form():
    every = {(form, values) for form in ARRAYS for values in export.export.VALUES}
    assert {way[:2] for way in documented()} == every | {("folder", "")}


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("name", ["digits", "rgb"])
def test_what_the_page_says_reads_each_form_back(tmp_path, real, capsys, name, kind):
    """By a config entry, by the line that the command prints, and by `condensation evaluate`."""
    at = place(tmp_path, real[name], learned(real[name], kind))
    step = max(0.5 / 255 / np.array(at.dataset.std)) + 1e-6
    dataset_path = at.path.parents[3] / FILE
    for form, values, options in documented():
        if values == "whitened":
            continue
        into = tmp_path / f"{form}-{values}" / ("set" if form == "folder" else f"set.{form}")
        flags = ["--values", values] if values else []
        labels = at.condensed.labels
        if form == "folder" and kind == "soft":
            flags, labels = ["--hard"], labels.argmax(1)
        lines = run(capsys, at.path, form, into, *flags)
        entry = {"algorithm": "imported", "path": str(into)} | (yaml.safe_load(options) or {})
        assert entry_in(lines) == entry
        scale = ["--scale", entry["scale"]] if "scale" in entry else []
        command = evaluate.parse_arguments([str(into), "--dataset", str(dataset_path), *scale])
        by_command = api.load_set(into, dataset_path, **evaluate.set_options(command))
        exact = values in ("unit", "standardized")
        expected = at.condensed.images
        if not exact:  # what is clipped stays clipped
            expected = at.dataset.standardize(torch.from_numpy(pixels_of(at)))
            kept = unit_of(at)
            inside = torch.from_numpy((kept >= 0) & (kept <= 1))
            difference = (expected - at.condensed.images).abs()[inside].max()
            assert float(difference) <= step
        for result in (read_back(at.dataset, config_of(entry)), by_command):
            assert torch.equal(result.labels, labels)
            torch.testing.assert_close(result.images, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("values", ["unit", "uint8", "standardized"])
@pytest.mark.parametrize("form", ARRAYS)
def test_a_file_says_its_values_and_the_order_of_its_classes(tmp_path, real, capsys, form, values):
    at = place(tmp_path, real["rgb"], learned(real["rgb"]))
    run(capsys, at.path, form, tmp_path / "set", "--values", values)
    order = [2, 0, 1]  # of the same classes in another dataset
    names = tuple(CLASSES[label] for label in order)
    turned = torch.tensor([names.index(name) for name in CLASSES])
    rgb = real["rgb"]
    labels = {f"{split}_labels": turned[getattr(rgb, f"{split}_labels")] for split in SPLITS}
    other = replace(rgb, classes=names, **labels)
    entry = {"algorithm": "imported", "path": str(tmp_path / f"set.{form}")}
    result = read_back(other, config_of(entry))
    got = [names[label] for label in result.labels.tolist()]
    assert got == [name for name in names for _ in range(IPC)]
    images = at.condensed.images.view(3, IPC, *rgb.shape)[order].flatten(0, 1)
    tolerance = 0.03 if values == "uint8" else 1e-5
    inside = (images > images.min() + 0.5) & (images < images.max() - 0.5)  # not clipped
    torch.testing.assert_close(result.images[inside], images[inside], rtol=0, atol=tolerance)
    wrong = "unit" if values != "unit" else "uint8"
    for options, expected in (
        ({"scale": wrong}, f"its values are `{values}`, but scale is `{wrong}`"),
        ({"preprocessing": "zca"}, f"its values are `{values}`; leave out `preprocessing`"),
        ({"classes": list(names)}, "names its classes, in another order than `classes`"),
    ):
        view = whitened(other, "zca") if "preprocessing" in options else other
        with pytest.raises(InputError, match=expected):
            read_back(view, config_of(entry | options))


@pytest.mark.parametrize("kind", whitening.KINDS)
def test_the_numbers_of_a_whitened_set_are_read_back(tmp_path, real, capsys, kind):
    dataset = whitened(real["rgb"], kind)
    at = place(tmp_path, dataset, learned(dataset))
    whitening.save(dataset.whitening, at.path.parents[3] / f"whitening/{kind}.safetensors")
    for form, values, options in documented():
        if values == "whitened":
            lines = run(capsys, at.path, form, tmp_path / f"set.{form}", "--values", values)
            entry = yaml.safe_load(options.replace("zca", kind))
            entry |= {"algorithm": "imported", "path": str(tmp_path / f"set.{form}")}
            assert entry_in(lines) == entry
            result = read_back(dataset, config_of(entry))
            assert torch.equal(result.images, at.condensed.images)
            assert torch.equal(result.labels, at.condensed.labels)


@pytest.mark.parametrize("values", ["unit", "uint8", "standardized"])
def test_pixels_of_a_whitened_set_are_those_before_the_whitening(tmp_path, real, capsys, values):
    dataset, pixels = whitened(real["rgb"], "zca"), real["rgb"].train_images[:6]
    condensed = Condensed(dataset.whitening.apply(pixels), torch.tensor([0, 0, 1, 1, 2, 2]))
    at = place(tmp_path, dataset, condensed)
    file = at.path.parents[3] / "whitening/zca.safetensors"
    whitening.save(dataset.whitening, file)
    lines = run(capsys, at.path, "npz", tmp_path / "set.npz", "--values", values)
    assert any("the whitening (zca) was inverted" in line for line in lines)
    result = read_back(real["rgb"], config_of(entry_in(lines)))
    expected = real["rgb"].standardize(pixels)
    torch.testing.assert_close(result.images, expected, rtol=0, atol=1e-4)
    run(capsys, at.path, "folder", tmp_path / "pictures")
    rows = table(tmp_path / "pictures/manifest.csv")
    for row, image in zip(rows, pixels.numpy(), strict=True):
        np.testing.assert_array_equal(decoded(tmp_path / "pictures" / row["file"]), image)
    away = tmp_path / "away.safetensors"
    file.rename(away)
    with pytest.raises(InputError, match=r"whitened \(zca\).*not at its place.*--whitening"):
        run(capsys, at.path, "npz", tmp_path / "other.npz")
    run(capsys, at.path, "npz", tmp_path / "other.npz", "--whitening", str(away))


def test_a_whitening_that_loses_contrast_says_so(tmp_path, real, capsys):
    dataset = whitened(real["rgb"], "zca_kip")
    at = place(tmp_path, dataset, learned(dataset))
    whitening.save(dataset.whitening, at.path.parents[3] / "whitening/zca_kip.safetensors")
    lines = run(capsys, at.path, "npz", tmp_path / "set.npz")
    assert any("loses brightness and contrast" in line for line in lines)
    images = loaded(tmp_path / "set.npz")["images"]
    np.testing.assert_allclose(images.mean((1, 2, 3)), 0.5, atol=1e-5)
    np.testing.assert_allclose(images.std((1, 2, 3)), 0.2, atol=1e-5)


def test_classes_that_cannot_be_folders_are_read_back(tmp_path, capsys):
    classes = ("Zebra/horse", "Bag", ".hidden", "Zebra_horse", "manifest.csv")
    dataset = replace(small_dataset(classes=5), classes=classes)
    condensed = selected(dataset)
    at = place(tmp_path, dataset, condensed)
    lines = run(capsys, at.path, "folder", tmp_path / "out {x}")
    folders = {path.name for path in tmp_path.glob("out */*/")}
    assert folders == {"Zebra_horse_", "Bag", "_hidden", "Zebra_horse", "manifest.csv_"}
    assert {row["class"] for row in table(tmp_path / "out {x}/manifest.csv")} == set(classes)
    result = read_back(dataset, config_of(entry_in(lines)))
    assert torch.equal(result.labels, condensed.labels)
    torch.testing.assert_close(result.images, condensed.images)


def test_more_than_ten_pictures_of_a_class_keep_their_order(tmp_path, capsys):
    dataset = small_dataset()
    positions = torch.cat([indices[:12].flip(0) for indices in dataset.indices_by_class()])
    condensed = contract.finish(positions, Problem(dataset, 12, seed=0), "m")
    at = place(tmp_path, dataset, condensed)
    run(capsys, at.path, "folder", tmp_path / "out")
    problem = Problem(dataset, 12, seed=0)
    job = jobs.condense(
        config_of({"algorithm": "imported", "path": str(tmp_path / "out")}),
        SetId("d", "m", "12", 0),
    )
    result = contract.finish(imported.condense(problem, **job["options"]), problem, "imported")
    torch.testing.assert_close(result.images, condensed.images)


def test_another_table_in_a_folder_of_pictures_is_still_refused(tmp_path, real, capsys):
    at = place(tmp_path, real["rgb"], selected(real["rgb"]))
    entry = entry_in(run(capsys, at.path, "folder", tmp_path / "out"))
    read_back(at.dataset, config_of(entry))
    (tmp_path / "out/apple/manifest.csv").write_text("file\n")
    with pytest.raises(InputError, match=r"apple/manifest\.csv: not a readable image"):
        read_back(at.dataset, config_of(entry))
    (tmp_path / "out/apple/manifest.csv").rename(tmp_path / "out/other.csv")
    with pytest.raises(InputError, match=r"'other\.csv' is not at <class>/<picture>"):
        read_back(at.dataset, config_of(entry))


# --- all images, moved sets, snapshots ------------------------------------------------------------


def whole(dataset) -> Condensed:
    count = len(dataset.train_labels)
    return Condensed(None, dataset.train_labels, torch.arange(count))


def test_all_images_are_exported(tmp_path, real, capsys):
    at = place(tmp_path, real["digits"], whole(real["digits"]), method="whole")
    lines = run(capsys, at.path, "npz", tmp_path / "set.npz", "--values", "uint8")
    content = loaded(tmp_path / "set.npz")
    np.testing.assert_array_equal(content["images"], real["digits"].train_images.numpy())
    np.testing.assert_array_equal(content["labels"], real["digits"].train_labels.numpy())
    assert "cannot read it back: it needs equally many images of each class" in lines[-1]
    run(capsys, at.path, "npz", tmp_path / "floats.npz", "--values", "standardized")
    expected = real["digits"].standardize(real["digits"].train_images).numpy()
    np.testing.assert_allclose(loaded(tmp_path / "floats.npz")["images"], expected, atol=1e-6)
    rgb = place(tmp_path, real["rgb"], whole(real["rgb"]), method="whole")
    run(capsys, rgb.path, "folder", tmp_path / "out")
    assert len(list(tmp_path.glob("out/*/*.png"))) == 15
    (rgb.path.parents[3] / FILE).unlink()
    with pytest.raises(InputError, match=r"positions of training images only.*--dataset"):
        run(capsys, rgb.path, "folder", tmp_path / "other")


def test_a_set_that_was_moved_has_its_constants_and_names(tmp_path, real, capsys):
    for number, condensed in enumerate((learned(real["rgb"]), selected(real["rgb"]))):
        at = place(tmp_path, real["rgb"], condensed)
        moved = at.path.rename(tmp_path / f"moved{number}.safetensors")
        run(capsys, moved, "npz", tmp_path / f"set{number}.npz", "--values", "uint8")
        content = loaded(tmp_path / f"set{number}.npz")
        np.testing.assert_array_equal(content["images"], pixels_of(at))
        np.testing.assert_array_equal(content["mean"], np.float32(at.dataset.mean))
        assert content["classes"] == list(CLASSES)
    assert {row["file"] for row in table(tmp_path / "set1.chosen.csv")} == {""}
    file = str(at.path.parents[3] / FILE)
    run(capsys, moved, "npz", tmp_path / "named.npz", "--dataset", file)
    assert "" not in {row["file"] for row in table(tmp_path / "named.chosen.csv")}


def test_a_snapshot_finds_its_dataset(tmp_path, real, capsys):
    at = place(tmp_path, real["rgb"], selected(real["rgb"]), below="/snapshots/iteration5")
    run(capsys, at.path, "npz", tmp_path / "set.npz")
    assert "" not in {row["file"] for row in table(tmp_path / "set.chosen.csv")}


def test_soft_labels_become_hard_when_asked(tmp_path, real, capsys):
    at = place(tmp_path, real["rgb"], learned(real["rgb"], "soft"))
    lines = run(capsys, at.path, "pt", tmp_path / "set.pt", "--hard")
    assert any("the others are lost" in line for line in lines)
    expected = np.argmax(at.condensed.labels.numpy(), 1)
    np.testing.assert_array_equal(loaded(tmp_path / "set.pt")["labels"], expected)
    scores = torch.eye(3)[[0, 0, 0, 0, 2, 2]] * 0.5 + 1 / 6
    at = place(tmp_path, real["rgb"], Condensed(at.condensed.images, scores))
    lines = run(capsys, at.path, "folder", tmp_path / "out", "--hard")
    assert "classes without an image have no folder: boat" in lines
    assert "0 to 4" in lines[-1]
    assert {path.name for path in tmp_path.glob("out/*/")} == {"apple", "cat"}


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["oom", "diverged"])
def test_a_set_whose_method_failed_is_refused(tmp_path, real, capsys, status):
    sets.write_failure(real["rgb"], tmp_path / "s.safetensors", status, "the cause", 7)
    with pytest.raises(InputError, match=rf"status {status} at iteration 7 \(the cause\)"):
        run(capsys, tmp_path / "s.safetensors", "npz", tmp_path / "out")


def test_a_file_that_is_no_set_is_refused(tmp_path, real, capsys):
    at = place(tmp_path, real["rgb"], selected(real["rgb"]))
    torch.save(torch.zeros(3), tmp_path / "x.pt")
    damaged = tmp_path / "damaged.safetensors"
    content = bytearray(at.path.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    for path, expected in (
        (at.path.parents[3] / FILE, "holds a dataset, not a condensed set"),
        (tmp_path / "x.pt", "not a readable safetensors file.*A condensed set is"),
        (tmp_path / "nowhere", "no such file.*A condensed set is"),
        (at.path.parent, "a folder; expected a file, condensed.safetensors"),
        (damaged, "does not match the checksum"),
    ):
        with pytest.raises(InputError, match=expected):
            run(capsys, path, "npz", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_each_mistake_has_its_message_and_leaves_nothing(tmp_path, real, capsys):
    hard = place(tmp_path, real["rgb"], selected(real["rgb"]))
    soft = place(tmp_path, real["rgb"], learned(real["rgb"], "soft"), method="soft")
    two = replace(small_dataset(shape=(2, 8, 8)), name="two")
    channels = place(tmp_path, two, selected(two))
    nan = learned(real["rgb"])
    nan.images[0, 0, 0, 0] = float("nan")
    nan = place(tmp_path, real["rgb"], nan, method="nan")
    pack(tmp_path / "full", {"keep": b"kept"}, "folder")
    (tmp_path / "old.npz").write_bytes(b"kept")
    (tmp_path / "list.chosen.csv").write_bytes(b"kept")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for at, form, into, options, expected in (
        (hard, "folder", "full", (), "full: exists and is not empty.*--into"),
        (hard, "folder", "old.npz", (), "old.npz: a file"),
        (hard, "npz", "old", (), "old.npz: exists"),
        (hard, "pt", "list", (), "list.chosen.csv: exists, with other images"),
        (hard, "npz", "new", ("--values", "whitened"), "standardised, not whitened"),
        (hard, "folder", "new", ("--values", "unit"), "pictures are uint8"),
        (soft, "folder", "new", (), "3 scores per image.*lost: add --hard.*npz"),
        (channels, "folder", "new", (), "2 channels; pictures have 1 .* or 3"),
        (nan, "npz", "new", (), "NaN or infinite"),
    ):
        with pytest.raises(InputError, match=expected):
            run(capsys, at.path, form, tmp_path / into, *options)
        after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        assert after == before, expected
    (tmp_path / "set.npz").mkdir()
    with pytest.raises(InputError, match=r"set\.npz: a folder; name a file"):
        run(capsys, hard.path, "npz", tmp_path / "set")


@pytest.mark.parametrize("form", ["folder", *ARRAYS])
def test_a_full_disk_leaves_nothing(tmp_path, real, capsys, monkeypatch, form):
    at = place(tmp_path, real["rgb"], selected(real["rgb"]))
    calls = itertools.count()
    write = {
        "folder": (Image.Image, "save"),
        "npz": (np, "savez"),
        "pt": (torch, "save"),
        "safetensors": (safetensors.torch, "save_file"),
    }[form]
    original = getattr(*write)

    def full(*arguments, **options):
        original(*arguments, **options)
        if next(calls) == (2 if form == "folder" else 0):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(*write, full)
    (tmp_path / "out").mkdir()
    arguments = [str(at.path), "--to", form, "--into", str(tmp_path / "out/set")]
    assert cli.main(["export", *arguments]) == 1
    assert re.search(r"out/set: cannot be written .*No space", capsys.readouterr().err)
    assert not list((tmp_path / "out").iterdir())
    monkeypatch.undo()
    assert cli.main(["export", *arguments]) == 0


def test_a_tilde_after_an_equals_sign_is_the_home(tmp_path, real, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    at = place(tmp_path, real["rgb"], learned(real["rgb"]))
    assert cli.main(["export", str(at.path), "--to", "npz", "--into=~/out/set"]) == 0
    arguments = ["~/out/set.npz", f"--dataset={at.path.parents[3] / FILE}", "--json=~/a.json"]
    quick = ["--networks", "1", "--epochs", "1", "--architectures", "mlp"]
    assert cli.main(["evaluate", *arguments, *quick]) == 0
    assert (tmp_path / "a.json").is_file() and not (tmp_path / "~").exists()


def test_an_empty_folder_is_filled(tmp_path, real, capsys):
    at = place(tmp_path, real["rgb"], selected(real["rgb"]))
    (tmp_path / "out").mkdir()
    run(capsys, at.path, "folder", tmp_path / "out")
    assert len(list(tmp_path.glob("out/*/*.png"))) == 6
