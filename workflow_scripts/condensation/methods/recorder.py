"""The loop that iterative methods share: progress, checkpoints, snapshots, cost, divergence."""

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from condensation.core import storage
from condensation.core.errors import InputError
from condensation.core.progress import Progress

log = logging.getLogger("condensation")

CHECKPOINT_EVERY = 60.0  # seconds, by default
_CHECK_EVERY = 50  # fewest steps between checks for NaN on CUDA: a check waits for the device


class Recorder:
    """Runs the loops of an iterative method and records their cost.

    Parameters
    ----------
    label : shown beside the progress.
    checkpoint : file to save to and to resume from; None for no checkpoints.
    identity : identifies options, source and input; a checkpoint with another identity is ignored
        with a warning.
    snapshots : iterations after which a copy of ``images`` is kept, with the learned labels; 0 for
        the start.
    interval : shortest time between two checkpoints, in seconds.
    """

    def __init__(
        self,
        label: str = "",
        checkpoint: Path | None = None,
        identity: str = "",
        snapshots: Sequence[int] = (),
        interval: float | None = None,
    ):
        self.label, self.checkpoint, self.identity = label, checkpoint, identity
        self.interval = CHECKPOINT_EVERY if interval is None else interval
        self.facts: dict[str, bool | str | int] = {}  # compile and precision of the passes
        self.snapshot_iterations = frozenset(snapshots)
        self.snapshots: dict[int, dict[str, torch.Tensor]] = {}  # images, and labels if learned
        self.iterations = 0  # to do, in all loops
        self.iteration = 0  # done in the current loop
        self.seconds = 0.0  # in loops, with earlier processes
        self.seconds_here = 0.0  # in loops of this process
        self._runs = 0
        self.step_seconds: list[float] = []  # in this process, without the first step

    def run(
        self,
        state: dict[str, torch.Tensor],
        step: Callable[[int], None],
        iterations: int,
        parts: int = 1,
        check: Callable[[], None] | None = None,
        labels: Callable[[], torch.Tensor] | None = None,
    ) -> None:
        """Call ``step(i)`` for i = 0 .. iterations * parts - 1.

        A run that resumes from a checkpoint ends with the same bytes as an uninterrupted one. A
        method may run several loops, one after the other.

        Parameters
        ----------
        state : tensors that ``step`` changes in place; the content of a checkpoint.
        step : must draw random numbers that depend on the seed and i alone.
        iterations : iterations of the loop.
        parts : steps of an iteration; more than one allows checkpoints inside an iteration.
        check : raises FloatingPointError for values that are finite but wrong. It is called when
            the state is checked, because reading a value waits for the device.
        labels : returns the labels as they are, float32 [n, classes], if the method learns them;
            snapshots hold them.

        Raises
        ------
        FloatingPointError
            If a tensor of the state is not finite. Checked after each iteration (on CUDA, after
            50 steps or more) and before each checkpoint.
        """
        self._runs += 1
        self.iterations += iterations
        first = self._restore(state, parts)
        progress = Progress(self.label, iterations * parts, first)
        saved = began = time.monotonic()
        before, here = self.seconds, self.seconds_here
        last = iterations * parts
        part_seconds: list[float] = []
        self._snapshot(state, labels, first, parts)

        def verify() -> None:
            if check is not None:
                check()
            _check(state)

        patience = _CHECK_EVERY if any(tensor.is_cuda for tensor in state.values()) else 1
        checked = first
        for number in range(first, last):
            self.iteration = number // parts
            started = time.monotonic()
            step(number)
            done = number + 1
            whole = done % parts == 0 and done - checked >= patience
            if whole or done == last:
                verify()
                checked = done
            now = time.monotonic()
            part_seconds.append(now - started)
            self.seconds = before + now - began
            self.seconds_here = here + now - began
            if done % parts == 0:
                # leave out the first iteration, which compiles, and one resumed halfway
                if len(part_seconds) == parts and number - first >= parts:
                    self.step_seconds.append(sum(part_seconds))
                part_seconds = []
            self._snapshot(state, labels, done, parts)
            progress.step()
            if now - saved >= self.interval and done < last:
                if checked < done:
                    verify()
                    checked = done
                self._save(state, done)
                saved = time.monotonic()
        self.iteration = iterations

    def cost(self) -> dict[str, float | list[float | None] | None]:
        """Return iterations, their seconds, and the median and quartiles of one iteration."""
        times = self.step_seconds
        quartiles = statistics.quantiles(times, n=4) if len(times) > 1 else [None] * 3
        return {
            "iterations": self.iterations,
            "seconds": self.seconds,
            "seconds_per_iteration": statistics.median(times) if times else None,
            "seconds_per_iteration_quartiles": [quartiles[0], quartiles[2]],
        }

    def discard_checkpoint(self) -> None:
        """Remove checkpoints and snapshot files once the result is written."""
        for run in range(1, self._runs + 1):
            if path := self._path(run):
                path.unlink(missing_ok=True)
        for iteration in self.snapshot_iterations:
            if path := self._snapshot_path(iteration):
                path.unlink(missing_ok=True)

    def _path(self, run: int) -> Path | None:
        if self.checkpoint is None or run == 1:
            return self.checkpoint
        return self.checkpoint.with_stem(f"{self.checkpoint.stem}{run}")

    def _snapshot_path(self, iteration: int) -> Path | None:
        if self.checkpoint is None:
            return None
        return self.checkpoint.with_stem(f"{self.checkpoint.stem}-iteration{iteration}")

    def _snapshot(
        self,
        state: dict[str, torch.Tensor],
        labels: Callable[[], torch.Tensor] | None,
        number: int,
        parts: int,
    ) -> None:
        iteration, rest = divmod(number, parts)
        if rest or iteration not in self.snapshot_iterations:
            return
        kept = {"images": state["images"]} | ({"labels": labels()} if labels else {})
        kept = {name: tensor.detach().cpu().clone() for name, tensor in kept.items()}
        self.snapshots[iteration] = kept
        if path := self._snapshot_path(iteration):  # a resumed process needs it
            metadata = {"kind": "snapshot", "identity": self.identity}
            storage.write_tensors(path, kept, metadata)

    def _save(self, state: dict[str, torch.Tensor], number: int) -> None:
        path = self._path(self._runs)
        if path is None:
            return
        metadata = {"identity": self.identity, "iteration": number, "seconds": self.seconds}
        storage.write_tensors(path, state, {"kind": "checkpoint", **metadata})

    def _restore(self, state: dict[str, torch.Tensor], parts: int) -> int:
        path = self._path(self._runs)
        if path is None or not path.is_file():
            return 0
        try:
            tensors, metadata = self._read(path)
            kept = {
                iteration: {name: t.clone() for name, t in self._read(file)[0].items()}
                for iteration in self.snapshot_iterations
                if iteration * parts <= metadata["iteration"]  # later ones are made anew
                if (file := self._snapshot_path(iteration)) and file.is_file()
            }
        except InputError as error:
            log.warning("starting over: %s", error)
            return 0
        for name, tensor in state.items():
            tensor.data.copy_(tensors[name])
        self.snapshots |= kept
        self.seconds = metadata["seconds"]
        log.info("%s: continuing at step %d", self.label, metadata["iteration"])
        return metadata["iteration"]

    def _read(self, path: Path) -> tuple[dict[str, torch.Tensor], dict]:
        tensors, metadata = storage.read_tensors(path)
        if metadata.get("identity") != self.identity:
            raise InputError(f"the checkpoint was made with other options or other code ({path})")
        return tensors, metadata


def _check(state: dict[str, torch.Tensor]) -> None:
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise FloatingPointError(f"{name} is no longer finite")
