"""The terminal during a run: a line per job with what is left, and the failed jobs last."""

import atexit
import io
import logging
import os

import pytest
from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent

from condensation.workflow import terminal


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines(clock):
    """Lines of a run of five jobs: four of ten seconds and one of a minute."""
    seconds = {1: 10, 2: 10, 3: 10, 4: 10, 5: 60}
    return terminal.JobLines(seconds, DefaultFormatter(), clock)


def record(event=None, text="", **values):
    created = logging.makeLogRecord({"msg": text, "event": event, "levelno": logging.INFO})
    vars(created).update(values)
    return created


def started(job, title="Condensing"):
    return record(
        LogEvent.JOB_INFO, jobid=job, rule_msg=title, rule_name="condense", reason="x" * 999
    )


def finished(job):
    return record(LogEvent.JOB_FINISHED, "Finished jobid", job_id=job)


def failed(job, *logs, message=None, indent=False, outputs=("absent",), **aux):
    values = {"rule_name": "condense", "rule_msg": message, "log": list(logs), "aux": aux}
    values |= {"output": list(outputs), "indent": indent}
    return record(LogEvent.JOB_ERROR, "Error in rule", jobid=job, **values)


def shown(lines, *records):
    """What the terminal shows, as Snakemake's handler would."""
    return [lines.format(each) for each in records if lines.filter(each)]


def test_a_job_is_one_line_with_a_count(lines):
    (line,) = shown(lines, started(1, "Condensing digits by dm"), finished(1))
    assert "job 1 of 5]" in line and line.endswith("Condensing digits by dm")
    assert "\n" not in line and "xxx" not in line


def test_what_is_left_follows_the_pace_of_the_run(lines, clock):
    """Three of five jobs, but 30 of 100 expected seconds: seven thirds of the time is left."""
    shown(lines, *(started(job) for job in (1, 2, 3)))
    clock.now = 90.0
    shown(lines, finished(1), finished(2))
    assert "left" not in shown(lines, started(4))[0], "two jobs are too few to tell"
    (line,) = shown(lines, finished(3), started(5))
    assert "about 3.5 min left" in line  # 90 s * 70 / 30 = 210 s


def test_what_is_left_of_unknown_jobs_is_said(clock):
    """Job 5 counts for nothing at first, and for the 60 seconds that it took once it is done."""
    lines = terminal.JobLines({1: 10, 2: 10, 3: 10, 4: 30, 5: None}, logging.Formatter(), clock)
    shown(lines, *(started(job) for job in (1, 2, 3, 5)))
    clock.now = 60.0
    shown(lines, *(finished(job) for job in (1, 2, 3)))
    assert "at least 60 s left" in shown(lines, started(4))[0]
    shown(lines, finished(5))
    assert "about 20 s left" in shown(lines, started(4))[0]  # 60 s * 30 / 90
    shown(lines, finished(4))
    assert "about 1 s left" in shown(lines, started(4))[0]


@pytest.mark.parametrize(
    "silent",
    [
        record(text="Select jobs to execute..."),
        record(LogEvent.JOB_STARTED, "Execute 2 jobs..."),
        record(LogEvent.PROGRESS, "", done=1, total=5),
        record(
            text="RuleException:\nCalledProcessError in file rules/evaluation.smk, line 36:\n"
            "Command 'python x.py' returned non-zero exit status 1."
        ),
        record(LogEvent.JOB_INFO, jobid=9, rule_msg=None),  # a target rule
    ],
)
def test_what_surrounds_jobs_is_silent(lines, silent):
    assert shown(lines, silent) == []


def test_other_messages_stay(lines):
    for text in (
        "WorkflowError: At least one job did not complete successfully.",
        "RuleException:\nCalledProcessError in file x, line 36:\nCommand 'x' died with SIGKILL: 9.",
    ):
        assert shown(lines, record(text=text)) == [text]


