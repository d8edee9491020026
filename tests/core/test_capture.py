"""Functions that a GPU launches whole, tried on the CPU; transfers in one block."""

import pytest
import torch
from launches import Launches, as_on_a_gpu

from condensation.core import capture

CPU = torch.device("cpu")


def test_one_block_holds_tensors_of_all_types():
    tensors = [
        torch.arange(5),
        torch.tensor([True, False, True]),
        torch.randn(3, 2, 7),
        torch.empty(0, 4),
        torch.tensor(2.5, dtype=torch.float64),
        torch.arange(7, dtype=torch.uint8),
        torch.randn(4, 6).T,
    ]
    block = capture.pack(tensors)
    for tensor, unpacked in zip(tensors, capture.unpack(block, tensors), strict=True):
        assert torch.equal(tensor, unpacked) and tensor.dtype == unpacked.dtype
        assert not unpacked.numel() or unpacked.data_ptr() % 8 == block.data_ptr() % 8


def test_tensors_travel_together_and_other_values_stay():
    meta = torch.device("meta")
    values = ["name", torch.arange(3), None, torch.zeros(2)]
    with Launches() as launches:
        moved = capture.to_device(values, meta)
    assert moved[0] == "name" and moved[2] is None
    assert moved[1].is_meta and moved[1].shape == (3,) and moved[3].dtype == torch.float32
    assert launches.counted["_to_copy"] == 1
    assert capture.to_device(values, CPU) == values


def test_a_function_is_recorded_once_for_each_shape(monkeypatch):
    factor = torch.tensor(2.0)
    with as_on_a_gpu(monkeypatch) as replays:
        double = capture.Captured(lambda x: x * factor, CPU)
        for size in (3, 3, 2, 3, 2, 2):
            x = torch.randn(size)
            torch.testing.assert_close(double(x), 2 * x)
    assert (replays.recorded, replays.replayed) == (2, 4)


def test_a_replay_is_one_launch(monkeypatch):
    def function(x):
        for _ in range(50):
            x = x + 1
        return x

    with as_on_a_gpu(monkeypatch), Launches() as launches:
        captured = capture.Captured(function, CPU)
        captured(torch.zeros(2))
        assert launches.total >= 50
        captured(torch.zeros(2))
        launches.counted.clear()
        captured(torch.zeros(2))
    assert launches.counted["replay"] == 1 and launches.total <= 3  # and its input


@pytest.mark.parametrize(
    "mistake",
    [
        lambda state, x: x * float(x.sum()),
        lambda state, x: x + state.pop(0),
        lambda state, x: x.sin() if x.sum() > 0 else x.cos(),
    ],
    ids=["a number", "memory that moves", "a branch"],
)
def test_the_stand_in_finds_what_a_graph_cannot_repeat(monkeypatch, mistake):
    state = [torch.full((2,), float(number)) for number in range(9)]
    with as_on_a_gpu(monkeypatch):
        captured = capture.Captured(lambda x: mistake(state, x), CPU)
        with pytest.raises((AssertionError, ValueError)):
            for number in range(6):
                captured(torch.full((2,), 1.5 - number))


def test_a_replay_hands_over_only_what_it_returns(monkeypatch):
    kept = []
    with as_on_a_gpu(monkeypatch):
        captured = capture.Captured(lambda x: (kept.append(x + 1), x + 2)[1], CPU)
        returned = [float(captured(torch.zeros(()))) for _ in range(3)]
    assert returned == [2, 2, 2] and kept[0] == 1 and all(value.isnan() for value in kept[1:])


def test_functions_that_cannot_be_recorded_run_as_usual(monkeypatch, caplog):
    class Fails:
        def first(self, function, inputs):
            return function(*inputs)

        def record(self, function, inputs):
            raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setitem(capture.RECORDERS, "cpu", Fails())
    captured = capture.Captured(lambda x: x + 1, CPU)
    for number in range(4):
        assert float(captured(torch.tensor(float(number)))) == number + 1
    assert [record.message for record in caplog.records] == [
        "running without CUDA graphs: operation not permitted"
    ]
    never = capture.Captured(lambda x, y: (x, y), CPU, possible=False)
    assert never(None, 3) == (None, 3)


def test_deterministic_algorithms_record_nothing(monkeypatch):
    with as_on_a_gpu(monkeypatch) as replays:
        assert capture.pays(CPU)
        monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
        assert not capture.pays(CPU)
        captured = capture.Captured(lambda x: x + 1, CPU)
        assert [float(captured(torch.zeros(()))) for _ in range(3)] == [1, 1, 1]
    assert replays.recorded == 0
