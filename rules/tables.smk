# Takes the records of all cells and the costs of all sets; leaves <results>/tables: runs.csv (a
# row per network), per_class.csv, accuracy.csv and .md (a row per cell); the paper's table1 to
# table9 as .csv, .md and .tex; the comparisons of methods; the paper's slips; and
# <results>/config.yaml, the config as used.


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
        per_class=f"{RESULTS}/tables/per_class.csv",
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
        mem_mb=doubling(2000),
        runtime=doubling(10),
    params:
        source=digest.source_digest(digest.ROOT / "make_tables.py"),
    message:
        "Making tables"
    script:
        "../workflow_scripts/make_tables.py"


rule make_paper_tables:
    input:
        unpack(architecture_ranking),
        runs=f"{RESULTS}/tables/runs.csv",
        costs=COSTS,
        printed=PRINTED,
        config=f"{RESULTS}/config.yaml",
    output:
        csv=report(
            [f"{RESULTS}/tables/table{number}.csv" for number in range(1, 10)],
            caption="captions/paper_table.rst",
            category="Tables",
        ),
        markdown=[f"{RESULTS}/tables/table{number}.md" for number in range(1, 10)],
        latex=[f"{RESULTS}/tables/table{number}.tex" for number in range(1, 10)],
    log:
        f"{RESULTS}/logs/make_paper_tables.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(2000),
        runtime=doubling(10),
    params:
        source=digest.source_digest(digest.ROOT / "make_paper_tables.py"),
    message:
        "Making the paper's tables"
    script:
        "../workflow_scripts/make_paper_tables.py"


rule compare_methods:
    input:
        runs=f"{RESULTS}/tables/runs.csv",
        config=f"{RESULTS}/config.yaml",
    output:
        ranking=f"{RESULTS}/tables/ranking.json",
        comparisons=report(
            f"{RESULTS}/tables/comparisons.csv",
            caption="captions/statistics.rst",
            category="Tables",
            labels={"table": "comparisons"},
        ),
        variance=report(
            f"{RESULTS}/tables/variance.csv",
            caption="captions/statistics.rst",
            category="Tables",
            labels={"table": "variance"},
        ),
        equivalence=report(
            f"{RESULTS}/tables/equivalence.csv",
            caption="captions/statistics.rst",
            category="Tables",
            labels={"table": "equivalence"},
        ),
        markdown=f"{RESULTS}/tables/statistics.md",
    log:
        f"{RESULTS}/logs/compare_methods.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(2000),
        runtime=doubling(10),
    params:
        source=digest.source_digest(digest.ROOT / "compare_methods.py"),
    message:
        "Comparing methods"
    script:
        "../workflow_scripts/compare_methods.py"


rule list_slips:
    input:
        printed=PRINTED,
    output:
        csv=report(
            f"{RESULTS}/tables/printed_slips.csv",
            caption="captions/slips.rst",
            category="Tables",
            labels={"table": "printed_slips"},
        ),
        markdown=f"{RESULTS}/tables/printed_slips.md",
    log:
        f"{RESULTS}/logs/list_slips.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(2000),
        runtime=doubling(10),
    params:
        source=digest.source_digest(digest.ROOT / "list_slips.py"),
    message:
        "Listing the slips in the paper's tables"
    script:
        "../workflow_scripts/list_slips.py"
