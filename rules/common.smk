# Takes the config; leaves CONFIG (validated), GRID (every cell), the paths of the results, and
# the functions that tell each rule its inputs and params.

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The folder of this workflow; Snakemake may have been started elsewhere, for another one that uses
# this as a module.
HOME = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
if not (HOME / "workflow_scripts").is_dir():
    raise WorkflowError(
        f"{HOME} is no folder with this workflow: clone it, and name the Snakefile in the clone"
    )
# first, so that no installed package of the same name is taken instead
sys.path.insert(0, str(HOME / "workflow_scripts"))

# the rules share one namespace with Snakemake: a bare `parse` or `config` would replace its own
from condensation.config import loading, yaml_file
from condensation.core import devices
from condensation.core.errors import InputError
from condensation.planning import requests, trials
from condensation.workflow import digest, figure_plan, grid, jobs, made_from

STARTED = time.time()
# Snakemake writes the path of Python unquoted into shell commands: its blanks are escaped, once,
# however often this file is read.
PYTHON = re.sub(r"\\(.)", r"\1", sys.executable)
sys.executable = re.sub(r"([^\w@%+=:,./-])", r"\\\1", PYTHON)


def checked(path):
    """A config file of which Snakemake reads what it seems to say."""
    try:
        yaml_file.read(path)
    except InputError as error:
        raise WorkflowError(str(error)) from None
    return path


for path in workflow.configfiles:
    checked(path)
# One config file at a time: a --configfile replaces the default instead of being merged with it. A
# module may be given its config by the main Snakefile.
if not (workflow.configfiles or workflow.modifier.skip_configfile):
    DEFAULT = Path("config", "config.yaml")
    DEFAULT = str(DEFAULT if DEFAULT.is_file() else HOME / DEFAULT)

    configfile: checked(DEFAULT)


def any_of(names):
    return "|".join(map(re.escape, names))


# what the jobs are told of every use of this workflow, beside what the user wrote
TOLD = "condensation"
# of a module, the config may stand in the main Snakefile
ORIGIN = " + ".join(
    os.path.relpath(path) for path in workflow.configfiles or [workflow.main_snakefile]
)
if workflow.modifier.namespace:
    ORIGIN += f" (module {workflow.modifier.namespace})"

try:
    CONFIG = loading.parse(
        {key: value for key, value in config.items() if key != TOLD}, ORIGIN
    )
    for folder in (CONFIG.results_dir, CONFIG.figures_dir):
        made_from.check(folder, ORIGIN, made_from.digest(CONFIG))
except InputError as error:
    raise WorkflowError(str(error)) from None

GRID = grid.expand(CONFIG)
RESULTS = CONFIG.results_dir
if workflow.is_main_process and not CONFIG.partial:
    try:
        trials.check(CONFIG, GRID, Path(RESULTS))
    except InputError as error:
        raise WorkflowError(str(error)) from None
PICTURES = CONFIG.figures_dir
DOWNLOADS = f"{RESULTS}/downloads"

# once, and not again by every job
if workflow.is_main_process and not CONFIG.partial:
    try:
        for line in jobs.check_images(CONFIG, GRID):
            print(line, file=sys.stderr)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def is_there(*paths):
    """Whether files may be inputs: all of them, or of a partial config those that exist."""
    return not CONFIG.partial or all(Path(path).is_file() for path in paths)


def set_file(folder):
    return f"{RESULTS}/{folder}/condensed.safetensors"


