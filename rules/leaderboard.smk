# Takes tables, records and condensed sets; leaves <results>/leaderboard/index.html, one page that
# works from disk, and <results>/provenance.json.


rule make_leaderboard:
    input:
        unpack(lambda wildcards: set_files(SETS)),
        table=f"{RESULTS}/tables/accuracy.csv",
        config=f"{RESULTS}/config.yaml",
        records=RECORDS,
        costs=COSTS,
        datasets=DATASETS,
    output:
        page=report(
            LEADERBOARD, caption="captions/leaderboard.rst", category="Leaderboard"
        ),
    log:
        f"{RESULTS}/logs/make_leaderboard.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_leaderboard.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(4000),
        runtime=doubling(30),
    params:
        job=jobs.make_leaderboard(),
    message:
        "Making the leaderboard"
    script:
        "../workflow_scripts/make_leaderboard.py"


rule write_provenance:
    input:
        TABLES,
        FIGURES,
        LEADERBOARD,
        config=f"{RESULTS}/config.yaml",
        costs=COSTS,
        datasets=DATASETS,
    output:
        provenance=report(
            PROVENANCE, caption="captions/provenance.rst", category="Provenance"
        ),
    log:
        f"{RESULTS}/logs/write_provenance.log",
    localrule: True
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(1000),
        runtime=doubling(10),
    params:
        source=digest.source_digest(digest.ROOT / "write_provenance.py"),
    message:
        "Writing the provenance"
    script:
        "../workflow_scripts/write_provenance.py"
