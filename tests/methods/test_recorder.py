"""When the loop of iterative methods looks for NaN, and what it continues from."""

import contextlib
from dataclasses import replace

import pytest
import torch
from conftest import small_dataset

from condensation.core import storage
from condensation.data import datasets, whitening
from condensation.methods import condensing, experts
from condensation.methods import recorder as loop
from condensation.methods.recorder import Recorder


@pytest.fixture
def looks(monkeypatch):
    """The number of steps done at each look; ``steps`` counts them."""
    calls = []
    check = loop._check
    monkeypatch.setattr(loop, "_check", lambda state: (calls.append(int(state["n"])), check(state)))
    return calls


def counting(last_good=10**6):
    state = {"n": torch.zeros(()), "kept": torch.zeros(3)}

    def step(number):
        state["n"] += 1
        if number > last_good:
            state["kept"][0] = torch.nan

    return state, step


def test_it_looks_once_an_iteration_and_not_at_every_part(looks):
    state, step = counting()
    Recorder().run(state, step, iterations=3, parts=4)
    assert looks == [4, 8, 12]


def test_what_becomes_nan_ends_the_run_with_the_iteration(looks):
    state, step = counting(last_good=5)
    recorder = Recorder()
    with pytest.raises(FloatingPointError, match="kept is no longer finite"):
        recorder.run(state, step, iterations=3, parts=4)
    assert looks == [4, 8] and recorder.iteration == 1


def test_no_checkpoint_holds_what_was_not_looked_at(tmp_path, looks):
    path = tmp_path / "checkpoint.safetensors"
    state, step = counting(last_good=5)
    with pytest.raises(FloatingPointError):  # at the seventh step: a checkpoint was due
        Recorder("r", path, interval=0.0).run(state, step, iterations=3, parts=4)
    assert looks[-1] == 7
    kept, metadata = storage.read_tensors(path)
    assert metadata["iteration"] == 6 and torch.isfinite(kept["kept"]).all()


@pytest.mark.parametrize("parts, expected", [(1, [50, 100, 120]), (30, [60, 120])])
def test_on_cuda_it_waits_for_the_device_after_fifty_steps_or_more(monkeypatch, parts, expected):
    calls = []
    monkeypatch.setattr(loop, "_check", lambda state: calls.append(state["x"].steps))

    class OnCuda(torch.Tensor):
        is_cuda = True
        steps = 0

    state = {"x": torch.zeros(1).as_subclass(OnCuda)}

    def step(number):
        state["x"].steps = number + 1

    Recorder().run(state, step, iterations=120 // parts, parts=parts)
    assert calls == expected


@pytest.mark.parametrize("parts", [1, 2])
def test_a_later_snapshot_of_other_options_does_not_stop_a_run_from_continuing(tmp_path, parts):
    def run(identity, last_good):
        state = {"n": torch.zeros(()), "images": torch.zeros(3)}
        steps = []

        def step(number):
            if number > last_good:
                raise KeyboardInterrupt
            steps.append(number)
            state["images"] += 1

        recorder = Recorder("r", tmp_path / "c.safetensors", identity, [0, 2, 4], interval=0.0)
        with contextlib.suppress(KeyboardInterrupt):
            recorder.run(state, step, iterations=5, parts=parts)
        return steps, {at: float(kept["images"][0]) for at, kept in recorder.snapshots.items()}

    run("other", 5 * parts)
    run("this", 3 * parts - 1)
    steps, snapshots = run("this", 5 * parts)
    assert steps == list(range(3 * parts, 5 * parts))
    assert snapshots == {0: 0.0, 2: 2.0 * parts, 4: 4.0 * parts}


@pytest.mark.parametrize(
    ("make", "changed"),
    [
        *((condensing.condense, name) for name in ("dataset", "features", "whitening", "teacher")),
        *((experts.make, name) for name in ("dataset", "whitening")),
    ],
)
def test_a_checkpoint_made_from_another_input_is_not_continued(
    make, changed, tmp_path, monkeypatch
):
    names = ("dataset", "features", "whitening", "teacher")
    inputs = {name: str(tmp_path / name) for name in names}
    outputs = {name: str(tmp_path / name) for name in ("condensed", "expert")}
    wildcards = {"dataset": "d", "method": "m", "ipc": "1", "condensation_seed": "0"}
    wildcards |= {"trajectories": "t", "expert": "0"}
    identities = []

    def made(**given):
        identities.append(given["identity"])
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "Recorder", made)
    plain = small_dataset()
    for lighter in (0, 1):
        pixels = {name: plain.train_images + lighter * (name == changed) for name in inputs}
        datasets.write(replace(plain, train_images=pixels["dataset"]), inputs["dataset"])
        fitted = whitening.fit(pixels["whitening"], "zca", plain.mean, plain.std)
        whitening.save(fitted, inputs["whitening"])
        for name in ("features", "teacher"):
            storage.write_tensors(inputs[name], {"x": pixels[name]}, {})
        settings = {"device": torch.device("cpu"), "compile": False, "precision": "float32"}
        settings |= {"memory_mb": 1.0}
        with pytest.raises(KeyboardInterrupt):
            make(wildcards, {"snapshots": []}, inputs, outputs, **settings)
    assert identities[0] != identities[1]
