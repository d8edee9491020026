"""The report of what was read, against counts by plain loops."""

import dataclasses
import json
from collections import Counter

import pytest
import torch
from conftest import small_dataset

from condensation.core import tensor_headers
from condensation.data import datasets, reading_report
from condensation.workflow import provenance


@pytest.fixture
def tiny_dataset():
    """Three classes of few, tiny images, so that many are equal and many are of one colour."""
    generator = torch.Generator().manual_seed(0)

    def images(count):
        return torch.randint(0, 2, (count, 2, 1, 2), generator=generator, dtype=torch.uint8)

    labels = torch.arange(30) % 3
    return dataclasses.replace(
        *(small_dataset(),),
        train_images=images(30),
        train_labels=labels,
        test_images=images(12),
        test_labels=labels[:12].clone(),
        mean=(0.5, 0.5),
        std=(0.5, 0.5),
        files={
            "train": tuple(f"train/{n}" for n in range(30)),
            "test": tuple(f"test/{n}" for n in range(12)),
        },
    )


def test_constants_and_copies_are_counted_as_by_a_plain_loop(tiny_dataset):
    report = reading_report.make(tiny_dataset, Counter(), Counter())
    expected = {
        (split, name): {"read": 0, "constant": 0, "copies": 0}
        for split in ("train", "test")
        for name in tiny_dataset.classes
    }
    pairs, elsewhere, plain = [], 0, []
    train = list(zip(tiny_dataset.train_images, tiny_dataset.train_labels.tolist(), strict=True))
    test = list(zip(tiny_dataset.test_images, tiny_dataset.test_labels.tolist(), strict=True))
    for split, items in (("train", train), ("test", test)):
        for place, (image, label) in enumerate(items):
            row = expected[split, tiny_dataset.classes[label]]
            row["read"] += 1
            if all(len(set(channel.flatten().tolist())) == 1 for channel in image):
                row["constant"] += 1
                plain.append(f"{split}/{place}")
            before = train[:place] if split == "train" else train
            for number, (other, its_label) in enumerate(before):
                if torch.equal(image, other):
                    row["copies"] += 1
                    pairs.append([f"{split}/{place}", f"train/{number}"])
                    elsewhere += its_label != label
                    break
    assert len(report["classes"]) == 6
    for row in report["classes"]:
        assert {key: row[key] for key in ("read", "constant", "copies")} == expected[
            row["split"], row["class"]
        ]
    assert len(pairs) > 20 and plain and elsewhere
    assert report["copies_of_other_classes"] == elsewhere
    assert report["examples"] == {"constant": plain[:10], "copies": pairs[:10]}
    json.dumps(report)


def test_skipped_and_converted_files_are_counted_by_class_or_in_total(tiny_dataset):
    skipped = Counter({("train", "class 1", "hidden"): 3, (None, None, "hidden"): 2})
    skipped["train", "no class", "hidden"] = 4  # of a folder that is skipped as a whole
    converted = Counter({("test", "class 2", "resized"): 5})
    report = reading_report.make(tiny_dataset, skipped, converted)
    rows = {(row["split"], row["class"]): row for row in report["classes"]}
    assert rows["train", "class 1"]["skipped"] == {"hidden": 3}
    assert rows["test", "class 2"]["converted"] == {"resized": 5}
    assert sum(len(row["skipped"]) + len(row["converted"]) for row in rows.values()) == 2
    assert report["skipped"] == {"hidden": 6}
    text = "\n".join(reading_report.lines(report))
    assert "train/class 1: 10 images" in text and "test/class 2: 4 images" in text
    assert "skipped, hidden: 3" in text and "resized: 5" in text
    assert "skipped 9: hidden" in reading_report.summary("mine", report)


def test_there_is_a_summary_only_where_images_were_skipped_or_shared(tiny_dataset):
    distinct = torch.arange(42 * 4).view(42, 2, 1, 2).to(torch.uint8)
    clean = dataclasses.replace(tiny_dataset, train_images=distinct[:30], test_images=distinct[30:])
    converted = Counter({("test", "class 2", "resized"): 5})
    quiet = reading_report.make(clean, Counter(), converted)
    assert reading_report.summary("mine", quiet) is None
    leak = dataclasses.replace(clean, test_images=distinct[18:30])  # of the same classes
    summary = reading_report.summary("mine", reading_report.make(leak, Counter(), Counter()))
    assert summary == "mine: 12 test images are also among the training images (a leak)"


def test_the_report_is_in_the_file_and_in_the_provenance(tiny_dataset, tmp_path):
    report = reading_report.make(tiny_dataset, Counter(), Counter())
    whole = dataclasses.replace(
        tiny_dataset, report=report, source={"reader": "x", "checksums": []}
    )
    datasets.write(whole, tmp_path / "d.safetensors")
    again = datasets.load(tmp_path / "d.safetensors")
    assert again.report == report and again.files == tiny_dataset.files
    written = provenance.images_read([tensor_headers.metadata(tmp_path / "d.safetensors")])
    assert written == {"small": {"source": whole.source, **report}}
