"""A condensed set evaluated from the command line: the numbers are those of the rule."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from condensation.commands import evaluate
from condensation.config.loading import parse
from condensation.core.errors import InputError
from condensation.data import datasets, readers, sets
from condensation.data.sets import Condensed
from condensation.methods.contract import Problem
from condensation.training import evaluation
from condensation.workflow.jobs import evaluate as job_of


@pytest.fixture
def chosen():
    entry = parse(
        {
            "datasets": {"d": {"source": "digits"}},
            "methods": {"r": {"algorithm": "random"}},
            "evaluation": {"epochs": 3},
            "experiments": {"e": {"datasets": ["d"], "methods": ["r"], "ipc": [1]}},
        }
    )
    dataset = readers.read("d", entry.datasets["d"].model_dump(), [])
    problem = Problem(dataset, ipc=2, seed=0)
    indices = problem.draw_real(2, problem.generator("test")).flatten()
    return entry, dataset, Condensed(problem.real(indices), problem.labels, indices)


def printed(capsys, *arguments):
    evaluate.main([*map(str, arguments), "--epochs", "3", "--seeds", "2"])
    return capsys.readouterr().out


def test_the_table_holds_what_the_rule_would_record(tmp_path, chosen, capsys):
    config, dataset, condensed = chosen
    sets.write(condensed, dataset, tmp_path / "set.safetensors", method="r")
    datasets.write(dataset, tmp_path / "dataset.safetensors")
    torch.save({"images": condensed.images, "labels": condensed.labels}, tmp_path / "set.pt")
    for file, source in (
        ("set.safetensors", tmp_path / "dataset.safetensors"),
        ("set.pt", "digits"),
    ):
        ways = ("--architectures", "mlp", "--augmentations", "none", "dsa")
        text = printed(capsys, tmp_path / file, "--dataset", source, *ways)
        assert "2 images per class, 10 classes, hard labels" in text
        for augmentation in ("none", "dsa"):
            rows, _ = evaluation.evaluate(
                *(condensed, dataset, [0, 1]),
                **job_of(config, "mlp", augmentation, "sgd")["options"],
                device=torch.device("cpu"),
            )
            mean = sum(row["accuracy"] for row in rows) / 2
            match = re.search(rf"mlp +{augmentation} +sgd +([\d.]+) ± [\d.]+  \(2 net", text)
            assert float(match[1]) == pytest.approx(mean, abs=0.005)


def test_one_set_in_five_forms_reaches_one_accuracy(tmp_path, chosen, capsys):
    """Standardised, on [0, 1], on [-1, 1], from 0 to 255, and as pictures."""
    _, dataset, condensed = chosen
    pixels = dataset.train_images[condensed.indices]
    unit = pixels.double() / 255
    numbers = condensed.labels
    torch.save((condensed.images, numbers), tmp_path / "standardized.pt")
    np.savez(tmp_path / "unit.npz", unit[:, 0].numpy().astype(">f4"), numbers.numpy())
    one_hot = np.eye(10, dtype=bool)[numbers]
    torch.save({"image_syn": (2 * unit - 1).numpy(), "label_syn": one_hot}, tmp_path / "signed.pt")
    np.savez(tmp_path / "turned.npz", x=pixels.numpy(), y=9 - numbers.numpy())
    for number, image in enumerate(pixels):
        file = tmp_path / "pictures" / str(int(numbers[number])) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(file)
    ways = {
        "standardized.pt": (),
        "unit.npz": ("--scale", "unit"),
        "signed.pt": ("--mean", "0.5", "--std", "0.5"),
        "turned.npz": ("--scale", "uint8", "--classes", *"9876543210"),
        "pictures": (),
    }
    cell = ("--dataset", "digits", "--architectures", "mlp", "--augmentations", "none")
    tables = {
        name: printed(capsys, tmp_path / name, *cell, *options) for name, options in ways.items()
    }
    assert len(set(tables.values())) == 1, tables


@pytest.mark.parametrize(("kind", "words"), [("soft", "soft labels;"), ("hard", "hard labels;")])
def test_the_output_names_the_kind_of_labels_that_are_trained_on(
    tmp_path, chosen, capsys, kind, words
):
    condensed = chosen[2]
    rows = 0.3 / 10 + 0.7 * torch.nn.functional.one_hot(condensed.labels, 10)
    torch.save((condensed.images, rows), tmp_path / "set.pt")
    options = ("--dataset", "digits", "--architectures", "mlp", "--label-kind", kind)
    assert f"10 classes, {words} test accuracy" in printed(capsys, tmp_path / "set.pt", *options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--dataset", "digits", "--architectures", "convent"], "unknown architecture.*'convnet'"),
        (["--dataset", "digits", "--architectures", "mlp", "resnet18"], "resnet18: resnet: "),
        (["--dataset", "digits", "--augmentations", "dsaa"], "unknown augmentation.*'dsa'"),
        (["--dataset", "nowhere"], "nowhere: no such file or folder"),
        (["--dataset", "digits", "--scale", "bytes"], "scale: .*got 'bytes'"),
        (["--dataset", "digits", "--label-kind", "both"], "labels: .*got 'both'"),
        (["--dataset", "digits", "--run", "1"], "no run 1; it holds 1"),
    ],
)
def test_each_mistake_has_its_message_before_training(
    tmp_path, chosen, monkeypatch, options, expected
):
    def refuse(*_, **__):
        raise AssertionError("a network was trained")

    monkeypatch.setattr(evaluate.api, "evaluate", refuse)
    torch.save({"images": chosen[2].images}, tmp_path / "set.pt")
    with pytest.raises(InputError, match=expected):
        evaluate.main([str(tmp_path / "set.pt"), *options])


def test_a_set_that_does_not_divide_into_the_classes_is_refused(tmp_path, chosen):
    torch.save({"images": chosen[2].images[:19]}, tmp_path / "set.pt")
    with pytest.raises(InputError, match="19 images do not divide into 10 classes"):
        evaluate.main([str(tmp_path / "set.pt"), "--dataset", "digits"])
