"""The published sets: by name, with checksums, in half precision."""

import json
from dataclasses import replace

import pytest
import torch
from conftest import ROOT

import condensation
from condensation import cli
from condensation.config import loading
from condensation.core import storage
from condensation.core.errors import InputError
from condensation.data import published
from condensation.data.datasets import Dataset
from condensation.methods import imported
from condensation.methods.contract import Problem
from condensation.workflow import grid, jobs


@pytest.fixture(scope="module")
def condensed():
    options = {"iterations": 2, "batch_real": 8, "architecture": {"network": "mlp"}}
    return condensation.condense("digits", method="dm", ipc=1, **options)


@pytest.fixture
def folder(condensed, tmp_path, monkeypatch):
    """A folder with one published set."""
    condensed.save(tmp_path / "condensed.safetensors")
    into = tmp_path / "sets"
    cli.main(["publish", str(tmp_path / "condensed.safetensors"), "--into", str(into)])
    monkeypatch.setattr(published, "FOLDER", into)
    return into


def test_a_published_set_is_loaded_by_its_name(condensed, folder):
    loaded = condensation.load_set("digits/dm/ipc1")
    assert loaded.images.dtype == torch.float32
    assert torch.equal(loaded.images, condensed.images.half().float())
    assert torch.equal(loaded.labels, condensed.labels) and loaded.metadata["method"] == "dm"
    row = published.index()["digits/dm/ipc1"]
    assert row["largest_error"] == (loaded.images - condensed.images).abs().max().item() > 0
    assert row["bytes"] < 2 * condensed.images.numel() + 4000
    # half precision keeps 11 binary digits
    assert (loaded.images - condensed.images).abs().max() <= condensed.images.abs().max() * 2**-11


def test_a_published_set_is_evaluated_and_exported_like_any_other(folder, tmp_path, capsys):
    arguments = ["digits/dm/ipc1", "--dataset", "digits", "--networks", "1", "--epochs", "1"]
    assert cli.main(["evaluate", *arguments]) == 0
    path = str(published.find("digits/dm/ipc1"))
    assert cli.main(["export", path, "--to", "npz", "--into", str(tmp_path / "out")]) == 0


def test_a_set_of_an_older_version_is_described_by_its_tensors(condensed):
    facts = {key: value for key, value in condensed.metadata.items() if key != "labels"}
    older = replace(condensed, metadata=facts)
    assert "hard labels" in repr(older)
    assert older.summary() == "1 image per class, 10 classes, hard labels"


def test_an_unknown_name_lists_the_known_ones(folder):
    with pytest.raises(InputError, match=r"no published set of this name \(known: digits/dm/ipc1"):
        condensation.load_set("digits/dm/ipc2")


def test_a_folder_that_is_no_set_is_not_called_missing(folder, tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InputError, match="pictures: not a condensed set .* name its `dataset`"):
        condensation.load_set(tmp_path / "pictures")


def test_a_folder_of_results_does_not_hide_the_published_set(folder, tmp_path, monkeypatch):
    (tmp_path / "results/digits/dm/ipc1/set0").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "results")
    assert len(condensation.load_set("digits/dm/ipc1")) == 10


def test_another_file_than_the_indexed_one_is_refused(folder):
    path = folder / "digits+dm+ipc1.safetensors"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match="not the one whose checksum"):
        condensation.load_set("digits/dm/ipc1")


def test_another_set_of_the_same_name_and_a_snapshot_are_refused(condensed, folder, tmp_path):
    assert published.publish(tmp_path / "condensed.safetensors", folder)[0] == "digits/dm/ipc1"
    options = {"iterations": 1, "batch_real": 8, "architecture": {"network": "mlp"}}
    condensation.condense("digits", method="dm", ipc=1, to=tmp_path / "other", **options)
    with pytest.raises(InputError, match="another set of the same name, digits/dm/ipc1"):
        published.publish(tmp_path / "other/condensed.safetensors", folder)
    snapshot = tmp_path / "snapshots/iteration1/condensed.safetensors"
    snapshot.parent.mkdir(parents=True)
    condensed.save(snapshot)
    with pytest.raises(InputError, match="a snapshot"):
        published.publish(snapshot, folder)


