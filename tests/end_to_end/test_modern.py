"""What is younger than the paper, through the whole workflow: selections, labels, corruptions."""

import json
import re
from itertools import product

import pandas as pd
import pytest
import torch
from conftest import ROOT, build_once, copy_run, copy_workflow, snakemake

from condensation.config import loading
from condensation.core import storage
from condensation.data import corruptions, datasets, sets
from condensation.networks import stored
from condensation.results import frames
from condensation.training import evaluation
from condensation.workflow import grid

CONFIG = "config/test/modern.yaml"
RESULTS = "results/test_modern"
LABELS = ("own", "hard", "distilled", "distilled_views")


def modern_run(folder):
    copy_workflow(folder)
    done = snakemake(folder, "--cores", "2", "--configfile", CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The results of the config."""
    return build_once(tmp_path_factory, "modern_run", modern_run) / RESULTS


@pytest.mark.slow
def test_each_cell_has_its_records(folder):
    cells = grid.expand(loading.load(ROOT / CONFIG))
    for path in cells.records():
        record = storage.read_json(folder / path)
        assert record["status"] == "ok" and len(record["rows"]) == 2
    table = pd.read_csv(folder / "tables/accuracy.csv")
    rows = table[["experiment", "method", "augmentation", "labels"]].values.tolist()
    expected = product(("random", "rded", "kip"), ("none", "dsa"), LABELS)
    assert [row[1:] for row in rows if row[0] == "labels"] == [list(row) for row in expected]


@pytest.mark.slow
def test_records_name_the_teacher_that_labelled_for_them(folder):
    dataset = datasets.load(folder / "digits/dataset.safetensors")
    path = folder / "digits/features/scoring/standardize_network.safetensors"
    network, _ = stored.load(path, dataset, torch.device("cpu"))
    with torch.no_grad():
        predicted = network(dataset.standardize(dataset.test_images)).argmax(1)
    accuracy = float((predicted == dataset.test_labels).float().mean() * 100)
    way = folder / "digits/random/ipc2/set0/evaluation/small/dsa/sgd"
    for labels in LABELS:
        file = "seeds0-1.json" if labels == "own" else f"labels_{labels}/seeds0-1.json"
        record = json.loads((way / file).read_text())
        assert record["cell"].get("labels", "own") == labels
        if labels.startswith("distilled"):
            assert record["teacher"]["test_accuracy"] == pytest.approx(accuracy)
            assert record["teacher"]["checksum"] == storage.read_metadata(path)["checksum"]
            assert record["options"]["teacher"]["temperature"] == 2
        else:
            assert "teacher" not in record


@pytest.mark.slow
def test_hard_labels_of_hard_sets_change_nothing(folder):
    runs = pd.read_csv(folder / "tables/runs.csv")
    runs = runs[(runs["method"] == "random") & (runs["augmentation"] == "dsa")]
    by_labels = {name: part["accuracy"].tolist() for name, part in runs.groupby("labels")}
    assert by_labels["own"] == by_labels["hard"] != by_labels["distilled"]


@pytest.mark.slow
def test_scores_select_what_they_say(folder):
    scores = storage.read_tensors(folder / "digits/features/scoring/seed0.safetensors")[0]
    dataset = datasets.load(folder / "digits/dataset.safetensors")
    for method, score, hardest in (("el2n", "el2n", True), ("forgetting", "forgetting", False)):
        condensed, _ = sets.load(
            folder / f"digits/{method}/ipc2/set0/condensed.safetensors", dataset
        )
        for label in range(10):
            of_class = scores[score][dataset.train_labels == label].sort(descending=hardest).values
            selected = scores[score][condensed.indices[condensed.labels == label]]
            assert selected.sort(descending=hardest).values.tolist() == of_class[:2].tolist()


@pytest.mark.slow
def test_tables_show_the_gain_over_random_and_the_scores(folder):
    gains = pd.read_csv(folder / "tables/gains.csv")
    table = pd.read_csv(folder / "tables/accuracy.csv")
    table = table[table["experiment"] == "selection"].set_index("method")["mean"]
    of_own_labels = gains[(gains["labels"] == "own") & (gains["augmentation"] == "dsa")]
    for row in of_own_labels.to_dict("records"):
        if row["method"] in table.index:
            expected = table[row["method"]] - table["random"]
            assert row["gain"] == pytest.approx(expected, abs=1e-3)
            share = expected / (table["whole"] - table["random"])
            assert row["share"] == pytest.approx(share, abs=1e-4)
    scores = pd.read_csv(folder / "tables/scores.csv")
    both = scores.dropna(subset=["label_robust", "augmentation_robust"])
    assert set(both["method"]) == {"rded", "kip"} and set(both["augmentation"]) == {"dsa"}
    assert both[["label_robust", "augmentation_robust"]].stack().between(0, 1).all()
    text = (folder / "tables/statistics.md").read_text()
    assert "## Gain over Random" in text and "label-robust (%)" in text
    page = (folder / "leaderboard/index.html").read_text()
    assert "distilled_views" in page and ">Gain</th>" in page


@pytest.mark.slow
def test_a_snapshot_has_the_labels_of_its_iteration(folder):
    dataset = datasets.load(folder / "digits/dataset.safetensors")
    place = folder / "digits/datm/ipc2/set0"
    last, metadata = sets.load(place / "condensed.safetensors", dataset)
    early, _ = sets.load(place / "snapshots/iteration1/condensed.safetensors", dataset)
    assert metadata["labels"] == "soft" and metadata["skipped_iterations"] == 0
    assert last.labels.shape == early.labels.shape == (20, 10)
    assert not torch.equal(last.labels, early.labels)
    kept = storage.read_tensors(place / "snapshots.safetensors")[0]
    assert set(kept) == {"1", "1-labels"}
    assert sorted(early.labels.max(1).values.tolist()) == sorted(
        kept["1-labels"].max(1).values.tolist()
    )


@pytest.mark.slow
def test_the_table_of_transfer_holds_what_the_accuracies_do(folder):
    (row,) = pd.read_csv(folder / "tables/transfer.csv").to_dict("records")
    table = pd.read_csv(folder / "tables/accuracy.csv")
    table = table[(table["experiment"] == "curve") & (table["iteration"] == "end")]
    means = table.set_index("architecture")["mean"]
    assert (row["method"], row["reference"], row["architectures"]) == ("datm", "small", "mlp")
    assert row["accuracy"] == pytest.approx(means["small"], abs=1e-3)
    assert row["drop"] == pytest.approx(means["small"] - means["mlp"], abs=1e-3)
    text = (folder / "tables/statistics.md").read_text()
    assert "mean accuracy on the other architectures, mlp." in text
    assert re.search(r"\| method +\| +on small +\| +transfer +\| +drop +\|", text)


@pytest.mark.slow
def test_the_table_of_corruptions_holds_what_the_records_do(folder):
    table = pd.read_csv(folder / "tables/robustness.csv")
    cells = pd.read_csv(folder / "tables/accuracy.csv").drop_duplicates(frames.CELL)
    assert len(table) == len(cells) * (len(corruptions.NAMES) + 1)
    record = storage.read_json(
        folder / "digits/rded/ipc2/set0/evaluation/small/dsa/sgd/labels_distilled/seeds0-1.json"
    )
    table = table[(table["method"] == "rded") & (table["augmentation"] == "dsa")]
    table = table[table["labels"] == "distilled"].set_index("corruption")
    clean = sum(row["accuracy"] for row in record["rows"]) / 2
    for name in corruptions.NAMES:
        values = [value for row in record["rows"] for value in row["corruptions"][name]]
        assert len(values) == 10
        assert table.loc[name, "mean"] == pytest.approx(sum(values) / 10, abs=1e-3)
        assert table.loc[name, "drop"] == pytest.approx(clean - sum(values) / 10, abs=1e-3)
    assert table.loc["mean", "mean"] == pytest.approx(table["mean"].iloc[:-1].mean(), abs=1e-3)


@pytest.mark.slow
def test_another_teacher_reruns_what_it_labels_and_nothing_else(folder, tmp_path):
    run = copy_run(folder.parents[1], tmp_path / "run")
    text = (run / CONFIG).read_text()
    (run / CONFIG).write_text(text.replace("temperature: 2", "temperature: 3"))
    done = snakemake(run, "-n", "--cores", "1", "evaluations", "--configfile", CONFIG)
    jobs = [line for line in done.stdout.splitlines() if "Evaluating" in line]
    # three methods, two augmentations, two kinds of distilled labels
    assert len(jobs) == 12 and all("/labels_distilled" in line for line in jobs)
    assert "Condensing" not in done.stdout and "Training" not in done.stdout


@pytest.mark.slow
def test_networks_are_trained_on_all_images_that_an_image_holds(folder):
    """The record, against a plain evaluation of the decoded images."""
    dataset = datasets.load(folder / "digits/dataset.safetensors")
    place = folder / "digits/dm_factor2/ipc2/set0"
    condensed, metadata = sets.load(place / "condensed.safetensors", dataset)
    assert condensed.images.shape == (20, 1, 8, 8) and metadata["factor"] == 2
    record = storage.read_json(place / "evaluation/small/dsa/sgd/seeds0-1.json")
    parts = condensed.images.view(20, 1, 2, 4, 2, 4).permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
    images = torch.nn.functional.interpolate(parts, size=(8, 8), mode="bilinear")
    shown = sets.Condensed(images, torch.arange(10).repeat_interleave(8))
    options = record["options"]
    rows, _ = evaluation.evaluate(
        *(shown, dataset, [0, 1]),
        **{name: options[name] for name in ("architecture", "augmentation", "optimizer")},
        protocol=options["protocol"],
        device=torch.device("cpu"),
    )
    assert [row["accuracy"] for row in rows] == [row["accuracy"] for row in record["rows"]]
