"""What a run survives: kills, full disks, two runs at once, damaged files, a bug.

Each fault is put into a small real run; afterwards the results must be those of an undisturbed run,
byte for byte.
"""

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import psutil
import pytest
from conftest import (
    ROOT,
    SMALL,
    SMALL_METHOD,
    contents,
    copy_run,
    small_checkout,
    snakemake,
)

from condensation.core import checksums, storage
from condensation.core.errors import InputError
from condensation.workflow import made_from

KILLS = int(os.environ.get("KILLS", "20"))
TABLE = "results/tables/accuracy.csv"
# the run that shows what exists must take over each option
POISONED = (*SMALL, "--config", "figures_dir=lost", "--config=figures_dir=figures")
POISON = "raise RuntimeError('a bug of my own')"


def assert_same(files: dict[str, bytes], expected: dict[str, bytes], context: object) -> None:
    assert files.keys() == expected.keys(), context
    assert [name for name in expected if files[name] != expected[name]] == [], context


# --- a bug in one method --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poisoned(small_run, tmp_path_factory):
    """A run with --keep-going in which a user's method raises; its folder and its output."""
    folder = copy_run(small_run, tmp_path_factory.mktemp("faults") / "checkout")
    for name in ("results/digits/mine", "results/tables", "results/leaderboard", "figures"):
        shutil.rmtree(folder / name)
    (folder / "mine.py").write_text(SMALL_METHOD.format(first_line=POISON))
    with (folder / "small.yaml").open("a") as file:
        file.write("figures_dir: elsewhere\n")
    done = snakemake(folder, "--cores", "2", "--keep-going", *POISONED)
    return folder, done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def mended(poisoned):
    """The same command after the bug was mended; the folder's state before is beside it."""
    folder = poisoned[0]
    before = folder.parent / "poisoned"
    shutil.copytree(folder / "results", before / "results", copy_function=shutil.copy2)
    shutil.copytree(folder / "figures", before / "figures")
    (folder / "mine.py").write_text(SMALL_METHOD.format(first_line="pass"))
    done = snakemake(folder, "--cores", "2", "--keep-going", *POISONED)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, before, done.stdout + done.stderr


@pytest.mark.slow
def test_a_poisoned_cell_is_a_hole_in_tables_figures_and_leaderboard(poisoned, mended):
    _, status, output = poisoned
    folder, holed, _ = mended
    assert status != 0, "a bug is no success"
    assert "RuntimeError: a bug of my own" in output
    assert "What failed reads `missing`" in output
    table = pd.read_csv(holed / TABLE).set_index("method")
    assert list(table["missing"]) == [0, 1, 0]
    assert pd.isna(table.loc["mine", "mean"]) and table.loc[["random", "dm"], "mean"].min() > 0
    text = (holed / "results/tables/accuracy.md").read_text()
    assert (
        re.search(r"mine .*\| missing", text) and "Incomplete: 1 of 3 networks are missing" in text
    )
    assert "mine" not in (holed / "results/tables/table8.md").read_text(), "it has no cost"
    page = (holed / "results/leaderboard/index.html").read_text()
    assert '<span class="failed">missing</span>' in page
    missing = set(contents(folder)) - set(contents(holed))
    assert {name.split("/")[2] for name in missing} == {"mine"}, "all else is there"


@pytest.mark.slow
def test_failed_jobs_are_the_last_thing_on_the_screen_each_once(poisoned):
    _, _, output = poisoned
    assert "Reason:" not in output and "Finished jobid" not in output
    before, _, last = output.partition("\n1 job failed:\n\n")
    lines = last.splitlines()
    assert lines[0] == "Condensing digits by mine, IPC 1, set 0"
    assert lines[1] == "  results/logs/condense/digits/mine/ipc1/set0.log:"
    assert lines[-1] == "    RuntimeError: a bug of my own", "and nothing follows"
    assert "What failed reads `missing`" in before and "Traceback" not in before
    assert last.count("Traceback") == 1
    assert len(re.findall(r"^\[\d\d:\d\d:\d\d, job \d+ of \d+.*\] \w", before, re.M)) >= 3