def test_failed_jobs_come_last_with_the_end_of_their_logs(lines, tmp_path):
    log = tmp_path / "dm.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    shown(lines, started(1, "Condensing by dm"), started(2, "Condensing by kip"))
    (line,) = shown(lines, failed(1, str(log)))
    assert line.endswith("Failed: Condensing by dm")
    text = lines.failures()
    assert text.startswith("\n1 job failed:\n\nCondensing by dm\n")
    assert str(log) in text and "(70 lines before)" in text
    assert "line 70\n" in text and text.endswith("line 99\n") and "line 69\n" not in text
    assert "kip" not in text


def test_the_words_of_a_cluster_stand_beside_the_failed_job(lines, tmp_path):
    """A submission that was refused has no log; an old log is not taken for its own."""
    log = tmp_path / "old.log"
    log.write_text("of an earlier run\n")
    os.utime(log, (0, 0))
    message = "SLURM sbatch failed: invalid partition"
    shown(lines, started(1), failed(1, str(log), message=message, external_jobid="7"))
    text = lines.failures()
    assert f"  {message}\n  external_jobid: 7\n" in text
    assert "earlier run" not in text and "(not written in this run)" in text


def test_a_log_that_was_never_written_is_said(lines, tmp_path):
    shown(lines, started(1), failed(1, str(tmp_path / "absent.log")))
    assert "there is no such file" in lines.failures()


@pytest.mark.parametrize("later", [finished(1), started(1)])
def test_a_job_that_succeeds_at_another_attempt_did_not_fail(lines, later):
    """With --quiet progress no job is said to finish: another start is enough."""
    shown(lines, started(1), failed(1), later)
    assert lines.failures() == ""


def test_a_job_whose_output_is_missing_after_its_script_is_among_the_failed(lines):
    text = "MissingOutputException in rule condense in file x, line 3:\nJob 1 completed"
    assert shown(lines, started(1), record(text=text)) == shown(lines, started(1))
    assert lines.failures().endswith(text + "\n")


def test_a_group_fails_once_with_the_jobs_that_left_no_output(lines, tmp_path):
    """As Snakemake says it: the group, then each of its jobs, none of which has finished."""
    log, output = tmp_path / "slurm.log", tmp_path / "record.json"
    log.write_text("out of memory\n")
    output.touch()
    shown(lines, started(1, "first"), started(2, "second"))
    outputs = {1: [str(output)], 2: [str(tmp_path / "absent")]}
    jobs = [
        {"jobid": job, "rule_name": "evaluate", "log": [], "output": outputs[job]} for job in (1, 2)
    ]
    values = {"job_error_info": jobs, "aux_logs": [str(log)], "groupid": "group"}
    members = [failed(job, indent=True, outputs=outputs[job]) for job in (1, 2)]
    (line,) = shown(lines, record(LogEvent.GROUP_ERROR, "", **values), *members)
    assert line.endswith("Failed: second")
    assert lines.failures().splitlines()[1:] == [
        *("1 job failed:", "", "second", f"  {log}:", "    out of memory")
    ]
    shown(lines, finished(1), finished(2))
    assert lines.failures() == "", "another attempt succeeded"


def test_a_failure_is_noted_whatever_quiet_hides():
    """Snakemake's filter for --quiet rules drops the errors of jobs after ours has seen them."""
    logger = logging.getLogger("snakemake.logging")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.name = "DefaultStreamHandler"
    handler.addFilter(lambda _: False)
    logger.addHandler(handler)
    before = atexit._ncallbacks()
    try:
        terminal.show({1: 1.0}, stream)
        handler.handle(started(1, "Condensing by dm"))
        handler.handle(failed(1))
        assert atexit._ncallbacks() == before + 1
        assert "Condensing by dm" in handler.formatter.failures()
    finally:
        logger.removeHandler(handler)
        atexit.unregister(terminal._write_failures)
    assert stream.getvalue() == ""
