# Takes the config; leaves CONFIG (validated), GRID (every cell), the paths of the results, and
# the functions that tell each rule its inputs and params.

import re
import sys
import time
from pathlib import Path

# first, so that no installed package of the same name is taken instead
sys.path.insert(0, str(Path(workflow.basedir) / "workflow_scripts"))

from snakemake.exceptions import WorkflowError

# the rules share one namespace with Snakemake: a bare `parse` or `config` would replace its own
from condensation import config as configuration
from condensation import digest, grid, jobs
from condensation.errors import InputError

STARTED = time.time()


def any_of(names):
    return "|".join(map(re.escape, names))


try:
    CONFIG = configuration.parse(
        dict(config), " + ".join(map(str, workflow.configfiles))
    )
except InputError as error:
    raise WorkflowError(str(error)) from None

GRID = grid.expand(CONFIG)
RESULTS = CONFIG.results_dir
PICTURES = CONFIG.figures_dir
DOWNLOADS = f"{RESULTS}/downloads"
RECORDS = [f"{RESULTS}/{path}" for path in GRID.records()]
TABLES = [f"{RESULTS}/tables/accuracy.csv", f"{RESULTS}/tables/accuracy.md"]
TABLES += [f"{RESULTS}/tables/runs.csv", f"{RESULTS}/config.yaml"]
FIGURES = [f"{PICTURES}/accuracy_{dataset}.png" for dataset in GRID.datasets]
FIGURES += [
    f"{PICTURES}/condensed_{dataset}.png"
    for dataset in GRID.datasets
    if grid.pictured_ipc(GRID, dataset)
]
NAS_TABLES, NAS_FIGURES, RANKINGS = [], [], []
if CONFIG.nas:
    SAMPLE = f"{RESULTS}/{CONFIG.nas.dataset}/nas/architectures.json"
    RANKINGS = [f"{RESULTS}/{path}" for path in GRID.rankings()]
    NAS_TABLES = [
        f"{RESULTS}/tables/{name}"
        for name in ("nas.csv", "nas.md", "nas_architectures.csv")
    ]
    NAS_FIGURES = [f"{PICTURES}/nas_{CONFIG.nas.dataset}.png"]
# What changes no result (device, mirror) is no param: scripts read it from here, complete.
config.update(CONFIG.model_dump())
GPU = 0 if CONFIG.compute.device == "cpu" else 1


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


def pictured_ipc(wildcards):
    return grid.pictured_ipc(GRID, wildcards.dataset)


def pictured_sets(wildcards):
    return [
        f"{RESULTS}/{one.folder}/condensed.safetensors"
        for one in GRID.sets
        if one.dataset == wildcards.dataset
        and one.ipc == pictured_ipc(wildcards)
        and one.condensation_seed == 0
    ]


def whitenings_of(wildcards):
    kinds = {
        CONFIG.preprocessing_of(one.method)
        for one in GRID.sets
        if one.dataset == wildcards.dataset
    }
    kinds -= {"standardize"}
    files = [
        whitening_file(wildcards.dataset, kind)["whitening"] for kind in sorted(kinds)
    ]
    return {"whitenings": files} if files else {}


def say_where_things_are():
    made = [Path(path) for path in [*TABLES, *FIGURES, *NAS_TABLES, *NAS_FIGURES]]
    made = [
        str(path) for path in made if path.is_file() and path.stat().st_mtime >= STARTED
    ]
    if made:
        print("\nTables and figures:\n  " + "\n  ".join(made), file=sys.stderr)
