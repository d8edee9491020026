# Takes tables, records, costs, condensed sets and the provenance; leaves in <results>/evidence every
# cell beside its printed number, three findings, all records in one file, and a picture of every set.
EVERY_SET = list(
    dict.fromkeys((one.dataset, one.ipc) for one in SETS if one.ipc != grid.WHOLE)
)


rule make_evidence:
    input:
        unpack(lambda wildcards: set_files(SETS)),
        runs=f"{RESULTS}/tables/runs.csv",
        config=f"{RESULTS}/config.yaml",
        records=RECORDS,
        costs=COSTS,
        datasets=DATASETS,
        printed=PRINTED,
        provenance=PROVENANCE,
    output:
        page=f"{EVIDENCE}/report.md",
        cells=f"{EVIDENCE}/cells.csv",
        augmentation=f"{EVIDENCE}/augmentation.csv",
        start=f"{EVIDENCE}/start.csv",
        spread=f"{EVIDENCE}/spread.csv",
        figure=f"{EVIDENCE}/beside_print.png",
        records=f"{EVIDENCE}/records.jsonl.xz",
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
