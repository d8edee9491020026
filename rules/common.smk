# Reads the config; defines CONFIG (validated), GRID (every cell), PATHS (where results lie), TARGETS
# (what a run makes), INPUTS (the input functions of the rules) and REQUESTS (memory and time).

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The folder of this workflow. Snakemake may run elsewhere, in a workflow that uses this as a module.
HOME = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
if not (HOME / "workflow_scripts").is_dir():
    raise WorkflowError(
        f"{HOME} does not hold this workflow: clone it, and name the Snakefile in the clone"
    )
# first, so that it wins over an installed package of the same name
sys.path.insert(0, str(HOME / "workflow_scripts"))

# Rules share one namespace with Snakemake: a bare `parse` or `config` would replace its own.
from condensation.config import loading, yaml_file
from condensation.core import devices
from condensation.core.errors import InputError
from condensation.paper import names as paper_names
from condensation.planning import requests, trials
from condensation.workflow import digest, figure_plan, grid, inputs, jobs, layout
from condensation.workflow import (
    made_from,
    partial_run,
    preload,
    summary,
    targets,
    terminal,
)

STARTED = time.time()
# Snakemake writes the path of Python unquoted into shell commands: escape its blanks, but only once.
PYTHON = re.sub(r"\\(.)", r"\1", sys.executable)
sys.executable = re.sub(r"([^\w@%+=:,./-])", r"\\\1", PYTHON)


def checked(path):
    """Return the path of a config file, unless Snakemake would misread it."""
    try:
        yaml_file.read(path)
    except InputError as error:
        raise WorkflowError(str(error)) from None
    return path


for path in workflow.configfiles:
    checked(path)
# A --configfile replaces the default instead of being merged with it. The main Snakefile may pass
# its own config to a module.
if not (workflow.configfiles or workflow.modifier.skip_configfile):
    DEFAULT = Path("config", "config.yaml")
    DEFAULT = str(DEFAULT if DEFAULT.is_file() else HOME / DEFAULT)

    configfile: checked(DEFAULT)


def any_of(names):
    return "|".join(map(re.escape, names))


# the key under which jobs find the settings of this workflow, besides what the user wrote
SETTINGS = "condensation"
# as many jobs repay a process that loads libraries for them
ENOUGH_JOBS = 8
# the config of a module may be part of the main Snakefile
ORIGIN = " + ".join(
    os.path.relpath(path) for path in workflow.configfiles or [workflow.main_snakefile]
)
if workflow.modifier.namespace:
    ORIGIN += f" (module {workflow.modifier.namespace})"

try:
    CONFIG = loading.parse(
        {key: value for key, value in config.items() if key != SETTINGS}
        | partial_run.settings(),
        ORIGIN,
    )
    for folder in (CONFIG.results_dir, CONFIG.figures_dir):
        made_from.check(folder, ORIGIN, made_from.digest(CONFIG))
    RESULTS = CONFIG.results_dir
    GRID = grid.expand(CONFIG, Path(RESULTS))
    if workflow.is_main_process and not CONFIG.partial:  # once, not again in every job
        trials.check(CONFIG, GRID, Path(RESULTS))
        for line in jobs.check_images(CONFIG, GRID):
            print(line, file=sys.stderr)
except InputError as error:
    raise WorkflowError(str(error)) from None

PATHS = layout.Layout(RESULTS, CONFIG.figures_dir)
TARGETS = targets.Targets(CONFIG, GRID, PATHS)
INPUTS = inputs.Inputs(TARGETS)
REQUESTS = requests.Requests(CONFIG, GRID, Path(RESULTS))
# the paper's numbers, for comparison
PRINTED = sorted((HOME / "config" / "paper").glob("*.csv"))
PRINTED = [os.path.relpath(path) for path in PRINTED]
# What changes no result (device, mirror) is no param: jobs read it from the config that Snakemake
# passes to them, which is this one or, where this is a module, that of the main workflow.
for passed in (config, workflow.modifier_stack[0].globals["config"]):
    passed.setdefault(SETTINGS, {})[RESULTS] = {
        **CONFIG.model_dump(include={"compute", "data"}),
        "folders": [RESULTS, CONFIG.figures_dir],
        "made_from": [ORIGIN, made_from.digest(CONFIG)],
    }