SETS = jobs.made_sets(CONFIG, GRID)
COSTS = [f"{RESULTS}/{one.folder}/cost.json" for one in SETS]
DATASETS = [
    path
    for path in (f"{RESULTS}/{name}/dataset.safetensors" for name in GRID.datasets)
    if is_there(path)
]
RECORDS = [
    f"{RESULTS}/{path}"
    for path in GRID.records()
    if is_there(f"{RESULTS}/{path}", set_file(path.partition("/evaluation/")[0]))
]
OF_EXPERIMENT = {
    name: {f"{RESULTS}/{path}" for path in GRID.records(name)}
    for name in GRID.experiments
}
TABLES = [f"{RESULTS}/tables/accuracy.csv", f"{RESULTS}/tables/accuracy.md"]
TABLES += [f"{RESULTS}/tables/{name}.csv" for name in ("runs", "per_class")]
TABLES += [
    f"{RESULTS}/tables/table{number}.{form}"
    for number in range(1, 10)
    for form in ("csv", "md", "tex")
]
TABLES += [f"{RESULTS}/tables/printed_slips.md", f"{RESULTS}/tables/statistics.md"]
TABLES += [f"{RESULTS}/tables/ranking.json", f"{RESULTS}/config.yaml"]
# the paper's numbers, beside which ours are put
PRINTED = sorted((HOME / "config" / "paper").glob("*.csv"))
PRINTED = [os.path.relpath(path) for path in PRINTED]
ACCURACY_FIGURES = figure_plan.accuracy_figures(CONFIG, GRID)
COST_PANELS = figure_plan.cost_panels(GRID, SETS)
EMBEDDED = [
    path
    for path in figure_plan.maps(CONFIG, GRID, RESULTS)
    if is_there(Path(path).parents[2] / "dataset.safetensors")
]
# the datasets of each picture of condensed images
PICTURED = {
    f"condensed_{dataset}": [dataset]
    for dataset in GRID.datasets
    if grid.pictured_ipc(GRID, dataset)
    and is_there(f"{RESULTS}/{dataset}/dataset.safetensors")
}
if len(PICTURED) > 1:  # of a single one it would be the same picture twice
    PICTURED["figure8"] = [dataset for (dataset,) in PICTURED.values()]
FIGURE_NAMES = [*ACCURACY_FIGURES, *PICTURED]
FIGURE_NAMES += ["figure7"] if EMBEDDED else []
FIGURE_NAMES += ["cost_accuracy"] if COST_PANELS else []
FIGURE_NAMES += ["critical_difference"] if COST_PANELS else []
FIGURES = [
    f"{PICTURES}/{name}.{form}"
    for name in sorted(FIGURE_NAMES)
    for form in ("png", "pdf")
]
NAS_TABLES, NAS_FIGURES, RANKINGS = [], [], []
if CONFIG.nas:
    SAMPLE = f"{RESULTS}/{CONFIG.nas.dataset}/nas/architectures.json"
    RANKINGS = [f"{RESULTS}/{path}" for path in GRID.rankings()]
    # of a set all or none, or it would be ranked on other architectures
    NOT_RANKED = [
        folder
        for folder in GRID.ranked
        if not is_there(*(p for p in RANKINGS if p.startswith(f"{RESULTS}/{folder}/")))
    ]
    RANKINGS = [
        path
        for path in RANKINGS
        if not path.startswith(tuple(f"{RESULTS}/{folder}/" for folder in NOT_RANKED))
    ]
    if (
        CONFIG.nas.truth == "whole"
        and f"{CONFIG.nas.dataset}/nas/{CONFIG.nas.whole}" in NOT_RANKED
    ):
        RANKINGS = []  # nothing to compare with
if RANKINGS:
    NAS_TABLES = [
        f"{RESULTS}/tables/{name}"
        for name in ("nas.csv", "nas.md", "nas_architectures.csv")
    ]
    NAS_FIGURES = [
        f"{PICTURES}/nas_{CONFIG.nas.dataset}.{form}" for form in ("png", "pdf")
    ]
# What changes no result (device, mirror) is no param: jobs read it from the config that Snakemake
# hands them, which is this one or, where this is a module, that of the main workflow.
for handed in (config, workflow.modifier_stack[0].globals["config"]):
    handed.setdefault(TOLD, {})[RESULTS] = {
        **CONFIG.model_dump(include={"compute", "data"}),
        "folders": [RESULTS, PICTURES],
        "made_from": [ORIGIN, made_from.digest(CONFIG)],
    }
