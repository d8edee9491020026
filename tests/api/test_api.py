"""The Python API: its results are those of the job functions, and bad input has its message."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, small_dataset
from PIL import Image

from condensation import api
from condensation.config.loading import parse
from condensation.core import storage, textfiles
from condensation.core.errors import InputError
from condensation.data import datasets, published, sets, whitening
from condensation.methods import dm, experts
from condensation.methods.contract import Problem
from condensation.training import evaluation
from condensation.workflow import jobs

SMALL = {"network": "convnet", "width": 4, "depth": 1}
DM = {"iterations": 2, "batch_real": 8, "architecture": SMALL}
TM = {"iterations": 1, "experts": 2, "steps": 1, "expert_epochs": 1, "max_start": 1}
TM |= {"lr": 1.0, "lr_step": 1e-5, "step_size": 0.02, "trajectories": {"architecture": SMALL}}


@pytest.fixture
def pictures(tmp_path):
    """A folder with 10 pictures of 8x8 pixels in each of two classes, under `train` alone."""
    for label in ("cat", "dog"):
        folder = tmp_path / "pictures" / "train" / label
        folder.mkdir(parents=True)
        for number in range(10):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def program(text):
    prefix = f"import sys; sys.path.insert(0, {str(ROOT / 'workflow_scripts')!r}); "
    run = subprocess.run([sys.executable, "-c", prefix + text], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_importing_the_package_loads_no_torch_and_knows_the_functions():
    names = ["condense", "evaluate", "load_dataset", "load_set"]
    heavy = "[name for name in ('torch', 'numpy', 'pandas', 'yaml') if name in sys.modules]"
    shown = program(
        f"import condensation; print({heavy}, [n for n in {names} if n in dir(condensation)])"
    )
    assert shown == f"[] {names}"


def test_the_package_hands_out_the_functions_of_the_api():
    import condensation

    assert condensation.condense is api.condense and condensation.load_set is api.load_set
    with pytest.raises(AttributeError, match="no attribute 'condence'"):
        condensation.condence  # noqa: B018


def test_a_set_equals_that_of_the_method_called_with_the_options_of_the_job(dataset):
    condensed = api.condense(dataset, method="dm", ipc=2, seed=3, **DM)
    config = parse(
        {
            "datasets": {"d": {"source": "image_folder", "path": "x"}},
            "methods": {"m": {"algorithm": "dm", **DM, "architecture": "small"}},
            "architectures": {"small": SMALL},
            "experiments": {"e": {"datasets": ["d"], "methods": ["m"], "ipc": [2]}},
        }
    )
    options = jobs.condense(config, jobs.SetId("d", "m", "2", 3))["options"]
    expected = dm.condense(Problem(dataset, ipc=2, seed=3, compile="auto"), **options)
    assert torch.equal(condensed.images, expected.images.detach())
    assert condensed.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert condensed.metadata["options"] == options


def test_accuracies_equal_those_of_the_protocol(dataset):
    condensed = api.condense(dataset, "random", ipc=2)
    result = api.evaluate(*(condensed, dataset), SMALL, "none", networks=2, epochs=2, batch_size=4)
    rows, _ = evaluation.evaluate(
        *(sets.Condensed(None, condensed.labels, condensed.indices), dataset, [0, 1]),
        **result.options,
        device=torch.device("cpu"),
    )
    expected = [row["accuracy"] for row in rows]
    assert result.accuracies == expected and result.options["protocol"]["batch_size"] == 4
    assert result.mean == pytest.approx(np.mean(expected))
    assert result.std == pytest.approx(np.std(expected))
    assert result.frame()["accuracy"].tolist() == expected
    pair = api.evaluate(
        (condensed.images, condensed.labels),
        dataset,
        SMALL,
        "none",
        networks=1,
        epochs=2,
        batch_size=4,
    )
    assert pair.accuracies == expected[:1]


def test_a_set_is_saved_with_the_bytes_of_its_file_and_loaded_again(dataset, tmp_path):
    for method in ("random", "whole"):
        condensed = api.condense(dataset, method, ipc=2, to=tmp_path / method)
        file = tmp_path / method / "condensed.safetensors"
        names = ["chosen.csv", file.name, "cost.json"]
        assert sorted(path.name for path in file.parent.iterdir()) == names
        condensed.save(tmp_path / "copy.safetensors")
        assert (tmp_path / "copy.safetensors").read_bytes() == file.read_bytes()
        loaded = api.load_set(tmp_path / method, dataset)
        images, labels = loaded.tensor_dataset().tensors
        assert torch.equal(images, dataset.standardize(dataset.train_images[loaded.indices]))
        assert torch.equal(labels, dataset.train_labels[loaded.indices])
        assert torch.equal(loaded.pixels(), dataset.train_images[loaded.indices])
    with pytest.raises(InputError, match="positions of real images alone; name its `dataset`"):
        api.load_set(tmp_path / "whole")


def test_a_whitened_set_is_evaluated_with_its_whitening(dataset, tmp_path):
    condensed = api.condense(dataset, "kip", ipc=1, iterations=1, batch_real=30, to=tmp_path)
    fitted = whitening.fit(dataset.train_images, "zca_kip", dataset.mean, dataset.std)
    assert condensed.metadata["preprocessing"] == fitted.preprocessing()
    assert condensed.pixels().shape == (3, 3, 8, 8)
    result = api.evaluate(tmp_path, dataset, "mlp", "none", networks=1, epochs=1)
    rows, _ = evaluation.evaluate(
        *(condensed._condensed(), replace(dataset, whitening=fitted), [0]),
        **result.options,
        device=torch.device("cpu"),
    )
    assert result.accuracies == [rows[0]["accuracy"]]
    with pytest.raises(InputError, match="no pixels without their whitening"):
        api.load_set(tmp_path).pixels()
    other = replace(dataset, train_images=dataset.train_images.flip(3))
    with pytest.raises(InputError, match="its images were made with"):
        api.evaluate(tmp_path, other, "mlp", "none", networks=1, epochs=1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError, InputError, OSError])
def test_a_call_after_another_ended_uses_its_experts(dataset, tmp_path, monkeypatch, error):
    trained = []
    train = experts.make
    monkeypatch.setattr(
        api.experts,
        "make",
        lambda names, *rest, **how: (trained.append(names["expert"]), train(names, *rest, **how)),
    )

    def interrupted(*arguments, **options):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(api.condensing, "condense", interrupted)
        with pytest.raises(error):
            api.condense(dataset, "tm", ipc=1, to=tmp_path, **TM)
    continued = api.condense(dataset, "tm", ipc=1, to=tmp_path, **TM)
    assert trained == ["0", "1"] and not list(tmp_path.glob(".*"))
    at_once = api.condense(dataset, "tm", ipc=1, **TM)
    assert torch.equal(continued.images, at_once.images)
    assert continued.metadata == at_once.metadata


@pytest.mark.parametrize(("method", "options"), [("random", {}), ("dm", DM)])
@pytest.mark.parametrize("file", ["condensed.safetensors", "cost.json", "chosen.csv"])
def test_a_set_is_there_with_its_tables_or_not_at_all(
    dataset, tmp_path, monkeypatch, file, method, options
):
    atomic, missing = textfiles.atomic, [file]

    def full(path):
        if Path(path).name in missing:
            raise OSError(28, "No space left on device", str(path))
        return atomic(path)

    for module in (storage, textfiles):
        monkeypatch.setattr(module, "atomic", full)
    if (method, file) != ("dm", "chosen.csv"):
        with pytest.raises(OSError, match="No space left"):
            api.condense(dataset, method, ipc=1, to=tmp_path, **options)
        assert not (tmp_path / "condensed.safetensors").exists()
    missing.clear()
    api.condense(dataset, method, ipc=1, to=tmp_path, **options)
    expected = ["condensed.safetensors", "cost.json"]
    expected += ["chosen.csv"] if method == "random" else []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(expected)


def test_two_calls_do_not_write_into_one_folder(dataset, tmp_path, monkeypatch):
    make, refused = api.condensing.condense, []

    def meanwhile(*arguments, **options):
        with pytest.raises(InputError, match="another call of condense is writing here") as error:
            api.condense(dataset, "random", ipc=1, to=tmp_path)
        refused.append(error)
        return make(*arguments, **options)

    monkeypatch.setattr(api.condensing, "condense", meanwhile)
    api.condense(dataset, "dm", ipc=1, to=tmp_path, **DM)
    assert refused and api.load_set(tmp_path).metadata["method"] == "dm"
    (tmp_path / "condensed.safetensors").unlink()
    monkeypatch.undo()
    api.condense(dataset, "random", ipc=1, to=tmp_path)  # the lock ends with its call


def test_a_checkpoint_stays_after_an_error(dataset, tmp_path, monkeypatch, caplog):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    compute = {"checkpoint_seconds": 1e-9}
    with monkeypatch.context() as patched:
        patched.setattr(api.condensing.storage, "write_json", full)
        with pytest.raises(OSError, match="No space left"):
            api.condense(dataset, "dm", ipc=1, to=tmp_path, compute=compute, **DM)
    assert "what is done stays in" in caplog.text
    caplog.set_level("INFO", logger="condensation")
    continued = api.condense(dataset, "dm", ipc=1, to=tmp_path, compute=compute, **DM)
    assert "continuing at step" in caplog.text
    assert torch.equal(continued.images, api.condense(dataset, "dm", ipc=1, **DM).images)


def test_experts_of_another_precision_are_trained_again(dataset, tmp_path, monkeypatch):
    def failed(*arguments, **options):
        raise FloatingPointError

    with monkeypatch.context() as patched:
        patched.setattr(api.condensing, "condense", failed)
        with pytest.raises(FloatingPointError):
            api.condense(dataset, "tm", ipc=1, to=tmp_path, compute={"precision": "bf16"}, **TM)
    after = api.condense(dataset, "tm", ipc=1, to=tmp_path, **TM)
    assert after.metadata == api.condense(dataset, "tm", ipc=1, **TM).metadata


def test_no_list_of_files_of_an_earlier_set_stays(dataset, tmp_path):
    api.condense(dataset, "random", ipc=1, to=tmp_path)
    (tmp_path / "condensed.safetensors").unlink()
    api.condense(dataset, "dm", ipc=1, to=tmp_path, **DM)
    names = ["condensed.safetensors", "cost.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_diverged_method_raises_and_leaves_no_set(dataset, tmp_path):
    with pytest.raises(FloatingPointError, match="dm on small, 1 image per class: failed at"):
        api.condense(dataset, "dm", ipc=1, to=tmp_path, **DM | {"iterations": 9, "lr": 1e38})
    assert not (tmp_path / "condensed.safetensors").exists()


def test_like_selects_the_published_values(dataset):
    dataset = replace(small_dataset(classes=2, per_class=100), source={"reader": "image_folder"})
    plain, like = (
        api.condense(dataset, "dm", ipc=100, like=like, **DM | {"iterations": 0})
        for like in (None, "cifar10")
    )
    assert (plain.metadata["options"]["lr"], like.metadata["options"]["lr"]) == (1.0, 10.0)


def test_a_folder_and_a_prepared_file_give_one_dataset(pictures, tmp_path):
    dataset = api.load_dataset(pictures, test_fraction=0.2, image_size=4)
    assert (dataset.name, dataset.classes, dataset.shape) == ("pictures", ("cat", "dog"), (3, 4, 4))
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (16, 4)
    datasets.write(dataset, tmp_path / "dataset.safetensors")
    again = api.load_dataset(tmp_path / "dataset.safetensors")
    assert torch.equal(again.train_images, dataset.train_images) and again.name == "pictures"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: api.load_dataset("cifar-10"), "cifar-10: no such file.*did you mean 'cifar10'"),
        (lambda: api.load_dataset("cifar10"), "cifar10: give `path`.*cifar-10-python.tar.gz"),
        (lambda: api.load_dataset("digits", image_size=8), "`image_size` is for `image_folder`"),
        (lambda: api.load_dataset("digits", sise=8), "unknown option 'sise'"),
        (lambda: api.load_dataset("a.safetensors", flip=True), "takes no options, got flip"),
        (lambda: api.condense("digits", "dmm"), "unknown algorithm 'dmm'.*did you mean 'dm'"),
        (lambda: api.condense("digits", "dm", ipc=0), "ipc: expected a whole number from 1, got 0"),
        (lambda: api.condense("digits", "dm", ipc=2.0), "ipc: expected .* from 1, got 2.0"),
        (lambda: api.condense("digits", "dm", seed=True), "seed: expected .* from 0, got True"),
        (lambda: api.condense("digits", "dm", seed=-1), "seed: expected a whole number from 0"),
        (lambda: api.condense("digits", "dm", iters=3), "unknown option 'iters'"),
        (lambda: api.condense("digits", like="cifar10"), "`like` is for your own images"),
        (lambda: api.condense("digits", "random", ipc=1000), "more than the smallest class"),
        (lambda: api.load_set("nowhere.pt"), "nowhere.pt: no such file or folder"),
        (lambda: api.evaluate(3, "digits"), "expected a CondensedSet, a path or a pair.*got int"),
    ],
)
def test_each_mistake_has_its_message(call, expected):
    with pytest.raises(InputError, match=f"(?s){expected}"):
        call()


@pytest.mark.parametrize(
    ("function", "options", "expected"),
    [
        ("load_dataset", {"test_fraction": 20}, "test_fraction: Input should be less than 1"),
        ("load_dataset", {"sise": 8}, "unknown option 'sise'"),
        ("condense", {"ipc": 0}, "ipc: expected a whole number from 1, got 0"),
        ("condense", {"iters": 3}, "unknown option 'iters'"),
        ("condense", {"iterations": -1}, "iterations: Input should be"),
        ("condense", {"architecture": "foo"}, "architecture: unknown architecture 'foo'"),
        ("condense", {"architecture": {**SMALL, "width": 0}}, "architecture.width: Input should"),
        (
            "condense",
            {**TM, "method": "tm", "trajectories": {"architecture": {**SMALL, "width": 0}}},
            "architecture.width: Input should",
        ),
        ("condense", {"method": "tm", "ipc": 11}, "method 'tm' has no .*; set steps, expert"),
        ("evaluate", {"networks": 0}, "networks: Input should be greater than or equal to 1"),
        ("evaluate", {"batch_size": 0}, "batch_size: Input should be"),
        ("evaluate", {"epochz": 3}, "unknown option 'epochz'"),
        ("evaluate", {"augmentation": "foo"}, "augmentation: unknown augmentation 'foo'"),
        ("load_set", {"scale": "foo"}, "scale: Input should be"),
    ],
)
def test_errors_name_arguments_and_no_keys_of_a_config(
    pictures, tmp_path, function, options, expected
):
    digits = api.load_dataset("digits")
    np.save(tmp_path / "set.npy", np.zeros((10, 1, 8, 8), np.float32))
    first = {
        "load_dataset": [pictures],
        "condense": [digits],
        "evaluate": [(digits.standardize(digits.train_images[:10]), torch.arange(10)), digits],
        "load_set": [tmp_path / "set.npy", digits],
    }
    with pytest.raises(InputError, match=f"^{function}: {expected}"):
        getattr(api, function)(*first[function], **options)


def test_options_of_a_dataset_belong_where_it_is_loaded(pictures, tmp_path):
    for option, call in (
        ("condense: `path`", lambda: api.condense("cifar10", "random", path=str(tmp_path))),
        ("condense: `test_fraction`", lambda: api.condense(pictures, test_fraction=0.2)),
        ("evaluate: `test_fraction`", lambda: api.evaluate("x", pictures, test_fraction=0.2)),
        ("load_set: `test_fraction`", lambda: api.load_set(tmp_path, pictures, test_fraction=0.2)),
    ):
        with pytest.raises(InputError, match=f"^{option} belongs to `load_dataset`; pass its res"):
            call()


def test_sets_that_cannot_be_used_are_refused(dataset, tmp_path):
    condensed = api.condense(dataset, "random", ipc=1, to=tmp_path / "set")
    with pytest.raises(InputError, match="exists already; name another folder"):
        api.condense(dataset, "random", ipc=1, to=tmp_path / "set")
    with pytest.raises(InputError, match=r"is not of digits, with 10 classes"):
        api.evaluate(condensed, "digits")
    torch.save(condensed.images, tmp_path / "set.pt")
    with pytest.raises(InputError, match="not a condensed set of this pipeline; name its"):
        api.load_set(tmp_path / "set.pt")
    failed = tmp_path / "failed.safetensors"
    sets.write_failure(dataset, failed, "diverged", "images are not finite", 7, method="dm")
    with pytest.raises(InputError, match="ended as diverged at iteration 7"):
        api.load_set(failed)
    assert storage.read_metadata(failed)["status"] == "diverged"


def test_a_set_is_not_tested_on_images_that_it_was_made_from(pictures, caplog):
    for seed, path in enumerate(sorted(pictures.rglob("*.png"))):  # no copies of each other
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    made, other = (
        api.load_dataset(pictures, like="cifar10", test_fraction=share) for share in (0.2, 0.5)
    )
    quick = {"architecture": "mlp", "augmentation": "none", "networks": 1, "epochs": 1}
    selected = api.condense(made, "random", ipc=8)
    relabelled = replace(selected, labels=selected.labels.flip(0))  # of the same images
    assert api.evaluate(relabelled, made, **quick)
    with pytest.raises(InputError, match="not among the training images of this pictures"):
        api.evaluate(selected, other, **quick)
    learned = api.condense(made, "dm", ipc=1, **DM)
    api.evaluate(learned, made, **quick)
    assert "training images" not in caplog.text
    api.evaluate(learned, other, **quick)
    assert "made from 16 training images, and this pictures has 10" in caplog.text


@pytest.mark.parametrize(("divisor", "form"), [(1, "0 to 255"), (255, r"\[0, 1\]")])
def test_a_pair_in_another_scale_is_refused(dataset, divisor, form):
    pixels = dataset.train_images[POSITIONS].float()
    with pytest.raises(InputError, match=rf"They look like images (on|of) {form}.*standardize\("):
        pair = pixels / divisor, dataset.train_labels[POSITIONS]
        api.evaluate(pair, dataset, "mlp", "none", networks=1, epochs=1)


def test_a_path_means_the_file_of_that_very_name(dataset, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("NAME", "another")
    images = dataset.standardize(dataset.train_images[POSITIONS])
    for folder in ("s{ipc}", "s{seed", "$NAME"):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "x{dataset}.npz", images=images)
        np.save(tmp_path / folder / "y{}.npy", LABELS.flip(0))
        labels = tmp_path / folder / "y{}.npy"
        loaded = api.load_set(tmp_path / folder / "x{dataset}.npz", dataset, labels_path=labels)
        assert torch.equal(loaded.images, images[[4, 5, 2, 3, 0, 1]])
    pictures.rename(tmp_path / "$NAME" / "pictures")
    monkeypatch.chdir(tmp_path)
    assert len(api.load_dataset("$NAME/pictures", test_fraction=0.2).train_labels) == 16


def test_a_copy_of_the_dataset_in_another_order_tests_a_set(dataset, tmp_path):
    order = torch.arange(len(dataset.train_labels)).flip(0)
    images, labels = dataset.train_images[order], dataset.train_labels[order]
    copy = replace(dataset, name="copy", train_images=images, train_labels=labels)
    quick = {"architecture": "mlp", "augmentation": "none", "networks": 1, "epochs": 1}
    selected = api.condense(dataset, "random", ipc=2)
    assert api.evaluate(selected, copy, **quick).accuracies
    api.condense(dataset, "whole", to=tmp_path)
    with pytest.raises(InputError, match="refers to images that copy does not have"):
        api.load_set(tmp_path, copy)


LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
POSITIONS = torch.arange(6)


@pytest.mark.parametrize(
    ("tensors", "facts", "expected"),
    [
        ({"labels": LABELS.repeat_interleave(2)}, {}, r"shape \(6, 3, 8, 8\); expected \(12, 3, 8"),
        ({"labels": LABELS[:3]}, {}, r"shape \(6, 3, 8, 8\); expected \(3, 3, 8, 8\)"),
        ({"labels": LABELS + 1}, {}, "labels from 1 to 3; the dataset has classes 0 to 2"),
        ({"labels": LABELS.int()}, {}, "labels are torch.int32"),
        ({"labels": LABELS[0]}, {}, "expected `labels`, with `images` or `indices`"),
        ({"labels": None}, {}, "holds images; expected `labels`, with `images` or `indices`"),
        ({"images": torch.full((6, 3, 8, 8), torch.nan)}, {}, "NaN or infinite pixels"),
        ({"images": torch.zeros(6, 3, 8, 8).byte()}, {}, "uint8 images; expected float32"),
        ({"images": torch.zeros(6, 3, 4, 4)}, {}, r"shape \(6, 3, 4, 4\); expected \(6, 3, 8, 8\)"),
        (
            {"images": None, "indices": POSITIONS[:4]},
            {},
            r"positions are .* \(4,\); expected int64",
        ),
        ({"indices": POSITIONS.int()}, {}, "positions are torch.int32"),
        ({}, {"classes": None}, "its metadata have no `classes`; the file is incomplete"),
        ({}, {"preprocessing": None}, "its metadata have no `preprocessing`"),
        ({}, {"preprocessing": {"kind": "standardize"}}, "no `mean`"),
        ({}, {"shape": [3, 8]}, r"its shape is \[3, 8\]; expected channels, height and width"),
        ({}, {"factor": 5}, "factor: 5 leaves parts of images of 8x8 pixels without a pixel"),
        ({}, {"factor": 0}, "its factor is 0; expected a whole number from 1"),
        ({}, {"step_size": "big"}, "its step_size is 'big'; expected a number or null"),
    ],
)
def test_files_that_are_no_complete_set_are_refused(dataset, tmp_path, tensors, facts, expected):
    images = dataset.standardize(dataset.train_images[POSITIONS])
    condensed = sets.Condensed(images, LABELS)
    tensors = {"images": images, "labels": LABELS} | tensors
    metadata = sets.metadata_of(condensed, dataset, method="m", ipc=2, seed=0) | facts
    tensors, metadata = (
        {key: value for key, value in content.items() if value is not None}
        for content in (tensors, metadata)
    )
    path = tmp_path / "set.safetensors"
    storage.write_tensors(path, tensors, metadata | {"step_size": metadata.get("step_size")})
    for real in (None, dataset):
        with pytest.raises(InputError, match=f"set.safetensors: .*{expected}"):
            api.load_set(path, real)
    with pytest.raises(InputError, match=f"set.safetensors: .*{expected}"):
        published.publish(path, tmp_path / "sets")


@pytest.mark.parametrize(
    ("tensors", "facts", "expected"),
    [
        ({"test_labels": torch.full((15,), 25)}, {}, "a test label is outside the classes"),
        ({"train_labels": torch.zeros(60)}, {}, "train labels are torch.float32"),
        ({"train_labels": None}, {}, "holds test_images, test_labels, train_images; expected"),
        ({}, {"mean": None}, "its metadata have no `mean`; the file is incomplete"),
        ({}, {"classes": "abc"}, "its metadata have the classes 'abc'; expected list"),
    ],
)
def test_files_that_are_no_complete_dataset_are_refused(
    dataset, tmp_path, tensors, facts, expected
):
    path = tmp_path / "dataset.safetensors"
    datasets.write(dataset, path)
    known, metadata = storage.read_tensors(path)
    known, metadata = (
        {key: value for key, value in content.items() if value is not None}
        for content in (known | tensors, metadata | facts)
    )
    storage.write_tensors(path, known, metadata)
    with pytest.raises(InputError, match=f"dataset.safetensors: .*{expected}"):
        api.load_dataset(path)


def test_the_published_values_follow_the_dataset_that_images_are_like(pictures):
    """`like` gives mean and std when images are read, and hyper-parameters when they condense."""
    images = api.load_dataset(pictures, like="cifar10", image_size=8, test_fraction=0.2)
    called = {}

    def stop(dataset, method, ipc, options, like, compute):
        called["like"] = like
        raise InputError("far enough")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError, match="far enough"):
        patch.setattr(api, "_config_of_set", stop)
        api.condense(images, "dm", 1)
    assert called == {"like": "cifar10"}


def test_a_users_files_stay_and_a_failed_call_leaves_nothing(dataset, tmp_path):
    users = tmp_path / "unfinished/mine.txt"
    users.parent.mkdir()
    users.write_text("mine")
    api.condense(dataset, "random", 1, to=tmp_path)
    assert users.read_text() == "mine"
    (tmp_path / "m.py").write_text(
        "def f(problem):\n    return problem.draw_real(10_000, problem.generator('m'))\n"
    )
    with pytest.raises(InputError, match="images of class .* are needed"):
        api.condense(dataset, f"{tmp_path / 'm.py'}:f", 1, to=tmp_path / "more")
    assert list((tmp_path / "more").iterdir()) == []


@pytest.mark.parametrize(
    ("method", "options", "needed"),
    [
        ("kcenter", {}, 21),
        ("tm", TM, 21),
        ("dm", DM | {"init": "kcenter", "factor": 2}, 84),
        ("dm", DM | {"init": "noise"}, None),
    ],
)
def test_an_ipc_above_the_smallest_class_is_refused_before_any_training(
    dataset, tmp_path, monkeypatch, method, options, needed
):
    def started(*_):
        raise RuntimeError("started")

    monkeypatch.setattr(api, "_condense", started)
    expected = "started"
    if needed:
        expected = f"condense: ipc: '{method}' needs {needed} images per class, but .* has 20 train"
    with pytest.raises(InputError if needed else RuntimeError, match=expected):
        api.condense(dataset, method, 21, to=tmp_path / "set", **options)
    assert not needed or not (tmp_path / "set").exists()


def test_torchs_switches_are_those_of_before(dataset):
    before = torch.backends.cuda.matmul.allow_tf32
    torch.use_deterministic_algorithms(True)
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        api.condense(dataset, "random", 1)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cuda.matmul.allow_tf32 = before


def test_an_optimizer_reaches_a_users_method_as_it_is(dataset, tmp_path):
    code = "def f(problem, *, optimizer):\n    assert optimizer == {'lr': 0.1}, optimizer\n"
    (tmp_path / "m.py").write_text(
        code + "    return problem.draw_real(1, problem.generator('m')).flatten()\n"
    )
    assert len(api.condense(dataset, f"{tmp_path / 'm.py'}:f", 1, optimizer={"lr": 0.1})) > 0


def test_constants_may_be_the_tuples_of_a_dataset(dataset, tmp_path):
    condensed = api.condense(dataset, "random", 1)
    np.save(tmp_path / "set.npy", condensed.images.numpy())
    constants = {"mean": dataset.mean, "std": dataset.std, "restandardize": True}
    loaded = api.load_set(tmp_path / "set.npy", dataset, **constants)
    torch.testing.assert_close(loaded.images, condensed.images)
