"""Dataset condensation, from raw images to tables and figures.

    snakemake --cores all                                  the default, minutes on a laptop
    snakemake --cores all --configfile config/paper.yaml   the whole paper
    snakemake --profile slurm --configfile ...             the same on a cluster

Stages by name: prepared_datasets, condensed_sets, evaluations, tables, figures, nas, leaderboard; and `plan`, what a run will take.
"""

from snakemake.utils import min_version

min_version("9.0")


# One config file at a time: a --configfile replaces the default instead of being merged with it.
if not workflow.configfiles:

    configfile: "config/config.yaml"


# A GPU is a resource of the machine: a limit set for this one does not throttle a cluster.
# So is the turn that jobs of a group take (profiles/slurm).
resource_scopes:
    gpu="local",
    turn="local",


localrules:
    all,
    prepared_datasets,
    downloads,
    condensed_sets,
    evaluations,
    tables,
    figures,
    leaderboard,
    nas,


include: "rules/common.smk"


rule all:
    default_target: True
    input:
        TABLES,
        FIGURES,
        LEADERBOARD,
        PROVENANCE,
        NAS_TABLES,
        NAS_FIGURES,


rule prepared_datasets:
    input:
        {f"{RESULTS}/{one.dataset}/dataset.safetensors" for one in GRID.sets},


# All that needs a network, for nodes that have none.
rule downloads:
    input:
        NEEDED_DOWNLOADS,


rule condensed_sets:
    input:
        [f"{RESULTS}/{one.folder}/condensed.safetensors" for one in GRID.sets],


rule evaluations:
    input:
        RECORDS,


# A piece of a config: `snakemake experiment_NAME` makes what one of its experiments asks for.
for name in GRID.experiments:

    rule:
        name:
            f"experiment_{name}"
        input:
            [path for path in RECORDS if path in OF_EXPERIMENT[name]],
        localrule: True


rule tables:
    input:
        TABLES,
        NAS_TABLES,


rule figures:
    input:
        FIGURES,
        NAS_FIGURES,


# The ranking of architectures, where the config has a section `nas`.
rule nas:
    input:
        NAS_TABLES,
        NAS_FIGURES,


rule leaderboard:
    input:
        LEADERBOARD,


# Every cell beside its printed number; for those who check a run against the paper.
rule evidence:
    input:
        f"{EVIDENCE}/report.md",


# Without them, what is there is taken as it is.
if not CONFIG.partial:

    include: "rules/datasets.smk"
    include: "rules/condensation.smk"
    include: "rules/evaluation.smk"


include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/leaderboard.smk"
include: "rules/evidence.smk"
include: "rules/plan.smk"


if RANKINGS:

    include: "rules/nas.smk"


onsuccess:
    say_where_things_are()


onerror:
    show_what_is_there()