GPU = 0 if CONFIG.compute.device == "cpu" else 1
# The kind of device decides about reruns: a CPU and a GPU give other numbers.
DEVICE = devices.kind(CONFIG.compute.device)
# of what is not run in bf16
FLOAT32 = "tf32" if CONFIG.compute.precision == "tf32" else "float32"
REQUESTS = requests.Requests(CONFIG, GRID, Path(RESULTS))
NEEDED_DOWNLOADS = {
    path
    for dataset in dict.fromkeys(one.dataset for one in GRID.sets)
    for path in jobs.archives_of(CONFIG, dataset, DOWNLOADS)
    if path.startswith(f"{DOWNLOADS}/")
}
if CONFIG.nas and (table := jobs.architectures_table(CONFIG, DOWNLOADS)):
    NEEDED_DOWNLOADS |= {table} if table.startswith(f"{DOWNLOADS}/") else set()
LEADERBOARD = f"{RESULTS}/leaderboard/index.html"
PROVENANCE = f"{RESULTS}/provenance.json"
EVIDENCE = f"{RESULTS}/evidence"


wildcard_constraints:
    archive=r"[^/]+",
    dataset=any_of(CONFIG.datasets),
    method=any_of(CONFIG.methods),
    features=any_of(CONFIG.features),
    trajectories=any_of(CONFIG.trajectories),
    preprocessing=r"zca|zca_kip",
    expert=r"\d+",
    iteration=r"\d+",
    snapshot=r"(/snapshots/iteration\d+)?",
    architecture=any_of(CONFIG.architectures),
    augmentation=any_of(CONFIG.augmentations),
    optimizer=any_of(CONFIG.optimizers),
    ipc=r"\d+|all",
    condensation_seed=r"\d+",
    first=r"\d+",
    last=r"\d+",
    ranked=any_of(path.partition("/")[2] for path in GRID.ranked),


def memory_of(name):
    """What jobs ask for, in MB, by their work, and more after a failed attempt."""
    return lambda wildcards, attempt: REQUESTS.memory_mb(
        name, dict(wildcards.items()), attempt
    )


def minutes_of(name):
    return lambda wildcards, attempt: REQUESTS.minutes(
        name, dict(wildcards.items()), attempt
    )


def doubling(amount):
    return lambda wildcards, attempt: amount * 2 ** (attempt - 1)


# The jobs of a group take turns on a cluster, or the group would ask for a GPU, cores and memory for
# each of them at once. On one machine there are no groups, and jobs run side by side.
if workflow.global_resources.get("turn").value is None:
    workflow.register_resource("turn", 1)


def in_turns(wildcards):
    return 0 if workflow.is_main_process and workflow.local_exec else 1


def archives_of(wildcards):
    return jobs.archives_of(CONFIG, wildcards.dataset, DOWNLOADS)


def features_of(wildcards):
    name = jobs.features_of(CONFIG, wildcards.method)
    if name is None:
        return {}
    folder = f"{RESULTS}/{wildcards.dataset}/features/{name}"
    return {"features": f"{folder}/seed{wildcards.condensation_seed}.safetensors"}


def experts_of(wildcards):
    wanted = jobs.experts_of(CONFIG, wildcards.method)
    if wanted is None:
        return {}
    name, count = wanted
    folder = f"{RESULTS}/{wildcards.dataset}/trajectories/{name}"
    return {"experts": [f"{folder}/expert{n}.safetensors" for n in range(count)]}


def whitening_file(dataset, preprocessing):
    if preprocessing == "standardize":
        return {}
    return {"whitening": f"{RESULTS}/{dataset}/whitening/{preprocessing}.safetensors"}


def whitening_of(wildcards):
    return whitening_file(wildcards.dataset, CONFIG.preprocessing_of(wildcards.method))


def whitening_of_experts(wildcards):
    preprocessing = CONFIG.trajectories[wildcards.trajectories].preprocessing
    return whitening_file(wildcards.dataset, preprocessing)


def expert_job(wildcards):
    return jobs.train_expert(CONFIG, GRID, wildcards.dataset, wildcards.trajectories)


def prepare_job(wildcards):
    return jobs.prepare(CONFIG, wildcards.dataset)


def extract_job(wildcards):
    return jobs.extract_features(CONFIG, wildcards.features)


def set_of(wildcards):
    return grid.SetId(
        *(wildcards.dataset, wildcards.method, wildcards.ipc),
        int(wildcards.condensation_seed),
    )


def imported_files_of(wildcards):
    files = jobs.imported_files(CONFIG, set_of(wildcards))
    return {"files": files} if files else {}


