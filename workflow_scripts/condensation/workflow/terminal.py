"""The terminal during a run: a line per job, and the failed jobs last. Free of torch.

Snakemake writes to the terminal and to a log file. ``show`` changes the terminal alone.
"""

import atexit
import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from condensation.core.progress import duration

_HANDLER = "DefaultStreamHandler"  # Snakemake's name for its output to the terminal
_LOG_LINES = 30  # of a failed job
_FEWEST = 3  # finished jobs for an estimate
# what Snakemake writes around each job besides its message; the reason of a job that a signal or
# another status ended stays
_AROUND_JOBS = re.compile(
    r"Select jobs to execute|Execute \d+ jobs"
    r"|RuleException:\nCalledProcess(?s:.*)returned non-zero exit status 1\.\s*$"
)
_AFTER_JOBS = re.compile(r"MissingOutputException")  # the script ended well, but its job failed


def show(seconds: Mapping[int, float | None], stream: TextIO | None = None) -> None:
    """Show a line per job from now on, and at the exit of this process the failed jobs.

    Parameters
    ----------
    seconds : the expected time of each job of the run, by its id, or None where nobody knows it;
        without target rules.
    stream : where the failed jobs are written; None for the standard error.
    """
    logger = logging.getLogger("snakemake.logging")
    handlers = [handler for handler in logger.handlers if handler.name == _HANDLER]
    for handler in handlers:  # none with a logger plugin
        lines = JobLines(seconds, handler.formatter or logging.Formatter())
        handler.setFormatter(lines)
        handler.filters.insert(0, lines.filter)  # before --quiet hides a failure
        atexit.register(_write_failures, lines, stream)


def _write_failures(lines: "JobLines", stream: TextIO | None) -> None:
    print(lines.failures(), end="", file=stream or sys.stderr)


@dataclass
class _Failure:
    """A failed job, or the jobs of a failed group with the outputs of each."""

    jobs: dict[int, list[str]]
    logs: list[str]
    notes: list[str] = field(default_factory=list)


class JobLines(logging.Formatter):
    """Formats the start of a job as one line; keeps failed jobs for the end.

    Parameters
    ----------
    seconds : the expected time of each job, by its id; None where nobody knows it, until it is
        done. Only their ratios count: the estimate of what is left follows the pace of the run.
    default : formats all other messages.
    clock : seconds since any moment.
    """

    def __init__(
        self,
        seconds: Mapping[int, float | None],
        default: logging.Formatter,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__()
        self._seconds, self._default, self._clock = dict(seconds), default, clock
        self._begin = clock()
        self._begins: dict[int, float] = {}
        self._began_at = time.time() - 1  # times of files come from a coarser clock
        self._titles: dict[int, str] = {}  # of the jobs that started
        self._finished: set[int] = set()
        self._failures: list[_Failure] = []
        self._texts: list[str] = []  # of failures after a script ended

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a message is shown; take note of jobs that start, finish and fail."""
        kind, text = _kind(record), str(record.msg)
        if kind == "job_info":
            return self._note_start(record)
        if kind == "job_finished":
            job = getattr(record, "job_id", None)
            self._finished.add(job)
            if job in self._begins and self._seconds.get(job) is None:
                self._seconds[job] = self._clock() - self._begins[job]
            self._forget(job)  # another attempt had failed
        elif kind == "job_error":
            return self._note_failure(record)
        elif kind == "group_error":
            self._note_group(record)
        elif not kind and _AFTER_JOBS.match(text):
            self._texts.append(text)
            return False
        return kind not in ("job_finished", "progress") and not _AROUND_JOBS.match(text)

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a message."""
        kind = _kind(record)
        if kind == "job_info":
            return self._started(record)
        if kind in ("job_error", "group_error"):
            return f"[{time.strftime('%H:%M:%S')}] Failed: {self._title(self._failures[-1])}"
        return self._default.format(record)

    def failures(self) -> str:
        """Return what failed and did not succeed later, with the ends of the logs."""
        count = len(self._failures) + len(self._texts)
        if not count:
            return ""
        lines = ["", f"{count} job{'s' * (count > 1)} failed:"]
        for failure in self._failures:
            lines += ["", self._title(failure), *(f"  {note}" for note in failure.notes)]
            for log in dict.fromkeys(failure.logs):
                lines += [f"  {log}:", *(f"    {line}" for line in self._end_of(Path(log)))]
        for text in self._texts:
            lines += ["", text]
        return "\n".join(lines) + "\n"

    def _note_start(self, record: logging.LogRecord) -> bool:
        title = getattr(record, "rule_msg", None)
        if title:  # a rule without message only collects files
            self._titles[record.jobid] = title
            self._begins[record.jobid] = self._clock()
            self._forget(record.jobid)
        return bool(title)

    def _started(self, record: logging.LogRecord) -> str:
        count = f"{len(self._titles)} of {len(self._seconds)}"
        return f"[{time.strftime('%H:%M:%S')}, job {count}{self._left()}] {record.rule_msg}"

    def _left(self) -> str:
        done = sum(self._seconds.get(job) or 0.0 for job in self._finished)
        if len(self._finished) < _FEWEST or not done:
            return ""
        left = [each for job, each in self._seconds.items() if job not in self._finished]
        known = sum(each for each in left if each is not None)
        if None in left and not known:
            return ""
        about = "at least" if None in left else "about"
        seconds = (self._clock() - self._begin) * known / done
        return f", {about} {duration(max(1.0, seconds))} left"

    def _note_failure(self, record: logging.LogRecord) -> bool:
        """Note a failed job; return whether it is news: jobs of a group follow the group."""
        job = record.jobid
        if getattr(record, "indent", False) and any(job in each.jobs for each in self._failures):
            return False
        self._forget(job)
        notes = [text for text in [getattr(record, "rule_msg", None)] if text]
        notes += [f"{key}: {value}" for key, value in (getattr(record, "aux", None) or {}).items()]
        self._titles.setdefault(job, f"rule {record.rule_name}")
        self._failures.append(_Failure({job: list(record.output)}, list(record.log), notes))
        return True

    def _note_group(self, record: logging.LogRecord) -> None:
        members = record.job_error_info
        for job in members:
            self._forget(job["jobid"])
            self._titles.setdefault(job["jobid"], f"rule {job['rule_name']}")
        logs = [*record.aux_logs, *(log for job in members for log in job["log"])]
        outputs = {job["jobid"]: list(job["output"]) for job in members}
        self._failures.append(_Failure(outputs, logs))

    def _forget(self, job: int | None) -> None:
        self._failures = [failure for failure in self._failures if job not in failure.jobs]

    def _title(self, failure: _Failure) -> str:
        """Return the titles of the jobs whose outputs are not there."""
        absent = [
            job
            for job, outputs in failure.jobs.items()
            if not all(Path(output).exists() for output in outputs)
        ]
        titles = [self._titles[job] for job in absent or failure.jobs]
        return titles[0] if len(titles) == 1 else f"in a group: {'; '.join(titles)}"

    def _end_of(self, log: Path) -> list[str]:
        try:
            if log.stat().st_mtime < self._began_at:
                return ["(not written in this run)"]
            lines = log.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
        except OSError:
            return ["(there is no such file)"]
        left_out = len(lines) - _LOG_LINES
        return [f"({left_out} lines before)", *lines[-_LOG_LINES:]] if left_out > 0 else lines


def _kind(record: logging.LogRecord) -> str:
    event: Any = getattr(record, "event", None)
    return getattr(event, "value", event) or ""