@pytest.mark.slow
def test_the_mended_method_runs_alone_and_fills_the_hole(mended, small_run):
    folder, _, output = mended
    jobs = re.findall(r"(?:Condensing|Evaluating|Preparing).*", output)
    assert jobs and all("mine" in job for job in jobs)
    table = pd.read_csv(folder / TABLE)
    assert list(table["missing"]) == [0, 0, 0] and table["mean"].min() > 0
    assert_same(contents(folder), contents(small_run), "mended")
    again = snakemake(folder, "-n", *POISONED)
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.slow
def test_partial_tables_compute_nothing_that_is_missing(small_run, tmp_path):
    folder = copy_run(small_run, tmp_path / "checkout")
    lost = folder / "results/digits/random/ipc1/set0/evaluation/small/dsa/sgd/seeds0-0.json"
    lost.unlink()
    old = folder / "results/digits/dm/ipc1/set0/evaluation/small/dsa/sgd/seeds0-0.json"
    record = storage.read_json(old)
    record["options"]["protocol"]["epochs"] = 3
    storage.write_json(old, record)
    (folder / "workflow_scripts/condensation/methods/dm.py").write_text("broken = True")
    done = snakemake(folder, "--cores", "2", "tables", "--config", "partial=true", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(folder / TABLE).set_index("method")
    assert dict(table["missing"]) == {"random": 1, "mine": 0, "dm": 1}
    assert not lost.exists()
    assert "an old result" in (folder / "results/logs/make_tables.log").read_text()


# --- kills ----------------------------------------------------------------------------------------


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", TABLE, *SMALL],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def a_job_of(running: subprocess.Popen, draw: random.Random) -> psutil.Process | None:
    """A process of a rule's script, as soon as there is one; None where the run ends before."""
    while running.poll() is None:
        try:
            children = psutil.Process(running.pid).children(recursive=True)
            jobs = [
                child for child in children if ".snakemake/scripts" in " ".join(child.cmdline())
            ]
        except psutil.Error:
            jobs = []
        if jobs:
            return draw.choice(jobs)
        time.sleep(0.02)
    return None


def kill(running: subprocess.Popen, target: str, draw: random.Random) -> bool:
    """Kill -9 a job, Snakemake (its jobs live on), or all; False where all was over."""
    if target == "job":
        job = a_job_of(running, draw)
        if job is None:
            return False
        job.kill()
        running.wait(600)
        return True
    if running.poll() is not None:
        return False
    if target == "snakemake":
        running.kill()
    else:
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    return True


@pytest.mark.slow
def test_kill_9_of_jobs_of_snakemake_and_of_both_changes_no_byte(small_run, tmp_path):
    names = ("dataset.safetensors", "condensed.safetensors", "seeds0-0.json", "accuracy.csv")
    names += ("runs.csv", "per_class.csv", "accuracy.md", "snapshots.safetensors")
    expected = {n: c for n, c in contents(small_run).items() if n.endswith(names)}
    seed = int(os.environ.get("KILL_SEED", random.randrange(10**6)))
    draw, events = random.Random(seed), [f"KILL_SEED={seed}"]
    folder = small_checkout(tmp_path / "run")
    killed = finished = in_a_row = 0
    while killed < KILLS or in_a_row:
        running = start(folder)
        moment = draw.uniform(0.3, 8.0)  # starting takes 2 to 3 s, a job some 4
        target = draw.choice(("job", "snakemake", "both"))
        # now and then what was killed is let finish, and the next begins anew
        if killed < KILLS and in_a_row < 7:
            try:
                running.wait(moment)
            except subprocess.TimeoutExpired:
                if kill(running, target, draw):
                    killed, in_a_row = killed + 1, in_a_row + 1
                    events.append(f"{target} after {moment:.1f} s")
                    if target != "job":
                        unlocked = snakemake(folder, "--unlock", TABLE, *SMALL)
                        assert unlocked.returncode == 0, (events, unlocked.stderr)
                    continue
        running.wait(600)
        assert running.returncode == 0, events
        files = {n: c for n, c in contents(folder).items() if n.endswith(names)}
        assert_same(files, expected, events)
        leftover = [path.name for path in (folder / "results").rglob("*checkpoint*")]
        assert leftover == [], events
        finished, in_a_row = finished + 1, 0
        shutil.rmtree(folder / "results")
    print(f"{killed} kills, {finished} finished runs: {', '.join(events)}")


@pytest.mark.slow
def test_two_runs_in_one_folder_do_not_mix(tmp_path):
    folder = small_checkout(tmp_path / "checkout")
    target = "results/digits/random/ipc1/set0/condensed.safetensors"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", target, *SMALL]
    first = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not list(folder.glob(".snakemake/locks/*")):
        assert first.poll() is None
        time.sleep(0.05)
    second = snakemake(folder, "--cores", "1", target, *SMALL)
    assert second.returncode != 0 and "cannot be locked" in second.stdout + second.stderr
    output, _ = first.communicate(timeout=600)
    assert first.returncode == 0, output
    storage.read_tensors(folder / target)


WRITER = """
import sys
sys.path.insert(0, {scripts!r})
import torch
from condensation.core import storage
for number in range(150):
    storage.write_tensors("shared.safetensors", {{"x": torch.full((20_000,), float(number))}}, {{}})
    storage.write_json("shared.json", {{"rows": list(range(number))}})
"""


@pytest.mark.slow
def test_two_writers_of_one_file_leave_a_whole_file(tmp_path):
    """Like a job whose Snakemake was killed and the job started in its place."""
    code = WRITER.format(scripts=str(ROOT / "workflow_scripts"))
    writers = [subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) for _ in range(2)]
    copies = tmp_path / "copies"
    copies.mkdir()
    reads = 0
    while any(writer.poll() is None for writer in writers):
        for name, read in (
            ("shared.safetensors", storage.read_tensors),
            ("shared.json", storage.read_json),
        ):
            if (tmp_path / name).exists():
                shutil.copy(tmp_path / name, copies)  # as it is at one moment
                read(copies / name)
                reads += 1
    assert reads > 20
    assert [writer.returncode for writer in writers] == [0, 0]
    assert {path.name for path in tmp_path.glob("*.*")} == {"shared.safetensors", "shared.json"}


