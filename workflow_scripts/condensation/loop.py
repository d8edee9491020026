"""The loop that iterative methods share: progress, checkpoints, cost."""

import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from condensation import storage
from condensation.errors import InputError
from condensation.progress import Progress

log = logging.getLogger("condensation")

CHECKPOINT_EVERY = 60.0  # seconds


class Recorder:
    """Drives an iterative method and keeps what it cost.

    Parameters
    ----------
    label : shown beside the progress.
    checkpoint : file to continue from and to save to; None for no checkpoints.
    identity : what the checkpoint belongs to (options, source digest, input); one made for
        something else is not used, and the log says so.
    """

    def __init__(self, label: str = "", checkpoint: Path | None = None, identity: str = ""):
        self.label, self.checkpoint, self.identity = label, checkpoint, identity
        self.iterations = 0
        self.seconds = 0.0  # inside loops, earlier processes included
        self.seconds_here = 0.0  # of these, in this process
        self._runs = 0
        self.step_seconds: list[float] = []  # of this process, the first step left out

    def run(
        self, state: dict[str, torch.Tensor], step: Callable[[int], None], iterations: int
    ) -> None:
        """Call ``step(i)`` for i = 0 .. iterations - 1.

        ``step`` changes the tensors of ``state`` in place, and whatever it
        draws depends on (seed, i) alone; so a run that is continued from a
        checkpoint ends with the same bytes as an undisturbed one. A method
        may run several loops, one after the other; each has a checkpoint.
        """
        self._runs += 1
        self.iterations += iterations
        first = self._restore(state)
        progress = Progress(self.label, iterations, first)
        saved = began = time.monotonic()
        before, here = self.seconds, self.seconds_here
        for iteration in range(first, iterations):
            started = time.monotonic()
            step(iteration)
            now = time.monotonic()
            if iteration > first:
                self.step_seconds.append(now - started)
            self.seconds = before + now - began
            self.seconds_here = here + now - began
            progress.step()
            if now - saved >= CHECKPOINT_EVERY and iteration + 1 < iterations:
                self._save(state, iteration + 1)
                saved = time.monotonic()

    def cost(self) -> dict[str, float | int | None]:
        """Return iterations, seconds spent in them, and the median seconds of one."""
        median = statistics.median(self.step_seconds) if self.step_seconds else None
        return {
            "iterations": self.iterations,
            "seconds": self.seconds,
            "seconds_per_iteration": median,
        }

    def discard_checkpoint(self) -> None:
        """Remove the checkpoints: the result is written."""
        for run in range(1, self._runs + 1):
            if path := self._path(run):
                path.unlink(missing_ok=True)

    def _path(self, run: int) -> Path | None:
        if self.checkpoint is None or run == 1:
            return self.checkpoint
        return self.checkpoint.with_stem(f"{self.checkpoint.stem}{run}")

    def _save(self, state: dict[str, torch.Tensor], iteration: int) -> None:
        path = self._path(self._runs)
        if path is None:
            return
        metadata = {"identity": self.identity, "iteration": iteration, "seconds": self.seconds}
        storage.write_tensors(path, state, {"kind": "checkpoint", **metadata})

    def _restore(self, state: dict[str, torch.Tensor]) -> int:
        path = self._path(self._runs)
        if path is None or not path.is_file():
            return 0
        try:
            tensors, metadata = storage.read_tensors(path)
        except InputError as error:
            log.warning("starting over: %s", error)
            return 0
        if metadata.get("identity") != self.identity:
            log.warning(
                "starting over: the checkpoint was made with other options or other code (%s)", path
            )
            return 0
        for name, tensor in state.items():
            tensor.data.copy_(tensors[name])
        self.seconds = metadata["seconds"]
        log.info("%s: continuing at iteration %d", self.label, metadata["iteration"])
        return metadata["iteration"]