def test_names_that_differ_in_where_a_part_ends_have_files_of_their_own(condensed, tmp_path):
    for dataset, method in (("a", "b_c"), ("a_b", "c")):
        metadata = condensed.metadata | {"dataset": dataset, "method": method}
        replace(condensed, metadata=metadata).save(tmp_path / "condensed.safetensors")
        published.publish(tmp_path / "condensed.safetensors", tmp_path / "sets")
    for name in ("a/b_c/ipc1", "a_b/c/ipc1"):
        metadata = storage.read_metadata(published.find(name, tmp_path / "sets"))
        assert name == f"{metadata['dataset']}/{metadata['method']}/ipc1"


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ({"dataset": "../../w/owned"}, "its dataset '../../w/owned' is not allowed as a name"),
        ({"method": "pair of tensors"}, "its method 'pair of tensors' is not allowed as a name"),
        ({"ipc": "1/../.."}, "its ipc is '1/../..'; expected a whole number"),
        ({"seed": None}, "its seed is None; expected a whole number"),
    ],
)
def test_what_cannot_be_part_of_a_name_is_refused(condensed, tmp_path, fact, expected):
    replace(condensed, metadata=condensed.metadata | fact).save(tmp_path / "c.safetensors")
    with pytest.raises(InputError, match=expected):
        published.publish(tmp_path / "c.safetensors", tmp_path / "in" / "sets")
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


def test_an_index_does_not_name_a_file_outside_its_folder(condensed, folder, tmp_path):
    rows = published.index(folder)
    rows["digits/dm/ipc1"]["file"] = "../outside.safetensors"
    storage.write_json(folder / published.INDEX, {"sets": rows})
    with pytest.raises(InputError, match="has the file '../outside.safetensors', outside"):
        published.publish(tmp_path / "condensed.safetensors", folder)
    assert not (tmp_path / "outside.safetensors").exists()


def test_real_images_are_not_published(tmp_path):
    selected = condensation.condense("digits", method="random", ipc=1, to=tmp_path)
    assert selected.indices is not None
    with pytest.raises(InputError, match="belong to digits"):
        published.publish(tmp_path / "condensed.safetensors", tmp_path / "sets")


def test_the_committed_sets_are_those_of_the_index_and_small():
    rows = published.index()
    assert rows
    files = {path.name for path in published.FOLDER.glob("*.safetensors")}
    assert files == {row["file"] for row in rows.values()}
    assert sum(row["bytes"] for row in rows.values()) < 5e6
    for name in rows:
        loaded = condensation.load_set(name)
        assert name.startswith(f"{loaded.metadata['dataset']}/{loaded.metadata['method']}/ipc")
        assert len(loaded) == len(loaded.classes) * loaded.metadata["ipc"]
    text = (published.FOLDER / published.INDEX).read_text()
    assert json.loads(text)["checksum"]


def test_the_config_that_ranks_a_method_imports_the_published_sets(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = loading.load("config/ranked.yaml")
    chosen = [
        s for s in grid.expand(config).sets if config.methods[s.method].algorithm == "imported"
    ]
    assert {s.method for s in chosen} == {"dc", "dsa", "dm", "tm"}
    names = storage.read_metadata(published.find("cifar10/dsa/ipc1"))["classes"]
    pixels = torch.randint(0, 256, (20, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    split = pixels.to(torch.uint8), torch.arange(20) % 10
    constants = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2023, 0.1994, 0.201)}
    real = Dataset("cifar10", tuple(names), *split, *split, **constants)
    for set_id in chosen:
        options = jobs.condense(config, set_id)["options"]
        got = imported.condense(Problem(real, ipc=int(set_id.ipc), seed=0), **options)
        stored = condensation.load_set(f"cifar10/{set_id.method}/ipc{set_id.ipc}")
        assert torch.equal(got.images, stored.images)
        assert torch.equal(got.labels, stored.labels)
