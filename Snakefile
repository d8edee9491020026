"""Dataset condensation, from raw images to tables and figures.

    snakemake --cores all                                  the default, minutes on a laptop
    snakemake --cores all --configfile config/paper.yaml   the whole paper
    snakemake --profile slurm --configfile ...             the same on a cluster

Stages by name: prepared_datasets, condensed_sets, evaluations, tables, figures, nas, leaderboard; and,
not part of `all`, `sets`, what condensed sets are like, and `plan`, an estimate of what a run takes.
"""

from snakemake.utils import min_version

min_version("9.0")


# A GPU is a resource of one machine: its limit does not throttle a cluster. So is the turn that the
# jobs of a group take (rules/common.smk).
resource_scopes:
    gpu="local",
    turn="local",


include: "rules/common.smk"


rule all:
    default_target: True
    input:
        TARGETS.tables,
        TARGETS.figures,
        TARGETS.leaderboard,
        TARGETS.provenance,
        TARGETS.nas_tables,
        TARGETS.nas_figures,
    localrule: True


rule prepared_datasets:
    input:
        {TARGETS.dataset(set_id.dataset) for set_id in GRID.sets},
    localrule: True


# All files from the network, for clusters whose nodes have no access to it.
rule downloads:
    input:
        TARGETS.downloads,
    localrule: True


rule condensed_sets:
    input:
        [TARGETS.condensed(set_id) for set_id in GRID.sets],
    localrule: True


rule evaluations:
    input:
        TARGETS.records,
    localrule: True


# A part of a config: `snakemake experiment_NAME` makes the records of one experiment.
for name in GRID.experiments:

    rule:
        name:
            f"experiment_{name}"
        input:
            TARGETS.records_of(name),
        localrule: True


rule tables:
    input:
        TARGETS.tables,
        TARGETS.nas_tables,
    localrule: True


rule figures:
    input:
        TARGETS.figures,
        TARGETS.nas_figures,
    localrule: True


# The ranking of architectures, if the config has a section `nas`.
rule nas:
    input:
        TARGETS.nas_tables,
        TARGETS.nas_figures,
    localrule: True


rule leaderboard:
    input:
        TARGETS.leaderboard,
    localrule: True


# What sets are like beside the real images; no other target needs it.
rule sets:
    input:
        TARGETS.set_reports,
    localrule: True


# Every cell beside its printed number, to check a run against the paper.
rule evidence:
    input:
        PATHS.evidence("report.md"),
    localrule: True


# A partial run takes results as they are.
if not CONFIG.partial:

    include: "rules/datasets.smk"
    include: "rules/condensation.smk"
    include: "rules/evaluation.smk"

    if TARGETS.rankings:

        include: "rules/nas.smk"


include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/leaderboard.smk"
include: "rules/sets.smk"
include: "rules/evidence.smk"
include: "rules/plan.smk"


if TARGETS.rankings:

    include: "rules/ranking.smk"


onstart:
    check_device()
    check_sharing()
    show_jobs()
    preload_libraries()


onsuccess:
    show_results()


onerror:
    report_what_exists()
