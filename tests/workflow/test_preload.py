"""A script that a fork of the server runs behaves as one that Python runs."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from condensation.workflow import preload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no server elsewhere")
LIBRARY = "colorsys"  # small, and nothing else imports it
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "SOME": "välue"}
SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
DESCRIBE = """
import json, os, sys, threading
print(json.dumps([sys.argv, os.getcwd(), dict(os.environ), sys.path[0], __name__, __file__]))
print("to the error stream", file=sys.stderr)
print(sys.stdin.read())
"""


@pytest.fixture(scope="module")
def command():
    """Return the command of a server that lives as long as the module's tests."""
    return shlex.split(preload.start(sys.executable, [LIBRARY, "no_such_library"]))


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def run(command, *arguments, **options):
    options = {"env": ENVIRONMENT, "text": True, **options}
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, **options)


def script(folder, text):
    path = folder / "script.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_fork_has_the_arguments_folder_environment_and_streams(command, tmp_path):
    path = script(tmp_path, DESCRIBE)
    direct, forked = (
        run(program, path, "an argument", cwd=tmp_path, input="to the input")
        for program in ([sys.executable], command)
    )
    assert forked.stdout == direct.stdout and "to the input" in direct.stdout
    assert forked.stderr == direct.stderr
    assert json.loads(direct.stdout.splitlines()[0])[2]["SOME"] == "välue"


@pytest.mark.parametrize(
    "text",
    [
        "import sys; sys.exit(3)",
        "import sys; sys.exit('a message')",
        "raise ValueError('a mistake')",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "import atexit; atexit.register(print, 'the end')",
        "import signal; print(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGCHLD))",
    ],
)
def test_a_fork_ends_as_python_ends(command, tmp_path, text):
    path = script(tmp_path, text)
    direct, forked = run([sys.executable], path), run(command, path)
    assert forked.returncode == direct.returncode
    assert forked.stdout == direct.stdout
    # a traceback also names the lines that ran the script
    assert forked.stderr.splitlines()[-1:] == direct.stderr.splitlines()[-1:]


def test_a_fork_has_the_libraries_but_no_module_of_the_project(command, tmp_path):
    path = script(tmp_path, "import sys; print(*sys.modules)")
    wait_until(lambda: LIBRARY in run(command, path).stdout.split())
    loaded = run(command, path).stdout.split()
    assert not [name for name in loaded if name.startswith("condensation")]


