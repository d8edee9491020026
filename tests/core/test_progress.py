"""Progress: a bar on a terminal, plain lines in a log."""

import io
import logging
import sys

import pytest

from condensation.core import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_on_a_terminal_and_lines_in_a_log(monkeypatch, caplog, terminal):
    caplog.set_level(logging.INFO, logger="condensation")
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    counter = progress.Progress("training", 4)
    for _ in range(4):
        counter.step()
    assert ("training" in stream.getvalue()) == terminal
    assert "training: 4 of 4" in caplog.text and "0 ms left" in caplog.text
    assert len(caplog.records) == 1  # not a line a step


def test_lines_come_now_and_then(monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="condensation")
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    counter = progress.Progress("dm", 12, done=3)
    for _ in range(9):
        counter.step()
    assert [record.args[1] for record in caplog.records] == [6, 9, 12]
    assert "dm: 6 of 12, 10 s each, 60 s left" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12.3 ms"),
        (5, "5 s"),
        (119, "119 s"),
        (600, "10 min"),
        (36_000, "10 h"),
        (5e7, "13,889 h"),
    ],
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text
