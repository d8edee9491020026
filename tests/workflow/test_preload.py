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
    text = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(60)"
    path = script(tmp_path, text)
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


def test_without_a_server_python_runs_the_script(command, tmp_path):
    path = script(tmp_path, "print('alone')")
    assert run([*command[:-1], tmp_path / "no socket"], path).stdout == "alone\n"


def test_the_server_and_its_forks_end_with_the_process_that_started_it(tmp_path):
    sleeper = script(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(60)")
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