GPU = 0 if CONFIG.compute.device == "cpu" else 1
# The kind of device is a param: a CPU and a GPU give different numbers.
DEVICE = devices.kind(CONFIG.compute.device)
# the precision of what never runs in bf16
FLOAT32 = "tf32" if CONFIG.compute.precision == "tf32" else "float32"


def labels(shows, file):
    """The labels of an entry of the report."""
    return {"shows": shows, "file": file}


def figure_labels(name):
    return labels(figure_plan.title(name), f"{name}.png")


wildcard_constraints:
    archive=r"[^/]+",
    dataset=any_of(CONFIG.datasets),
    method=any_of(CONFIG.methods),
    features=any_of(CONFIG.features),
    trajectories=any_of(CONFIG.trajectories),
    preprocessing=r"zca|zca_kip",
    view=r"standardize|zca|zca_kip",
    expert=r"\d+(-\d+)?",
    iteration=r"\d+",
    snapshot=r"(/snapshots/iteration\d+)?",
    architecture=any_of(CONFIG.architectures),
    augmentation=any_of(CONFIG.augmentations),
    optimizer=any_of(CONFIG.optimizers),
    labels=r"(/labels_(hard|distilled|distilled_views))?",
    ipc=r"\d+|all",
    condensation_seed=r"\d+",
    first=r"\d+",
    last=r"\d+",
    ranked=any_of(path.partition("/")[2] for path in GRID.ranked),
    figure=any_of(TARGETS.accuracy_figures),
    picture=any_of(TARGETS.pictures),


def doubling(amount):
    return lambda wildcards, attempt: amount * 2 ** (attempt - 1)


def estimated(name):
    """The memory and time of a rule by the work of each job; a retry gets twice as much."""
    return {
        "mem_mb": lambda wildcards, attempt: REQUESTS.memory_mb(
            name, dict(wildcards.items()), attempt
        ),
        "runtime": lambda wildcards, attempt: REQUESTS.minutes(
            name, dict(wildcards.items()), attempt
        ),
    }


def light(mem_mb=2000, minutes=10):
    """The memory and time of a rule with little work; a retry gets twice as much."""
    return {"mem_mb": doubling(mem_mb), "runtime": doubling(minutes)}


# The jobs of a group take turns on a cluster, or the group would request a GPU, cores and memory for
# each of them at once. On one machine there are no groups, and jobs run side by side.
if workflow.global_resources.get("turn").value is None:
    workflow.register_resource("turn", 1)

# Jobs share a GPU, unless the command line asks for another number of them (--resources gpu=8).
if workflow.global_resources.get("gpu").value == devices.at_once() and devices.usable():
    workflow.register_resource("gpu", devices.at_once() * CONFIG.compute.jobs_per_gpu)


def in_turns(wildcards):
    return 0 if workflow.is_main_process and workflow.local_exec else 1


def check_device():
    """Stop before the first job if a job on this machine wants a GPU that torch cannot use.

    The nodes of a cluster and other environments may have what is missing here.
    """
    elsewhere = (
        not workflow.local_exec or workflow.deployment_settings.deployment_method
    )
    if elsewhere or workflow.touch or not workflow.is_main_process:
        return
    if GPU and any(job.resources.get("gpu") for job in workflow.dag.needrun_jobs()):
        try:
            trials.check_device(CONFIG.compute.device)
        except InputError as error:
            raise WorkflowError(str(error)) from None


