"""Progress of a job: a bar on a terminal, lines in a log."""

import logging
import sys
import time

from tqdm import tqdm

log = logging.getLogger("condensation")

LINE_EVERY = 30.0  # seconds between plain lines


def say(text: str) -> None:
    """Print a line on the terminal and in the log."""
    log.info("%s", text)
    print(text, file=sys.stderr, flush=True)


class Progress:
    """Count to ``total``: a bar if stderr is a terminal, and a log line every 30 s."""

    def __init__(self, label: str, total: int, done: int = 0):
        self.label, self.total, self.done = label, total, done
        self._first, self._began = done, time.monotonic()
        self._last_line = self._began
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self._bar = (
            tqdm(desc=label, total=total, initial=done, leave=False, dynamic_ncols=True)
            if terminal
            else None
        )

    def step(self) -> None:
        """Count one more."""
        self.done += 1
        if self._bar is not None:
            self._bar.update()
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY or self.done == self.total:
            self._last_line = now
            each = (now - self._began) / max(1, self.done - self._first)
            left = each * (self.total - self.done)
            log.info(
                "%s: %d of %d, %s each, %s left",
                *(self.label, self.done, self.total, duration(each), duration(left)),
            )
        if self.done == self.total and self._bar is not None:
            self._bar.close()


def duration(seconds: float) -> str:
    """Return a duration in ms, s, min or h."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    hours = seconds / 3600
    return f"{hours:.3g} h" if hours < 1000 else f"{hours:,.0f} h"