def test_what_killed_writers_left_is_cleared_away(tmp_path):
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT / "workflow_scripts")!r})
from condensation.core import storage
with storage.atomic("result.txt") as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), 9)
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert killed.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1 and not (tmp_path / "result.txt").exists()
    storage.write_text(tmp_path / "result.txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["result.txt"]


# --- disks ----------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path, size: str):
    """A file system of its own at ``folder``; skips where none can be mounted."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("no file system can be mounted here: that needs root")
    try:
        yield lambda options: subprocess.run(
            ["mount", "-o", f"remount,{options}", str(folder)], check=True
        )
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


DATASET = "results/digits/dataset.safetensors"
CHOSEN = "results/digits/random/ipc1/set0/condensed.safetensors"


@pytest.mark.slow
def test_a_full_and_a_read_only_disk_are_named_and_leave_no_half_written_file(small_run, tmp_path):
    folder = small_checkout(tmp_path / "checkout")
    with small_disk(folder / "results", "96k") as remount:
        done = snakemake(folder, "--cores", "1", DATASET, *SMALL)
        output = done.stdout + done.stderr
        assert done.returncode != 0 and "No space left on device" in output, output
        assert "Traceback" not in output
        assert [path.name for path in (folder / "results/digits").glob("*")] == []
        remount("size=8m")
        done = snakemake(folder, "--cores", "1", DATASET, *SMALL)
        assert done.returncode == 0, done.stdout + done.stderr
        remount("ro")
        before = contents(folder)
        done = snakemake(folder, "--cores", "1", CHOSEN, *SMALL)
        output = done.stdout + done.stderr
        assert done.returncode != 0 and "Read-only file system" in output, output
        assert contents(folder) == before
        remount("rw")
        done = snakemake(folder, "--cores", "1", CHOSEN, *SMALL)
        assert done.returncode == 0, done.stdout + done.stderr
        for path in (DATASET, CHOSEN):
            assert (folder / path).read_bytes() == (small_run / path).read_bytes()


@pytest.mark.parametrize("kind", ["tensors", "json", "text"])
def test_a_full_disk_leaves_the_old_file(tmp_path, kind):
    import torch

    with small_disk(tmp_path / "disk", "64k"):
        path = tmp_path / "disk" / "file"
        path.write_text("old")
        with pytest.raises(OSError, match="No space left on device"):
            if kind == "tensors":
                storage.write_tensors(path, {"x": torch.zeros(100_000)}, {})
            elif kind == "json":
                storage.write_json(path, {"rows": list(range(50_000))})
            else:
                storage.write_text(path, "x" * 200_000)
        assert path.read_text() == "old"
        assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.slow
def test_a_run_needs_no_temporary_folder(small_run, tmp_path):
    folder = small_checkout(tmp_path / "checkout")
    done = snakemake(folder, "--cores", "1", DATASET, *SMALL, TMPDIR=str(tmp_path / "nowhere"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / DATASET).read_bytes() == (small_run / DATASET).read_bytes()


# --- downloads ------------------------------------------------------------------------------------

DOWNLOAD = """
import sys
sys.path.insert(0, {scripts!r})
from condensation.files import download, official
download.fetch(official.Archive("file.bin", ({url!r},), {checksum!r}), "file.bin")
"""


def test_a_killed_download_is_continued(tmp_path):
    content = random.Random(0).randbytes(3_000_000)
    ranges = []

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self):
            requested = self.headers.get("Range")
            ranges.append(requested)
            first = int(re.search(r"\d+", requested)[0]) if requested else 0
            self.send_response(206 if requested else 200)
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            if requested:
                self.wfile.write(content[first:])
                return
            self.wfile.write(content[:2_500_000])
            self.wfile.flush()
            time.sleep(20)  # and never the rest

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = DOWNLOAD.format(
        scripts=str(ROOT / "workflow_scripts"),
        url=f"http://127.0.0.1:{server.server_port}/file.bin",
        checksum="sha256:" + hashlib.sha256(content).hexdigest(),
    )
    environment = {**os.environ, "no_proxy": "127.0.0.1"}
    started = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    partial = tmp_path / "file.bin.part"
    waited = time.monotonic() + 120
    while not (partial.exists() and partial.stat().st_size) and time.monotonic() < waited:
        time.sleep(0.05)
    started.kill()
    started.wait()
    have = partial.stat().st_size
    assert not (tmp_path / "file.bin").exists() and 0 < have < len(content)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    server.shutdown()
    assert (tmp_path / "file.bin").read_bytes() == content
    assert ranges == [None, f"bytes={have}-"]
    assert not partial.exists()


# --- damaged files --------------------------------------------------------------------------------


def flipped(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


@pytest.mark.slow
def test_every_file_of_a_run_has_a_checksum_that_notices_any_damage(small_run, tmp_path):
    folder = copy_run(small_run, tmp_path / "checkout")
    checked = dict(checksums.verify([folder / "results", folder / "figures"]))
    assert set(checked.values()) == {None}
    files = {
        path
        for top in ("results", "figures")
        for path in (folder / top).rglob("*")
        if path.is_file()
        and not {"logs", "benchmarks"} & set(path.parts)
        and not path.name.endswith(".sha256")
        and path.name != made_from.NAME  # no result: what cannot be read is written anew
    }
    assert set(checked) == files and len(files) > 30
    draw = random.Random(0)
    for path in sorted(files):
        content, stat = path.read_bytes(), path.stat()
        for damaged in (flipped(content, draw), cut(content, draw), content[:-1]):
            path.write_bytes(damaged)
            try:
                broken = [p for p, problem in checksums.verify([path.parent]) if problem]
                assert set(broken) == {path}, (len(content), len(damaged))
            finally:
                path.write_bytes(content)
                os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


DAMAGED = (
    *("results/config.yaml", "results/tables/runs.csv", "results/tables/accuracy.csv"),
    *("results/tables/table8.tex", "figures/condensed_digits.png"),
    "results/digits/random/ipc1/set0/evaluation/small/dsa/sgd/seeds0-0.json",
    *("results/digits/dm/ipc1/set0/snapshots.safetensors", "results/leaderboard/index.html"),
    *("results/digits/mine/ipc1/set0/cost.json", "results/provenance.json"),
)


@pytest.mark.slow
def test_damaged_files_are_named_and_remade_by_the_documented_command(small_run, tmp_path):
    folder = copy_run(small_run, tmp_path / "checkout")
    draw = random.Random(1)
    for path in DAMAGED:
        stat = (folder / path).stat()
        damage = draw.choice((flipped, cut))
        (folder / path).write_bytes(damage((folder / path).read_bytes(), draw))
        os.utime(folder / path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a disk does it
    for target, path in (
        ("results/tables/statistics.md", "results/(tables/runs.csv|config.yaml)"),
        ("figures/figure2.png", "results/tables/accuracy.csv"),
    ):
        done = snakemake(folder, "--cores", "1", target, "--forcerun", target, *SMALL)
        output = done.stdout + done.stderr
        assert done.returncode != 0 and re.search(f"error: {path}: .*checksum", output), output
        assert "Traceback" not in output
    command = re.search(r"snakemake --cores all --forcerun (\$\(.*\))", _documentation())[1]
    listed = subprocess.run(
        command[2:-1].replace("condensation ", f"{sys.executable} -m condensation "),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": "workflow_scripts"},
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 1
    assert set(DAMAGED) <= set(listed.stdout.split())
    done = snakemake(folder, "--cores", "2", "--forcerun", *listed.stdout.split(), *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same(contents(folder), contents(small_run), DAMAGED)
    assert {problem for _, problem in checksums.verify([folder / "results"])} == {None}


def _documentation() -> str:
    return (ROOT / "docs/faults.md").read_text()


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / "table.csv").write_text("a\n1\n")
    checksums.write(tmp_path / "table.csv")
    checksums.check(tmp_path / "table.csv")
    done = subprocess.run(
        ["sha256sum", "-c", ".table.csv.sha256"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, "another program agrees"
    (tmp_path / "table.csv").unlink()
    with pytest.raises(InputError, match="is gone"):
        checksums.check(tmp_path / "table.csv")
    assert [path.name for path, problem in checksums.verify([tmp_path]) if problem] == ["table.csv"]