def test_forks_run_side_by_side(command, tmp_path):
    meet = """
import pathlib, sys, time
mine, other = map(pathlib.Path, sys.argv[1:])
mine.touch()
while not other.exists(): time.sleep(0.01)
"""
    path = script(tmp_path, meet)
    names = [tmp_path / "a", tmp_path / "b"]
    both = [
        subprocess.Popen([*command, path, *order], env=ENVIRONMENT)
        for order in (names, names[::-1])
    ]
    assert [process.wait(20) for process in both] == [0, 0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_command_ends_its_fork(command, tmp_path, number):
    path = script(tmp_path, SLEEP)
    started = subprocess.Popen([*command, path], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    fork = int(started.stdout.readline())
    assert fork != started.pid and Path(f"/proc/{fork}").exists()
    started.send_signal(number)
    wait_until(lambda: not Path(f"/proc/{fork}").exists())
    started.communicate()
    assert run(command, script(tmp_path, "print('still there')")).stdout == "still there\n"


@pytest.mark.parametrize(
    ("arguments", "threads"),
    [(["-c", "import sys; print({!r} in sys.modules)"], "1"), (["script.py"], "2")],
    ids=["no script", "two threads"],
)
def test_what_no_fork_may_run_is_run_by_python(command, tmp_path, arguments, threads):
    text = f"import sys; print({LIBRARY!r} in sys.modules)"
    script(tmp_path, text)
    arguments = [argument.format(LIBRARY) for argument in arguments]
    environment = {**ENVIRONMENT, "OMP_NUM_THREADS": threads}
    assert run(command, *arguments, cwd=tmp_path, env=environment).stdout == "False\n"


def test_a_job_of_a_shell_in_the_background_ignores_interrupts(tmp_path):
    """Shells start such processes with the interrupt ignored, and Python keeps that."""
    path = script(tmp_path, "import signal; print(signal.getsignal(signal.SIGINT))")
    starter = f"""
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path.insert(0, {str(Path(preload.__file__).parents[2])!r})
from condensation.workflow import preload
for python in (sys.executable, preload.start(sys.executable, [])):
    subprocess.run(python + " {path}", shell=True, check=True)
"""
    done = run([sys.executable], "-c", starter)
    assert done.stdout.splitlines() == [str(int(signal.SIG_IGN))] * 2, done.stderr


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_stream_is_no_socket_of_ours(command, tmp_path, closed):
    path = script(tmp_path, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(5)")
    text = f"{shlex.join([*command, str(path)])} {closed}{'<' if closed == 0 else '>'}&-"
    done = subprocess.run(["bash", "-c", text], env=ENVIRONMENT, capture_output=True, text=True)
    expected = ["out\n", "err\n"]
    if closed:
        expected[closed - 1] = ""
    assert (done.returncode, [done.stdout, done.stderr]) == (5, expected)


def test_a_job_finishes_its_cleanup_after_an_interrupt(command, tmp_path):
    text = """
import os, pathlib, sys, time
try:
    print(os.getpid(), flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.5)
    pathlib.Path(sys.argv[1]).write_text("cleaned up")
    sys.exit(7)
"""
    path, trace = script(tmp_path, text), tmp_path / "trace"
    started = subprocess.Popen(
        [*command, path, trace], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    fork = int(started.stdout.readline())
    for process in (started.pid, fork):  # as a terminal does
        os.kill(process, signal.SIGINT)
    assert started.wait(20) == 7
    assert trace.read_text() == "cleaned up"


def test_a_library_that_fails_to_load_stops_no_job(tmp_path):
    Path(tmp_path, "broken_library.py").write_text("raise RuntimeError('it does not fit')")
    environment = {**ENVIRONMENT, "PYTHONPATH": str(tmp_path)}
    look = script(tmp_path, f"import sys; print({LIBRARY!r} in sys.modules)")
    starter = f"""
import subprocess, sys
sys.path.insert(0, {str(Path(preload.__file__).parents[2])!r})
from condensation.workflow import preload
command = preload.start(sys.executable, ["broken_library", {LIBRARY!r}])
for _ in range(20):
    subprocess.run(f"{{command}} {look}", shell=True, check=True)
"""
    done = run([sys.executable], "-c", starter, env=environment, timeout=60)
    assert done.stdout.split()[-1] == "True", done.stderr


def test_a_job_ends_with_its_server(command, tmp_path):
    starter = f"""
import os, signal, subprocess, sys
sys.path.insert(0, {str(Path(preload.__file__).parents[2])!r})
from condensation.workflow import preload
command = preload.start(sys.executable, [])
job = subprocess.Popen(command + " {script(tmp_path, SLEEP)}", shell=True, stdout=subprocess.PIPE)
fork = int(job.stdout.readline())
os.kill(preload._servers[0].pid, signal.SIGKILL)
print(fork, job.wait())
"""
    done = run([sys.executable], "-c", starter, env={**ENVIRONMENT, "TMPDIR": str(tmp_path)})
    fork, status = map(int, done.stdout.split())
    assert status == 1 and "the process that runs the jobs has ended" in done.stderr
    wait_until(lambda: not Path(f"/proc/{fork}").exists())


def test_without_a_server_python_runs_the_script(command, tmp_path):
    path = script(tmp_path, "print('alone')")
    assert run([*command[:-1], tmp_path / "no socket"], path).stdout == "alone\n"


def test_the_server_and_its_forks_end_with_the_process_that_started_it(tmp_path):
    sleeper = script(tmp_path, SLEEP)
    starter = f"""
import subprocess, sys
sys.path.insert(0, {str(Path(preload.__file__).parents[2])!r})
from condensation.workflow import preload
command = preload.start(sys.executable, [])
job = subprocess.Popen(command + " {sleeper}", shell=True, stdout=subprocess.PIPE)
print(job.stdout.readline().decode().strip(), command.split()[-1], flush=True)
"""
    environment = {**ENVIRONMENT, "TMPDIR": "/tmp"}
    done = run([sys.executable], "-c", starter, env=environment, timeout=30)
    fork, address = done.stdout.split()
    wait_until(lambda: not Path(f"/proc/{fork}").exists())
    wait_until(lambda: not Path(address).parent.exists())


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "loaded"), [(8, "True"), (7, "False")])
def test_scripts_of_a_run_with_enough_jobs_are_forks(tmp_path, jobs, loaded):
    script(
        tmp_path, "import sys; open(snakemake.output[0], 'w').write(str('torch' in sys.modules))"
    )
    snakefile = f"""
include: {str(ROOT / "rules" / "common.smk")!r}
onstart: preload_libraries()
rule everything:
    default_target: True
    input: expand("{{number}}.txt", number=range({jobs}))
rule look:
    output: "{{number}}.txt"
    script: "script.py"
"""
    Path(tmp_path, "Snakefile").write_text(snakefile)
    run([sys.executable], "-m", "snakemake", "--cores", "2", cwd=tmp_path, check=True)
    assert {path.read_text() for path in tmp_path.glob("*.txt")} == {loaded}