def condense_job(wildcards):
    return jobs.condense(CONFIG, set_of(wildcards))


def evaluate_job(wildcards):
    return jobs.evaluate(
        CONFIG, wildcards.architecture, wildcards.augmentation, wildcards.optimizer
    )


def architectures_table(wildcards):
    table = jobs.architectures_table(CONFIG, DOWNLOADS)
    return {"table": table} if table else {}


def ranked_with(wildcards):
    return GRID.ranked[f"{wildcards.dataset}/{wildcards.ranked}"]


def condensed_of_ranked(wildcards):
    one = ranked_with(wildcards)
    if not isinstance(one, grid.SetId):
        return {}
    return {"condensed": f"{RESULTS}/{one.folder}/condensed.safetensors"}


def whitening_of_ranked(wildcards):
    one = ranked_with(wildcards)
    if not isinstance(one, grid.SetId):
        return {}
    return whitening_file(one.dataset, CONFIG.preprocessing_of(one.method))


def train_architectures_job(wildcards):
    return jobs.train_architectures(CONFIG, ranked_with(wildcards))


def pictured_files(wildcards):
    names = PICTURED[wildcards.picture]
    sets = [one for name in names for one in figure_plan.pictured_sets(GRID, name)]
    return {
        "datasets": [f"{RESULTS}/{name}/dataset.safetensors" for name in names],
        **set_files(sets),
    }


def embedding_inputs(wildcards):
    sets = figure_plan.embedded_sets(CONFIG, GRID, wildcards.dataset)
    sets = [one for one in sets if is_there(set_file(one.folder))]
    kinds = dict.fromkeys(CONFIG.preprocessing_of(one.method) for one in sets)
    folder = f"{RESULTS}/{wildcards.dataset}/features/{wildcards.features}"
    networks = [f"{folder}/{kind}_network.safetensors" for kind in kinds]
    return {"networks": networks, **set_files(sets)}


def set_files(sets):
    """Condensed sets, and the whitenings that they were made with."""
    sets = [one for one in sets if is_there(set_file(one.folder))]
    seen = dict.fromkeys(
        (one.dataset, CONFIG.preprocessing_of(one.method)) for one in sets
    )
    whitenings = [
        path
        for dataset, kind in seen
        for path in whitening_file(dataset, kind).values()
    ]
    condensed = [set_file(one.folder) for one in sets]
    return {"condensed": condensed} | ({"whitenings": whitenings} if whitenings else {})


def architecture_ranking(wildcards):
    """The table of the architecture ranking, where the config has one."""
    return {"nas": f"{RESULTS}/tables/nas.csv"} if NAS_TABLES else {}


def say_where_things_are():
    # of the paper's tables the readable form alone
    said = [path for path in TABLES if not re.search(r"table\d\.(csv|tex)$", path)]
    made = [
        Path(path) for path in [*said, *FIGURES, *NAS_TABLES, *NAS_FIGURES, LEADERBOARD]
    ]
    made = [
        str(path) for path in made if path.is_file() and path.stat().st_mtime >= STARTED
    ]
    if made:
        print("\nTables and figures:\n  " + "\n  ".join(made), file=sys.stderr)


def show_what_is_there():
    """After --keep-going did all that it could: tables in which what failed reads `missing`."""
    # a job that a target does not need has no place in tables
    shown = {"all", "tables", "figures", "nas", "leaderboard"}
    if not workflow.execution_settings.keep_going or CONFIG.partial:
        return
    if not shown >= set(workflow.dag_settings.targets):
        return
    print("\nJobs failed; now the tables of what is there.", file=sys.stderr)
    given = sys.argv[1:]
    at = next((n for n, one in enumerate(given) if one in ("--config", "-C")), None)
    if at is None:
        given = [*given, "--config"]
        at = len(given) - 1
    given = [*given[: at + 1], "partial=true", *given[at + 1 :], "--nolock"]
    done = subprocess.run([PYTHON, "-m", "snakemake", *given], check=False)
    if done.returncode == 0:
        said = "What failed reads `missing` there. Run again to make it."
        print(f"\n{said}", file=sys.stderr)
