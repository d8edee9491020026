# Takes the records of all cells; leaves <results>/tables: runs.csv (a row per network),
# accuracy.csv and accuracy.md (a row per cell); and <results>/config.yaml, the config as used.


rule write_config:
    output:
        config=f"{RESULTS}/config.yaml",
    log:
        f"{RESULTS}/logs/write_config.log",
    localrule: True
    conda:
        "../environment.yml"
    params:
        config=CONFIG.model_dump(),
    message:
        "Writing the config as used"
    script:
        "../workflow_scripts/write_config.py"


rule make_tables:
    input:
        records=RECORDS,
        config=f"{RESULTS}/config.yaml",
    output:
        runs=f"{RESULTS}/tables/runs.csv",
        csv=report(
            f"{RESULTS}/tables/accuracy.csv",
            caption="captions/accuracy.rst",
            category="Tables",
            labels={"table": "accuracy"},
        ),
        markdown=f"{RESULTS}/tables/accuracy.md",
    log:
        f"{RESULTS}/logs/make_tables.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        source=digest.source_digest(digest.ROOT / "make_tables.py"),
    message:
        "Making tables"
    script:
        "../workflow_scripts/make_tables.py"
