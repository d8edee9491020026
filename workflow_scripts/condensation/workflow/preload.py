"""Jobs that start without waiting for torch: one process imports it, and forks for each job.

An import of torch takes two to four seconds of a core, more than many small jobs work. ``start``
starts a server that imports the large libraries once, and returns a command that stands for Python.
The command passes its arguments, folder, environment and standard streams to the server. A fork of
the server runs the script; the command waits for it and ends as it ended. Where there is no server,
the command becomes Python itself. The server imports no module of this project, so each job runs
the code as it is at its start.

The command and the server are this file, run as a script: ``preload.py SOCKET SCRIPT`` and
``preload.py --serve DESCRIPTOR LIBRARIES``.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

LIBRARIES = ("torch", "snakemake.script", "pydantic", "pandas", "scipy.stats")
LIBRARIES += ("torchvision.transforms.v2", "seaborn")
# Libraries read it when they are imported: only jobs of one thread can be forks.
THREADS = "OMP_NUM_THREADS"
_PR_SET_PDEATHSIG = 1  # of Linux: a signal for a process whose parent ends
_servers: list[subprocess.Popen] = []  # Python warns about a process without a reference
_THREADS = (THREADS, "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def start(python: str, libraries: Sequence[str] = LIBRARIES) -> str | None:
    """Start the server; it ends with this process.

    Parameters
    ----------
    python : path of the interpreter for the server and its jobs.
    libraries : modules that the server imports, in this order; it leaves out what does not exist.

    Returns
    -------
    str or None
        A shell command to use in place of ``python``; None on systems other than Linux, where a
        fork of a process with large libraries is not safe.
    """
    if sys.platform != "linux":
        return None
    address = str(Path(tempfile.mkdtemp(prefix="preload"), "socket"))
    _open_streams()
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(address)
        except OSError:  # the path is too long, or the file system has no sockets
            shutil.rmtree(Path(address).parent)
            return None
        listener.listen(128)  # early requests wait for the imports
        server = subprocess.Popen(
            [python, __file__, "--serve", str(listener.fileno()), *libraries],
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,  # closes when this process ends
            env={**os.environ, **dict.fromkeys(_THREADS, "1")},
        )
    _servers.append(server)
    return shlex.join([python, "-S", __file__, address])


def _open_streams() -> None:
    """Open /dev/null in place of closed standard streams, or a socket would take their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _run(address: str, arguments: list[str]) -> None:
    """Let the server run a script, and end as it ended; without a server, become Python."""
    python = [sys.executable, *arguments]
    _open_streams()
    is_script = bool(arguments) and arguments[0].endswith(".py")
    connection = socket.socket(socket.AF_UNIX)
    if not is_script or os.environ.get(THREADS) != "1" or connection.connect_ex(address):
        os.execv(python[0], python)
    request = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    # a signal of the terminal reaches the job too, which cleans up and then ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    socket.send_fds(connection, [b"\n"], [0, 1, 2])
    connection.sendall(json.dumps(request).encode() + b"\n")
    reply = connection.recv(100)
    if not reply:
        sys.exit("error: the process that runs the jobs has ended")
    status = int(reply)
    if status < 0:  # a signal ended the job
        with contextlib.suppress(OSError):  # those that cannot be caught need no default
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def _serve(listener: socket.socket, libraries: list[str]) -> list[str]:
    """Fork for each request; return the arguments of a job in its fork, never in the server.

    Libraries are imported while there are no requests.
    """
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    events = selectors.DefaultSelector()
    for source in (listener, ended, sys.stdin):
        events.register(source, selectors.EVENT_READ)
    clients: dict[int, socket.socket] = {}
    while True:
        happened = events.select(0 if libraries else None)
        if libraries and not happened:
            with contextlib.suppress(Exception):  # the job that needs it will say what is wrong
                importlib.import_module(libraries.pop(0))
            gc.freeze()  # a collection in a fork would copy every page
        for key, _ in happened:
            if key.fileobj is listener:
                client = listener.accept()[0]
                request, streams = _receive(client)
                try:
                    pid = os.fork() if request else -1
                except OSError:  # no memory or no process left: the command reports it
                    pid = -1
                if pid == -1:
                    client.close()
                elif pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGINT, interrupt)
                    for opened in (events, listener, ended, wake, client, *clients.values()):
                        opened.close()
                    return _become(request, streams)
                else:
                    clients[pid] = client
                    events.register(client, selectors.EVENT_READ, pid)
                for stream in streams:
                    os.close(stream)
            elif key.fileobj is ended:
                ended.recv(4096)
                _report(clients, events)
            elif key.fileobj is sys.stdin:  # the process that started the server has ended
                for pid in clients:
                    os.kill(pid, signal.SIGTERM)
                shutil.rmtree(Path(listener.getsockname()).parent, ignore_errors=True)
                os._exit(0)
            elif clients.get(key.data) is key.fileobj:  # the command was killed: so is its job
                os.kill(key.data, signal.SIGTERM)
                events.unregister(key.fileobj)


def _receive(client: socket.socket) -> tuple[dict, list[int]]:
    """Return a request and its standard streams; an empty request if the command was killed."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile("rb") as lines:
        text = lines.readline()
    return (json.loads(text) if text.endswith(b"\n") else {}), streams


def _report(clients: dict[int, socket.socket], events: selectors.BaseSelector) -> None:
    """Tell the commands of all jobs that ended how they ended."""
    while clients:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        client = clients.pop(pid)
        with contextlib.suppress(OSError):  # the command may be gone
            client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        with contextlib.suppress(KeyError):
            events.unregister(client)
        client.close()


def _become(request: dict, streams: list[int]) -> list[str]:
    """Take over folder, environment and streams of a command; return its arguments.

    The job ends with the server, because nobody would wait for it any more.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    tempfile.tempdir = None  # the job may have another TMPDIR
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    return request["arguments"]


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        sys.argv = _serve(socket.socket(fileno=int(sys.argv[2])), sys.argv[3:])
        sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        _run(sys.argv[1], sys.argv[2:])