def check_sharing():
    """Stop before the first job if jobs of a cluster would request more or less of a GPU than they use."""
    if workflow.local_exec or not workflow.is_main_process:
        return
    share, jobs = CONFIG.compute.jobs_per_gpu, list(workflow.dag.needrun_jobs())
    parts = any(str(job.resources.get("gres", "")).startswith("shard") for job in jobs)
    if share > 1 and any(job.resources.get("gpu") for job in jobs):
        raise WorkflowError(
            f"compute: jobs_per_gpu is {share}, but each job requests a whole GPU, of which it would "
            f"use 1/{share} of the memory. Set share_gpus to True in profiles/slurm/config.yaml if the "
            "cluster offers shards of its GPUs (sinfo -o %G), or jobs_per_gpu to 1"
        )
    if parts and not GPU:
        raise WorkflowError(
            "the profile requests shards of GPUs, but compute: device is cpu. Set share_gpus to False in "
            "profiles/slurm/config.yaml, or device to cuda"
        )
    if share == 1 and parts:
        raise WorkflowError(
            "the profile requests shards of GPUs, but compute: jobs_per_gpu is 1, so each job would "
            "use the memory of a whole GPU. Set jobs_per_gpu to the number of shards of a GPU"
        )


def expected_seconds(rule, wildcards):
    """The expected time of a job with its start; None for a method that nobody has timed yet."""
    start = 3
    if not REQUESTS.estimator.knows(rule):
        return start
    seconds = REQUESTS.seconds(rule, wildcards)
    return None if seconds is None else start + seconds


def show_jobs():
    """Show a line per job, unless the user asks for all of Snakemake's messages."""
    if workflow.is_main_process and not workflow.output_settings.verbose:
        terminal.show(
            {
                workflow.dag.jobid(job): expected_seconds(
                    job.rule.name, dict(job.wildcards.items())
                )
                for job in workflow.dag.needrun_jobs()
                if job.rule.message  # others only collect files
            }
        )


def preload_libraries():
    """Let jobs on this machine start as forks of a process that has loaded torch."""
    if not workflow.is_main_process or not workflow.local_exec or workflow.touch:
        return
    if workflow.deployment_settings.deployment_method:  # the jobs have another Python
        return
    if sum(1 for job in workflow.dag.needrun_jobs() if job.rule.script) >= ENOUGH_JOBS:
        # Snakemake starts scripts with it
        sys.executable = preload.start(PYTHON) or sys.executable


def refuse_without_slurm(executor):
    raise WorkflowError(
        "The profile asks for Slurm, but `sbatch` is not on the PATH. Start snakemake on a login "
        "node of a cluster with Slurm (some need `module load slurm`), or use `--cores all` "
        "instead of `--profile slurm` to run on this machine"
    )


# Rules learn the executor after it was made. Slurm's starts without Slurm, and fails in each job.
SLURM = sys.modules.get("snakemake_executor_plugin_slurm")
if SLURM and not shutil.which("sbatch"):
    SLURM.Executor.__post_init__ = refuse_without_slurm


def show_results():
    """Show accuracies, the files to open first and the time, if this run made tables or figures."""
    table = Path(PATHS.table("accuracy.csv"))
    new = [path for path in TARGETS.readable if partial_run.is_newer(path, STARTED)]
    if new and table.is_file():
        first = [path for path in TARGETS.to_open_first if Path(path).is_file()]
        sets = PATHS(layout.CONDENSED, snapshot="").replace("{", "<").replace("}", ">")
        text = summary.text(table, first, sets, time.time() - STARTED)
        print(f"\n{len(new)} new tables and figures.\n{text}", file=sys.stderr)


def report_what_exists():
    """After --keep-going, make the tables and figures of what exists; the rest is `missing`."""
    # the other targets need no tables
    shown = {"all", "tables", "figures", "nas", "leaderboard"}
    if not workflow.execution_settings.keep_going or CONFIG.partial:
        return
    if not shown >= set(workflow.dag_settings.targets):
        return
    print("\nJobs failed; making the tables of what exists.", file=sys.stderr)
    command = [PYTHON, "-m", "snakemake", "--nolock", *sys.argv[1:]]
    environment = {**os.environ, partial_run.VARIABLE: "1"}
    if subprocess.run(command, env=environment, check=False).returncode == 0:
        note = "What failed reads `missing` there. Run again to make it."
        print(f"\n{note}", file=sys.stderr)
