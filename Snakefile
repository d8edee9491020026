"""Dataset condensation, from raw images to tables and figures.

    snakemake --cores all                                  the default, minutes on a laptop
    snakemake --cores all --configfile config/paper.yaml   the whole paper
    snakemake --profile slurm --configfile ...             the same on a cluster

Stages by name: prepared_datasets, condensed_sets, evaluations, tables, figures, nas, leaderboard; and `plan`, what a run will take.
"""

from snakemake.utils import min_version

min_version("9.0")


# A GPU is a resource of the machine: a limit set for this one does not throttle a cluster.
# So is the turn that jobs of a group take (rules/common.smk).
resource_scopes:
    gpu="local",
    turn="local",


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
    localrule: True


rule prepared_datasets:
    input:
        {f"{RESULTS}/{one.dataset}/dataset.safetensors" for one in GRID.sets},
    localrule: True


# All that needs a network, for nodes that have none.
rule downloads:
    input:
        NEEDED_DOWNLOADS,
    localrule: True


rule condensed_sets:
    input:
        [f"{RESULTS}/{one.folder}/condensed.safetensors" for one in GRID.sets],
    localrule: True


rule evaluations:
    input:
        RECORDS,
    localrule: True


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
    localrule: True


rule figures:
    input:
        FIGURES,
        NAS_FIGURES,
    localrule: True


# The ranking of architectures, where the config has a section `nas`.
rule nas:
    input:
        NAS_TABLES,
        NAS_FIGURES,
    localrule: True


rule leaderboard:
    input:
        LEADERBOARD,
    localrule: True


# Every cell beside its printed number; for those who check a run against the paper.
rule evidence:
    input:
        f"{EVIDENCE}/report.md",
    localrule: True


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
