"""Condensed sets made elsewhere: every form that is read, and the message of every mistake."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import small_dataset
from PIL import Image
from safetensors.torch import save_file
from torch.utils.data import TensorDataset

from condensation.config.loading import parse
from condensation.core.errors import InputError
from condensation.data import plausibility, readers, sets
from condensation.data.sets import Condensed
from condensation.methods import contract
from condensation.methods.contract import Problem, finish
from condensation.methods.imported import condense
from condensation.workflow import jobs
from condensation.workflow.grid import SetId

DEFAULTS = {
    **{"labels_path": None, "scale": None, "mean": None, "std": None},
    "restandardize": False,
}
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


@pytest.fixture
def images():
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def imported(path, problem, *, labels="soft", **options):
    result = condense(problem, path=str(path), **{**DEFAULTS, **options})
    return finish(result, problem, "imported", labels)


def same(got, images):
    assert torch.equal(got.labels, LABELS)
    torch.testing.assert_close(got.images, images)


def test_a_file_of_this_pipeline_is_read(tmp_path, problem, images):
    sets.write(Condensed(images, LABELS), problem.dataset, tmp_path / "s.safetensors", method="m")
    same(imported(tmp_path / "s.safetensors", problem), images)


def test_a_set_of_several_images_in_one_stays_one(tmp_path, problem, images, caplog):
    """A second time through a file, and its networks see the same training images."""
    stored = Condensed(images, LABELS, factor=2)
    sets.write(stored, problem.dataset, tmp_path / "s.safetensors", method="m")
    got = imported(tmp_path / "s.safetensors", problem)
    assert got.factor == 2
    torch.testing.assert_close(got.formed().images, stored.formed().images)
    assert torch.equal(got.formed().labels, LABELS.repeat_interleave(4))


def test_any_safetensors_file_is_read(tmp_path, problem, images):
    save_file({"images": images, "labels": LABELS}, tmp_path / "s.safetensors")
    same(imported(tmp_path / "s.safetensors", problem), images)


def test_an_npz_file_of_kip_is_read(tmp_path, problem, images):
    """N x H x W x C, labels centred one-hot rows."""
    nhwc = images.permute(0, 2, 3, 1).numpy()
    rows = np.eye(3, dtype=np.float32)[LABELS] - 1 / 3
    np.savez(tmp_path / "kip.npz", images=nhwc, labels=rows)
    same(imported(tmp_path / "kip.npz", problem), images)


def test_a_pt_file_of_dc_dsa_and_dm_is_read(tmp_path, problem, images):
    """A list of runs: the config must name the run that counts."""
    runs = [[images - 1, LABELS], [images, LABELS], [images + 1, LABELS]]
    torch.save({"data": runs, "accs_all_exps": {"ConvNet": [np.float64(0.3)]}}, tmp_path / "res.pt")
    with pytest.raises(InputError, match=r"holds 3 runs; .*`run: 0` to `run: 2`.*`run: seed`"):
        imported(tmp_path / "res.pt", problem)
    for run in range(3):
        same(imported(tmp_path / "res.pt", problem, run=run), images + run - 1)
    for run in (3, -1):
        with pytest.raises(InputError, match=rf"no run {run}; it holds 3, counted from 0"):
            imported(tmp_path / "res.pt", problem, run=run)
    torch.save({"data": runs[1:2]}, tmp_path / "one.pt")
    same(imported(tmp_path / "one.pt", problem), images)
    torch.save(runs[1], tmp_path / "plain.pt")
    same(imported(tmp_path / "plain.pt", problem, run=0), images)
    with pytest.raises(InputError, match="no run 1; it holds 1"):
        imported(tmp_path / "plain.pt", problem, run=1)


def test_the_pt_files_of_tm_are_read(tmp_path, problem, images):
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


def test_pixels_of_both_scales_are_standardised(tmp_path, problem):
    pixels = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    expected = problem.dataset.standardize(pixels)
    torch.save((pixels, LABELS), tmp_path / "uint8.pt")
    torch.save((pixels.float() / 255, LABELS), tmp_path / "unit.pt")
    same(imported(tmp_path / "uint8.pt", problem, scale="uint8"), expected)
    same(imported(tmp_path / "unit.pt", problem, scale="unit"), expected)


def test_other_constants_are_converted_when_the_config_says_so(tmp_path, problem):
    pixels = torch.rand(6, 3, 8, 8)
    theirs = (pixels - 0.1) / 0.5
    torch.save((theirs, LABELS), tmp_path / "s.pt")
    constants = {"mean": [0.1] * 3, "std": [0.5] * 3}
    with pytest.raises(InputError, match=r"would be wrong; set restandardize: true"):
        imported(tmp_path / "s.pt", problem, **constants)
    got = imported(tmp_path / "s.pt", problem, **constants, restandardize=True)
    same(got, (pixels - 0.4) / 0.3)


# --- one set in many forms ------------------------------------------------------------------------


def unit(pixels):
    return pixels.float() / 255


def pictures(folder, pixels, names=("class 0", "class 1", "class 2")):
    for number, image in enumerate(pixels):
        file = folder / names[int(LABELS[number])] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)
    (folder / ".DS_Store").write_bytes(b"no picture")


def halves(pixels):
    return 2 * unit(pixels) - 1


HALVES = {"mean": [0.5] * 3, "std": [0.5] * 3, "restandardize": True}
FORMS = {
    "pt, pair of uint8": (lambda f, x: torch.save((x, LABELS), f), {"scale": "uint8"}),
    "pt, unit, data and target": (
        lambda f, x: torch.save({"data": unit(x), "target": LABELS}, f),
        {"scale": "unit"},
    ),
    "pt, unit, data and targets, float64": (
        lambda f, x: torch.save({"data": unit(x).double(), "targets": LABELS.double()}, f),
        {"scale": "unit"},
    ),
    "pt, on [-1, 1]": (lambda f, x: torch.save({"x": halves(x), "y": LABELS}, f), HALVES),
    "pt, image_syn": (
        lambda f, x: torch.save({"image_syn": x, "label_syn": LABELS.int()}, f),
        {"scale": "uint8"},
    ),
    "pt of numpy": (
        lambda f, x: torch.save({"images": x.numpy(), "labels": LABELS.numpy()}, f),
        {"scale": "uint8"},
    ),
    "pt of numpy, other byte order": (
        lambda f, x: torch.save((unit(x).numpy().astype(">f4"), LABELS.numpy().astype(">i8")), f),
        {"scale": "unit"},
    ),
    "pt, TensorDataset": (
        lambda f, x: torch.save(TensorDataset(x, LABELS), f),
        {"scale": "uint8"},
    ),
    "pt, its tensors": (
        lambda f, x: torch.save(TensorDataset(x, LABELS).tensors, f),
        {"scale": "uint8"},
    ),
    "pt, lists": (
        lambda f, x: torch.save({"images": list(x), "labels": LABELS.tolist()}, f),
        {"scale": "uint8"},
    ),
    "npz, arr_0 and arr_1": (
        lambda f, x: np.savez(f, x.numpy(), LABELS.numpy()),
        {"scale": "uint8"},
    ),
    "npz, x and y, channels last": (
        lambda f, x: np.savez(f, x=x.permute(0, 2, 3, 1).numpy(), y=LABELS[:, None].numpy()),
        {"scale": "uint8"},
    ),
    "npz, other byte order, boolean rows": (
        lambda f, x: np.savez(
            f, images=x.numpy().astype(">f8"), labels=np.eye(3, dtype=bool)[LABELS]
        ),
        {"scale": "uint8"},
    ),
    "npz, unsigned 16 bits": (
        lambda f, x: np.savez(f, images=x.numpy().astype(np.uint16), labels=np.uint8(LABELS)),
        {"scale": "uint8"},
    ),
    "npy": (lambda f, x: np.save(f, x.numpy()), {"scale": "uint8"}),
    "npy of unit in Fortran's order": (
        lambda f, x: np.save(f, np.asfortranarray(unit(x).numpy())),
        {"scale": "unit"},
    ),
    "safetensors": (
        lambda f, x: save_file({"images": x, "targets": LABELS}, f),
        {"scale": "uint8"},
    ),
    "png": (pictures, {}),
    "png, said to be uint8": (pictures, {"scale": "uint8"}),
    "png, names of another kind": (
        lambda f, x: pictures(f, x, ("n1", "n2", "n3")),
        {"classes": ["class 0", "class 1", "class 2"]},
    ),
}


@pytest.fixture
def pixels(problem):
    chosen = problem.draw_real(2, problem.generator("test")).flatten()
    return problem.dataset.train_images[chosen]


@pytest.mark.parametrize("form", FORMS)
def test_one_set_in_every_form_is_one_set(tmp_path, problem, pixels, form, caplog):
    write, options = FORMS[form]
    path = tmp_path / f"set.{form.partition(',')[0].partition(' ')[0]}"
    write(path, pixels)
    got = imported(path, problem, **options)
    mean, std = (np.array(value).reshape(3, 1, 1) for value in ((0.4,) * 3, (0.3,) * 3))
    same(got, torch.from_numpy((pixels.numpy() / 255 - mean) / std).float())
    assert got.images.is_contiguous() and not caplog.records


def test_grey_images_need_no_axis_for_channels(tmp_path):
    dataset = small_dataset(shape=(1, 8, 8))
    problem = Problem(dataset, ipc=2, seed=0)
    pixels = dataset.train_images[problem.draw_real(2, problem.generator("test")).flatten()]
    np.savez(tmp_path / "s.npz", images=pixels[:, 0].numpy(), labels=LABELS.numpy())
    same(imported(tmp_path / "s.npz", problem, scale="uint8"), dataset.standardize(pixels))


@pytest.mark.parametrize(
    ("spoil", "options", "expected"),
    [
        (lambda f: (f / "class 0/0.png").write_bytes(b"x"), {}, r"0\.png: not a readable image"),
        (lambda f: (f / "class 0/notes.txt").write_bytes(b"x"), {}, "notes.txt: not a readable"),
        (lambda f: (f / "0.png").write_bytes(b"x"), {}, "'0.png' is not at <class>/<picture>"),
        (
            lambda f: Image.new("RGB", (9, 8)).save(f / "class 0/0.png"),
            {},
            "8 x 9 pixels; small has 8 x 8",
        ),
        (
            lambda f: (f / "class 0").rename(f / "zero"),
            {},
            "made for the classes class 1, class 2, zero.*not for those of small.*as `classes`",
        ),
        (lambda f: None, {"scale": "unit"}, "but pictures are uint8; leave `scale` out"),
        (lambda f: None, {"run": 1}, "no run 1"),
        (
            lambda f: None,
            {"classes": ["class 1", "class 0", "class 2"]},
            "names its classes, in another order than `classes`",
        ),
    ],
)
def test_a_faulty_folder_of_pictures_is_refused(
    tmp_path, problem, pixels, spoil, options, expected
):
    pictures(tmp_path / "set", pixels)
    spoil(tmp_path / "set")
    with pytest.raises(InputError, match=expected):
        imported(tmp_path / "set", problem, **options)


# --- what the numbers say -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    entry = parse(
        {
            "datasets": {"d": {"source": "digits"}},
            "methods": {"r": {"algorithm": "random"}},
            "experiments": {"e": {"datasets": ["d"], "methods": ["r"], "ipc": [1]}},
        }
    ).datasets["d"]
    return readers.read("digits", entry.model_dump(), [])


def spread(x):
    """Learned images: more contrast than a picture has."""
    return (x - 0.3) * 1.5 + 0.3


STORED = {
    "standardized": lambda x: (x - 0.305) / 0.376,
    "unit": lambda x: x,
    "unit, learned": spread,
    "unit, a rounding below 0": lambda x: x - 1.5e-8 * (x == 0),
    "unit, one of 1.02": lambda x: (
        torch.cat([torch.full((1, 1, 1, 8), 1.02), x[:1, :, 1:]], 2)
        if len(x) == 1
        else torch.cat([torch.full_like(x[:1], 0.5).index_fill(3, torch.tensor([0]), 1.02), x[1:]])
    ),
    "[-1, 1]": lambda x: 2 * x - 1,
    "uint8": lambda x: 255 * x,
    "uint8, learned": lambda x: 255 * spread(x),
}
TAKEN = "taken"
SIGNED = r"images on \[-1, 1\]: set mean: \[0.5\], std: \[0.5\] and restandardize: true"
UNIT, UINT8 = r"images on \[0, 1\]: set scale: unit", "images of 0 to 255: set scale: uint8"
OUTCOMES = [
    ("standardized", "standardized", TAKEN, ""),
    ("standardized", "unit", "refused", "standardised images: set scale: standardized"),
    ("standardized", "uint8", "refused", "standardised images: set scale: standardized"),
    ("unit", "standardized", "refused", UNIT),
    ("unit", "unit", TAKEN, ""),
    ("unit", "uint8", "refused", UNIT),
    ("unit, learned", "standardized", "warned", UNIT),
    ("unit, learned", "unit", TAKEN, ""),
    ("unit, learned", "uint8", "refused", UNIT),
    ("unit, a rounding below 0", "standardized", "refused", UNIT),
    ("unit, a rounding below 0", "unit", TAKEN, ""),
    ("unit, one of 1.02", "standardized", "refused", UNIT),
    ("unit, one of 1.02", "unit", TAKEN, ""),
    ("unit, one of 1.02", "uint8", "refused", UNIT),
    ("[-1, 1]", "standardized", "warned", SIGNED),
    ("[-1, 1]", "unit", "refused", SIGNED),
    ("[-1, 1]", "uint8", "refused", SIGNED),
    ("uint8", "standardized", "refused", UINT8),
    ("uint8", "unit", "refused", UINT8),
    ("uint8", "uint8", TAKEN, ""),
    ("uint8, learned", "standardized", "refused", UINT8),
    ("uint8, learned", "unit", "refused", UINT8),
    ("uint8, learned", "uint8", TAKEN, ""),
]


@pytest.mark.parametrize("ipc", [1, 10])
@pytest.mark.parametrize(("stored", "declared", "outcome", "advice"), OUTCOMES)
def test_pixels_of_another_scale_than_declared_are_refused_or_warned_of(
    digits, stored, declared, outcome, advice, ipc, caplog
):
    for seed in range(5):
        problem = Problem(digits, ipc=ipc, seed=seed)
        positions = problem.draw_real(ipc, problem.generator("test")).flatten()
        images = STORED[stored](unit(digits.train_images[positions]))
        caplog.clear()
        if outcome == "refused":
            with pytest.raises(InputError, match=f"f: scale is `{declared}`.* look like {advice}"):
                plausibility.check_pixels(images, declared, None, digits, "f")
            continue
        plausibility.check_pixels(images, declared, None, digits, "f")
        warnings = [
            record.getMessage() for record in caplog.records if record.levelname == "WARNING"
        ]
        assert len(warnings) == (outcome == "warned")
        if warnings:
            # the numbers: range, mean and standard deviation, as numpy has them
            values = images.numpy().astype(np.float64)
            for value in (values.mean(), values.std()):
                assert f"{value:.3g}" in warnings[0]
            assert f"{values.min():.4g} to {values.max():.4g}" in warnings[0]


def test_the_advice_for_pixels_on_both_sides_of_zero_gives_the_set(tmp_path, problem, pixels):
    torch.save(halves(pixels), tmp_path / "s.pt")
    same(imported(tmp_path / "s.pt", problem, **HALVES), problem.dataset.standardize(pixels))


def test_the_log_counts_pixels_outside_the_range_of_a_picture(digits, caplog):
    problem = Problem(digits, ipc=1, seed=0)
    positions = problem.draw_real(1, problem.generator("test")).flatten()
    images = unit(digits.train_images[positions])
    images[0, 0, 0, :2] = torch.tensor([1.02, -0.1])
    with caplog.at_level("INFO", "condensation"):
        plausibility.check_pixels(images, "unit", None, digits, "f")
    assert "f: 2 of 640 pixels lie outside the range of a picture, and are kept" in caplog.text
    assert "from -0.1 to 1.02" in caplog.text


def test_pixels_beyond_all_forms_are_refused_without_advice(tmp_path, problem, pixels):
    torch.save(pixels.float() * 257, tmp_path / "s.pt")  # 16 bits
    for scale in ("unit", "standardized", "uint8"):
        with pytest.raises(InputError, match=r"run from \d+ to \d.*e\+04") as caught:
            imported(tmp_path / "s.pt", problem, scale=scale)
        assert "set scale: unit" not in str(caught.value)


# --- what the config says ------------------------------------------------------------------------


def job(seed=0, **options):
    entry = {"algorithm": "imported"} | options
    config = parse(
        {
            "datasets": {"d": {"source": "digits"}},
            "methods": {"m": entry},
            "experiments": {"e": {"datasets": ["d"], "methods": ["m"], "ipc": [2]}},
        }
    )
    set_id = SetId("d", "m", "2", seed)
    return jobs.condense(config, set_id), jobs.imported_files(config, set_id)


def test_run_seed_takes_the_run_of_the_condensation_seed():
    assert [job(seed, path="s.pt", run="seed")[0]["options"]["run"] for seed in range(3)] == [
        0,
        1,
        2,
    ]
    assert job(2, path="s.pt", run=1)[0]["options"]["run"] == 1


def test_a_renamed_picture_in_a_folder_changes_the_job(tmp_path, pixels):
    pictures(tmp_path / "set2", pixels)
    before, files = job(path=str(tmp_path / "set{ipc}"))
    assert files == [str(tmp_path / "set2")]
    assert job(path=str(tmp_path / "set{ipc}"))[0] == before
    for other in ("manifest.csv", "class 0/.DS_Store", "class 0/Thumbs.db"):  # no pictures
        (tmp_path / "set2" / other).write_text("x")
    assert job(path=str(tmp_path / "set{ipc}"))[0] == before
    (tmp_path / "set2/class 0/0.png").rename(tmp_path / "set2/class 0/9.png")
    assert job(path=str(tmp_path / "set{ipc}"))[0] != before


def test_a_path_may_begin_at_home(tmp_path, problem, images, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save((images, LABELS), tmp_path / "s.pt")
    assert job(path="~/s.pt")[1] == [str(tmp_path / "s.pt")]
    same(imported("~/s.pt", problem), images)


# --- labels ---------------------------------------------------------------------------------------

SOFT = torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.2, 0.3]])  # of class 0; the others by rolling it
SOFT = torch.cat([SOFT.roll(label, 1) for label in range(3)])


@pytest.mark.parametrize("labels", ["soft", "hard"])
@pytest.mark.parametrize("second_file", [False, True])
def test_soft_labels_of_a_file_and_of_a_users_method_are_treated_alike(
    tmp_path, problem, images, labels, second_file
):
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        f"def mine(problem): return tuple(torch.load({str(tmp_path / 'both.pt')!r}))\n"
    )
    torch.save((images, SOFT), tmp_path / "both.pt")
    torch.save(images, tmp_path / "images.pt")
    np.savez(tmp_path / "labels.npz", SOFT.double().numpy())
    method = contract.resolve(f"{tmp_path / 'mine.py'}:mine")
    by_method = finish(method(problem), problem, "mine", labels)
    options = {"labels": labels}
    if second_file:
        by_file = imported(
            tmp_path / "images.pt", problem, labels_path=str(tmp_path / "labels.npz"), **options
        )
    else:
        by_file = imported(tmp_path / "both.pt", problem, **options)
    assert sets.content_digest(by_method) == sets.content_digest(by_file)
    assert torch.equal(by_file.labels, SOFT if labels == "soft" else LABELS)
    sets.write(by_file, problem.dataset, tmp_path / "s.safetensors", labels_option=labels)
    read, metadata = sets.load(tmp_path / "s.safetensors", problem.dataset)
    assert metadata["labels"] == metadata["labels_option"] == labels
    assert torch.equal(read.labels, by_file.labels)


@pytest.mark.parametrize("rows", ["hard", "soft", "none"])
def test_classes_in_another_order_are_put_into_that_of_the_dataset(tmp_path, problem, pixels, rows):
    """The file calls class 2 its first, class 0 its second and class 1 its third."""
    order = [2, 0, 1]
    theirs = torch.tensor([order.index(int(label)) for label in LABELS])
    content = {"images": pixels[theirs.argsort()] if rows == "none" else pixels}
    if rows == "hard":
        content["labels"] = theirs
    if rows == "soft":
        content["labels"] = SOFT[:, order]
    torch.save(content, tmp_path / "s.pt")
    names = [problem.dataset.classes[number] for number in order]
    got = imported(tmp_path / "s.pt", problem, scale="uint8", classes=names)
    torch.testing.assert_close(got.images, problem.dataset.standardize(pixels))
    assert torch.equal(got.labels, SOFT if rows == "soft" else LABELS)


def test_a_file_of_this_pipeline_knows_the_order_of_its_classes(tmp_path, problem, images):
    turned = replace(problem.dataset, classes=("class 2", "class 0", "class 1"))
    sets.write(Condensed(images, LABELS), turned, tmp_path / "s.safetensors", method="m")
    got = imported(tmp_path / "s.safetensors", problem)
    assert torch.equal(got.images, images[[2, 3, 4, 5, 0, 1]])
    strange = replace(problem.dataset, classes=("a", "b", "c"))
    sets.write(Condensed(images, LABELS), strange, tmp_path / "s.safetensors", method="m")
    with pytest.raises(InputError, match="made for the classes a, b, c.*not for those of small"):
        imported(tmp_path / "s.safetensors", problem)
    names = list(problem.dataset.classes)
    same(imported(tmp_path / "s.safetensors", problem, classes=names), images)


def test_a_warning_of_another_order_names_the_order_that_fits(tmp_path, digits, caplog):
    problem = Problem(digits, ipc=10, seed=0)
    pixels = digits.train_images[problem.draw_real(10, problem.generator("test")).flatten()]
    np.savez(tmp_path / "s.npz", images=pixels.numpy(), labels=9 - problem.labels.numpy())
    imported(tmp_path / "s.npz", problem, scale="uint8")
    names = [str(9 - label) for label in range(10)]
    assert f"`classes: [{', '.join(names)}]`" in caplog.text
    caplog.clear()
    got = imported(tmp_path / "s.npz", problem, scale="uint8", classes=names)
    torch.testing.assert_close(got.images, digits.standardize(pixels))
    assert not caplog.records
    # the remedy is in the file's order, whatever was said before
    imported(tmp_path / "s.npz", problem, scale="uint8", classes=[*names[1:], names[0]])
    assert f"`classes: [{', '.join(names)}]`" in caplog.text


@pytest.mark.parametrize("ipc", [1, 10])
def test_honest_sets_are_not_warned_of_and_turned_ones_are(digits, ipc, caplog):
    order, turned = list(range(10)), 0
    for seed in range(100):
        problem = Problem(digits, ipc=ipc, seed=seed)
        images = problem.real(problem.draw_real(ipc, problem.generator("test")).flatten())
        plausibility.check_class_order(images, problem.labels, order, digits, "f")
        assert not caplog.records, "an honest set"
        if seed < 20:
            plausibility.check_class_order(images, 9 - problem.labels, order, digits, "f")
            turned += len(caplog.records)
            caplog.clear()
    assert turned >= (10 if ipc == 1 else 20)  # one image a class is little evidence


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


def test_code_in_a_pt_file_is_not_run(tmp_path, problem, images, monkeypatch):
    monkeypatch.setenv("BOMB", str(tmp_path / "was_run"))
    torch.save({"images": images, "labels": LABELS, "more": Bomb()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"evil\.pt: holds more than tensors.*is refused"):
        imported(tmp_path / "evil.pt", problem)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("ending", ["csv", "parquet", "txt"])
def test_a_file_of_another_kind_names_those_that_are_read(tmp_path, problem, images, ending):
    np.save(tmp_path / "s.npy", images.numpy())
    labels = tmp_path / f"labels.{ending}"
    labels.write_bytes(b"PAR1\x15" if ending == "parquet" else b"label\n0\n0\n1\n1\n2\n2\n")
    with pytest.raises(InputError, match=r"expected \.npz, \.npy, \.safetensors or a PyTorch file"):
        imported(tmp_path / "s.npy", problem, labels_path=str(labels))


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
        (lambda x: (x, LABELS + 0.5), {}, "a label is 0.5; expected whole numbers"),
        (lambda x: (x, LABELS * float("nan")), {}, "a label is nan; expected whole numbers"),
        (lambda x: (x, LABELS[None, None]), {}, "labels of shape"),
        (lambda x: (x, SOFT * float("nan")), {}, "soft labels .* expected finite numbers"),
        (lambda x: (x, 2 * SOFT - 1), {}, "rows sum to -1 or more; .*`labels: hard`"),
        (lambda x: {"data": x, "x": x}, {}, "holds data and x; rename the right one to 'images'"),
        (lambda x: {"images": x, "y": LABELS, "target": LABELS}, {}, "holds target and y"),
        (lambda x: (x, LABELS), {"classes": ["class 0", "klass 1", "class 2"]}, "'class 1'"),
        (lambda x: (x, LABELS), {"classes": ["class 0", "class 1"]}, "has 2 names; small has 3"),
        (lambda x: {"images": [x[0], x[1, :2]]}, {}, "a list of tensors of different shapes"),
        (lambda x: (x, LABELS), {"scale": "unit"}, "scale is `unit`, but its pixels run from -"),
        (lambda x: (x.sigmoid(), LABELS), {"scale": "uint8"}, "scale is `uint8`, but"),
        (lambda x: {"pictures": x}, {}, r"holds \['pictures'\]; expected a mapping with"),
        (lambda x: [x, x, x], {}, "holds 3 items; expected"),
        (lambda x: "words", {}, "holds str; expected"),
    ],
)
def test_each_mistake_has_its_message(tmp_path, problem, images, content, options, expected):
    torch.save(content(images), tmp_path / "s.pt")
    with pytest.raises(InputError, match=expected):
        imported(tmp_path / "s.pt", problem, **options)


def test_a_set_of_other_preprocessing_is_refused(tmp_path, problem, images):
    from dataclasses import replace

    other = replace(problem.dataset, mean=(0.1, 0.1, 0.1))
    sets.write(Condensed(images, LABELS), other, tmp_path / "s.safetensors", method="m")
    with pytest.raises(InputError, match="were made with .*0.1.* is prepared with .*0.4"):
        imported(tmp_path / "s.safetensors", problem)
    with pytest.raises(InputError, match="accuracies across the two would be wrong"):
        sets.load(tmp_path / "s.safetensors", problem.dataset)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("suffix", ["pt", "npz", "safetensors"])
def test_missing_and_damaged_files_are_refused(tmp_path, problem, suffix):
    path = tmp_path / f"s.{suffix}"
    with pytest.raises(InputError, match="no such file"):
        imported(path, problem)
    noise = np.random.default_rng(0)
    for content in (b"", b"garbage", *(noise.bytes(n) for n in range(1, 400))):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"s\.{suffix}: (not a readable|holds more)"):
            imported(path, problem)
