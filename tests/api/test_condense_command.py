"""The command `condensation condense`, from a folder or a name to a file and accuracies."""

import csv
import json
import logging

import pytest
import torch
from PIL import Image

from condensation import api, cli
from condensation.commands import condense, evaluate
from condensation.core.errors import InputError

SMALL = "architecture={network: convnet, width: 4, depth: 1}"


@pytest.fixture(autouse=True)
def quiet():
    """Restore the loggers that the commands turn up."""
    yield
    for name in ("condensation", "condensation.api"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_line_makes_a_set_and_evaluates_it(tmp_path, capsys, caplog):
    arguments = ["digits", "--ipc", "1", "--to", tmp_path / "out", "--seed", "2"]
    arguments += ["--option", "iterations=2", "lr=1e-1", SMALL, "batch_real=8"]
    arguments += ["--evaluate", "--networks", "1", "--epochs", "1"]
    assert cli.main(["condense", *map(str, arguments)]) == 0
    file = tmp_path / "out/condensed.safetensors"
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{file}: 1 image per class, 10 classes, hard labels"
    assert second.startswith("test accuracy in percent (convnet, dsa, 1 epochs): ")
    options = {"iterations": 2, "lr": 0.1, "batch_real": 8}
    small = {"network": "convnet", "width": 4, "depth": 1}
    expected = api.condense("digits", "dm", 1, 2, architecture=small, **options)
    assert torch.equal(api.load_set(file).images, expected.images)
    assert "dm on digits, 1 image per class: about" in caplog.text
    assert "convnet dsa sgd, 1 networks: about" in caplog.text


def test_a_folder_of_pictures_becomes_a_set_that_the_other_command_evaluates(tmp_path, capsys):
    for split, label, shade in (
        (split, label, shade + 10 * number)
        for split in ("train", "test")
        for label, shade in (("dark", 20), ("light", 200))
        for number in range(3)
    ):
        folder = tmp_path / "pictures" / split / label
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 8), shade).save(folder / f"{shade}.png")
    size = ["--image-size", "8", "--channels", "1"]
    source = [str(tmp_path / "pictures"), *size]
    way = ["--method", "kcenter", "--option", "features=pixels", "--ipc", "2"]
    condense.main([*source, *way, "--to", str(tmp_path / "out")])
    capsys.readouterr()
    pixels = api.load_set(tmp_path / "out").pixels()
    with (tmp_path / "out/chosen.csv").open(newline="") as table:
        files = [row["file"] for row in csv.DictReader(table)]
    assert len(files) == len(pixels)
    for name, image in zip(files, pixels, strict=True):
        assert (image == Image.open(tmp_path / "pictures" / name).getpixel((0, 0))).all()
    for number, image in enumerate(pixels):
        file = tmp_path / "chosen" / ("dark", "light")[number // 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(file)
    tables = []
    for form in ("out", "chosen"):
        file = tmp_path / f"{form}.json"
        way = ["--architectures", "mlp", "--augmentations", "none", "--networks", "2"]
        way += ["--epochs", "3", "--json", str(file)]
        evaluate.main([str(tmp_path / form), "--dataset", *source, *way])
        tables.append(capsys.readouterr().out)
        (row,) = json.loads(file.read_text())["evaluations"]
        accuracies = [network["accuracy"] for network in row["networks"]]
        assert row["mean"] == sum(accuracies) / 2 and len(accuracies) == 2
    assert tables[0] == tables[1] and "2 images per class, 2 classes" in tables[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--option", "iterations"], "--option 'iterations': expected key=value"),
        (["--option", "lr=1", "lr=2"], "lr occurs twice"),
        (["--option", "lr=[1"], "the value is not YAML"),
        (["--option", "seed=3"], "no option of a method; use --seed"),
        (["--option", "iters=3"], "unknown option 'iters'"),
        (["--method", "tm", "--ipc", "11"], "no pub.*; set --option steps=… .* lr=… .*ize=…$"),
        (["--method", "kcentre"], "unknown algorithm 'kcentre'.*did you mean 'kcenter'"),
    ],
)
def test_each_mistake_has_its_message(tmp_path, options, expected):
    with pytest.raises(InputError, match=expected):
        condense.main(["digits", "--to", str(tmp_path / "out"), *options])


@pytest.mark.parametrize("dataset", ["pictures", "digits"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--method", "typo"], "unknown algorithm 'typo'"),
        (["--option", "iteration=3"], "unknown option 'iteration'.*did you mean 'iterations'"),
        (["--ipc", "0"], "ipc: expected a whole number from 1, got 0"),
        (["--seed", "-1"], "seed: expected a whole number from 0, got -1"),
        (["--to", "taken"], "exists already; name another folder"),
        (["--to", "taken/condensed.safetensors"], "a file; name a folder for the set"),
    ],
)
def test_mistakes_are_found_before_images_are_read(
    tmp_path, monkeypatch, dataset, options, expected
):
    monkeypatch.chdir(tmp_path)
    for folder in ("pictures", "taken"):
        (tmp_path / folder).mkdir()
    (tmp_path / "taken/condensed.safetensors").write_text("")

    def read(*arguments, **options):
        raise AssertionError("the images were read")

    monkeypatch.setattr(api.readers, "read", read)
    with pytest.raises(InputError, match=expected):
        condense.main([dataset, "--to", "out", *options])
    names = {"--method": "method", "--ipc": "ipc", "--seed": "seed", "--to": "to"}
    if options[0] in names:
        value = int(options[1]) if options[0] in ("--ipc", "--seed") else options[1]
        with pytest.raises(InputError, match=expected):
            api.condense(dataset, **{names[options[0]]: value})


@pytest.mark.parametrize("option", ["--networks", "--epochs"])
def test_training_nothing_is_refused_before_a_set_is_made(tmp_path, capsys, option):
    arguments = ["digits", "--method", "random", "--evaluate", option, "0"]
    with pytest.raises(SystemExit):
        condense.main([*arguments, "--to", str(tmp_path / "out")])
    assert option in (text := capsys.readouterr().err) and "from 1, got '0'" in text
    assert not (tmp_path / "out").exists()


def test_a_diverged_method_ends_in_one_line(tmp_path, capsys):
    arguments = ["digits", "--ipc", "1", "--to", str(tmp_path / "out"), "--option"]
    arguments += ["iterations=9", "lr=1e38", SMALL, "batch_real=8"]
    assert cli.main(["condense", *arguments]) == 1
    assert "No set was written" in capsys.readouterr().err


def test_a_whitened_set_is_exported_from_where_the_command_left_it(tmp_path, capsys):
    out = tmp_path / "out"
    way = ["--method", "kip", "--ipc", "1", "--option", "iterations=1", "batch_real=20"]
    assert cli.main(["condense", "digits", *way, "--to", str(out)]) == 0
    into = str(tmp_path / "pictures")
    assert (
        cli.main(["export", str(out / "condensed.safetensors"), "--to", "folder", "--into", into])
        == 0
    )
    assert len(list((tmp_path / "pictures").glob("*/*.png"))) == 10


def test_a_path_that_cannot_be_written_is_one_line_before_any_training(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert (
        cli.main(["condense", "digits", "--method", "random", "--to", str(tmp_path / "file")]) == 1
    )
    table = ["evaluate", "no_such_set.pt", "--dataset", "digits", "--json"]
    assert cli.main([*table, str(tmp_path / "file/x.json")]) == 1
    assert cli.main([*table, str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith("error: ") for line in lines), lines
