"""A real Slurm of one node on the loopback interface, with pretended GPUs, for the tests.

    python tests/slurm_node.py start     as root, where slurmctld, slurmd and munge are installed
    python tests/slurm_node.py jobs      what Slurm knows of each job, one JSON object a line
    python tests/slurm_node.py stop

Slurm reads its configuration from /etc/slurm alone once a job runs (Snakemake's job step clears
SLURM_CONF), so the files are written there; a Slurm that is already configured is left alone.
"""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

ETC = Path("/etc/slurm")
MARK = "# made by tests/slurm_node.py"
STATE = Path("/var/tmp/slurm_node")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
CPUS, MEMORY_MB, GPUS = 4, 64_000, 3  # more GPUs than cores of a small test machine
SHARDS = 2 * GPUS  # of all GPUs
_SECONDS = 30


def obstacle() -> str | None:
    """Return why no node can be brought up here, or None."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: slurmctld slurmd slurm-client munge)"
    if os.geteuid() != 0:
        return "a Slurm node needs root"
    for name in ("slurm.conf", "gres.conf"):
        path = ETC / name
        if path.exists() and MARK not in path.read_text():
            return f"{path} is there: this machine has a Slurm of its own"
    return None


def start() -> None:
    """Configure and start munged, slurmctld and slurmd; return once the node takes jobs."""
    if reason := obstacle():
        raise RuntimeError(reason)
    stop()
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True)
    _start_munge()
    _configure()
    for program in ("slurmctld", "slurmd"):
        # on the foreground: their process ids are ours to know
        with (STATE / f"{program}.out").open("w") as output:
            daemon = subprocess.Popen(
                [program, "-D"], stdout=output, stderr=output, start_new_session=True
            )
        (STATE / f"{program}.pid").write_text(str(daemon.pid))
        if program == "slurmctld":
            _wait("slurmctld", lambda: "UP" in _output("scontrol", "ping"))
    _wait("the node", lambda: "idle" in _output("sinfo", "-h", "-o", "%t"))


def stop() -> None:
    """End the daemons that ``start`` started, and remove the configuration."""
    for program in ("slurmd", "slurmctld", "munged"):
        path = STATE / f"{program}.pid"
        if not path.is_file():
            continue
        number = int(path.read_text())
        command = Path(f"/proc/{number}/comm")
        if command.is_file() and command.read_text().strip() == program:
            os.kill(number, signal.SIGTERM)
            _wait(f"the end of {program}", lambda n=number: not _runs(n))
        path.unlink()
    for name in ("slurm.conf", "gres.conf"):
        path = ETC / name
        # left behind without its daemons it makes every start of Snakemake wait
        if path.is_file() and MARK in path.read_text():
            path.unlink()


def jobs() -> list[dict]:
    """Return what Slurm keeps of each job, the first attempt of a restarted one not included.

    Keys: id, comment (rule and wildcards), state, partition, memory_mb, minutes (limits), cpus,
    gpus, shards, begin, end (seconds since the epoch).
    """
    records = []
    for line in _output("scontrol", "show", "job", "--oneliner").splitlines():
        fields = dict(re.findall(r"(\w[\w:/]*)=(.*?)(?= [\w:/]+=|$)", line))
        if "JobId" not in fields:
            continue
        gpus = re.search(r"gres:gpu(?::\w+)?:(\d+)", fields.get("TresPerJob", ""))
        shards = re.search(r"gres:shard:(\d+)", fields.get("TresPerNode", ""))
        records.append(
            {
                "id": int(fields["JobId"]),
                "comment": fields.get("Comment", ""),
                "state": fields["JobState"],
                "partition": fields["Partition"],
                "memory_mb": _megabytes(fields["MinMemoryNode"]),
                "minutes": _minutes(fields["TimeLimit"]),
                "cpus": int(fields["NumCPUs"]),
                "gpus": int(gpus[1]) if gpus else 0,
                "shards": int(shards[1]) if shards else 0,
                "begin": _time(fields["StartTime"]),
                "end": _time(fields["EndTime"]),
            }
        )
    return records


def _configure() -> None:
    host = socket.gethostname().partition(".")[0]
    devices = [STATE / f"gpu{number}" for number in range(GPUS)]
    for device in devices:
        # Slurm wants character devices; these are /dev/null under other names
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    settings = {
        "ClusterName": "test",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "CommunicationParameters": "NoCtldInAddrAny,NoInAddrAny",
        "SlurmctldPort": 26817,
        "SlurmdPort": 26818,
        "StateSaveLocation": STATE / "controller",
        "SlurmdSpoolDir": STATE / "node",
        "SlurmctldPidFile": STATE / "slurmctld.self",
        "SlurmdPidFile": STATE / "slurmd.self",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "MailProg": "/bin/true",
        "SwitchType": "switch/none",
        "MpiDefault": "none",
        # without control groups: memory is looked at every second, and a job above its limit ended
        "JobAcctGatherType": "jobacct_gather/linux",
        "JobAcctGatherFrequency": "task=1",
        "JobAcctGatherParams": "OverMemoryKill",
        "SlurmdParameters": "config_overrides",
        "ReturnToService": 2,
        "SchedulerParameters": "sched_interval=1,bf_interval=1,batch_sched_delay=0",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_CPU_Memory",
        "DefMemPerCPU": 500,
        "GresTypes": "gpu,shard",
        "AccountingStorageType": "accounting_storage/none",
        "KillWait": 5,
        "MinJobAge": 3600,
    }
    lines = [MARK, *(f"{name}={value}" for name, value in settings.items())]
    lines.append(
        f"NodeName={host} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory={MEMORY_MB} "
        f"Gres=gpu:{GPUS},shard:{SHARDS}"
    )
    lines += [
        f"PartitionName={name} Nodes={host} Default={default} MaxTime=INFINITE State=UP"
        for name, default in (("long", "YES"), ("gpus", "NO"))
    ]
    ETC.mkdir(exist_ok=True)
    (ETC / "slurm.conf").write_text("\n".join(lines) + "\n")
    lines = [MARK, *(f"NodeName={host} Name=gpu File={device}" for device in devices)]
    lines.append(f"NodeName={host} Name=shard Count={SHARDS}")
    (ETC / "gres.conf").write_text("\n".join(lines) + "\n")


def _start_munge() -> None:
    if _output("munge", "-n"):
        return  # one that runs already serves
    key = Path("/etc/munge/munge.key")
    if not key.is_file():
        subprocess.run(["mungekey", "--create"], check=True)
    for folder in ("/run/munge", "/var/log/munge", "/var/lib/munge"):
        Path(folder).mkdir(exist_ok=True, parents=True)
        shutil.chown(folder, "munge", "munge")
        Path(folder).chmod(0o755 if folder == "/run/munge" else 0o700)
    shutil.chown(key, "munge", "munge")
    daemon = subprocess.Popen(
        ["runuser", "-u", "munge", "--", "munged", "--foreground"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _wait("munged", lambda: bool(_output("munge", "-n")))
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    (STATE / "munged.pid").write_text(children[0] if children else str(daemon.pid))


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else ""


def _wait(what: str, ready) -> None:
    until = time.monotonic() + _SECONDS
    while not ready():
        if time.monotonic() > until:
            raise RuntimeError(f"{what}: not within {_SECONDS} s; see {STATE}")
        time.sleep(0.1)


def _runs(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _megabytes(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([KMGT]?)", text).groups()
    return float(number) * {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}[unit]


def _minutes(text: str) -> float:
    days, _, rest = text.rpartition("-")
    hours, minutes, seconds = map(int, rest.split(":"))
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60


def _time(text: str) -> float | None:
    return None if text in ("Unknown", "None") else datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    verb = sys.argv[1] if len(sys.argv) == 2 else ""
    if verb == "start":
        if reason := obstacle():
            sys.exit(reason)
        start()
    elif verb == "stop":
        stop()
    elif verb == "jobs":
        for job in jobs():
            print(json.dumps(job))
    else:
        sys.exit(__doc__)
