# Takes tables, records, costs, condensed sets and the provenance; leaves in <results>/evidence every
# cell beside its printed number, three findings, the paper's nine statements, accuracy along the
# iterations, all records in one file, and a picture of every set. The ranking of architectures is
# taken where the config has a section `nas`.
EVERY_SET = list(
    dict.fromkeys((one.dataset, one.ipc) for one in SETS if one.ipc != grid.WHOLE)
)
# whether any cell is judged along its iterations
ALONG = any(cell.set.iteration is not None for cell in GRID.cells)


rule make_evidence:
    input:
        unpack(lambda wildcards: set_files(SETS)),
        runs=f"{RESULTS}/tables/runs.csv",
        config=f"{RESULTS}/config.yaml",
        records=RECORDS,
        costs=COSTS,
        datasets=DATASETS,
        ranking=NAS_TABLES[:1],
        printed=PRINTED,
        provenance=PROVENANCE,
    output:
        page=f"{EVIDENCE}/report.md",
        cells=f"{EVIDENCE}/cells.csv",
        statements=f"{EVIDENCE}/statements.csv",
        augmentation=f"{EVIDENCE}/augmentation.csv",
        curves=f"{EVIDENCE}/curves.csv",
        ends=f"{EVIDENCE}/ends.csv",
        start=f"{EVIDENCE}/start.csv",
        spread=f"{EVIDENCE}/spread.csv",
        figure=f"{EVIDENCE}/beside_print.png",
        records=f"{EVIDENCE}/records.jsonl.xz",
        drawn_curves=[f"{EVIDENCE}/curves.png"] if ALONG else [],
        pictures=[f"{EVIDENCE}/sets_{name}_ipc{ipc}.png" for name, ipc in EVERY_SET],
    log:
        f"{RESULTS}/logs/make_evidence.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(4000),
        runtime=doubling(30),
    params:
        pictured=[(name, int(ipc)) for name, ipc in EVERY_SET],
        source=digest.source_digest(digest.ROOT / "make_evidence.py"),
    message:
        "Putting the cells beside the printed numbers"
    script:
        "../workflow_scripts/make_evidence.py"
