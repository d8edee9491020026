# Makes <results>/evidence: every cell beside its printed number, three findings, the paper's nine
# statements, accuracy along the iterations, all records in one file, and a picture of every set. Uses
# the ranking of architectures if the config has a section `nas`.
PICTURED = TARGETS.datasets_and_ipcs


rule make_evidence:
    input:
        unpack(INPUTS.all_sets),
        runs=PATHS.table("runs.csv"),
        config=PATHS(layout.CONFIG),
        records=TARGETS.records,
        costs=TARGETS.costs,
        datasets=TARGETS.datasets,
        ranking=TARGETS.nas_tables[:1],
        printed=PRINTED,
        provenance=TARGETS.provenance,
    output:
        **{
            name: PATHS.evidence(f"{name}.csv")
            for name in ("cells", "statements", "augmentation", "curves", "ends")
        },
        **{
            name: PATHS.evidence(f"{name}.csv")
            for name in ("start", "spread", "gains", "scores")
        },
        page=PATHS.evidence("report.md"),
        figure=PATHS.evidence("beside_print.png"),
        records=PATHS.evidence("records.jsonl.xz"),
        drawn_curves=[PATHS.evidence("curves.png")] if TARGETS.has_snapshots else [],
        pictures=[PATHS.evidence(f"sets_{name}_ipc{ipc}.png") for name, ipc in PICTURED],
    log:
        PATHS.log("make_evidence"),
    conda:
        "../environment.yml"
    resources:
        **light(4000, 30),
    params:
        pictured=[(name, int(ipc)) for name, ipc in PICTURED],
        job=digest.code_of("make_evidence"),
    message:
        "Putting the cells beside the printed numbers"
    script:
        "../workflow_scripts/make_evidence.py"
