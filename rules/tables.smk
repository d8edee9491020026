# Makes <results>/tables from the records of all cells and the costs of all sets: runs.csv (a row per
# network), per_class.csv, accuracy.csv and .md (a row per cell); those of the paper's Tables 1 to 9
# that the config has cells of, as .csv, .md and .tex; and the comparisons of methods. Also
# <results>/config.yaml, the config as used.


rule write_config:
    output:
        config=PATHS(layout.CONFIG),
    log:
        PATHS.log("write_config"),
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
        records=TARGETS.records,
        config=PATHS(layout.CONFIG),
    output:
        runs=PATHS.table("runs.csv"),
        per_class=PATHS.table("per_class.csv"),
        csv=report(
            PATHS.table("accuracy.csv"),
            caption="captions/accuracy.rst",
            category="Tables",
            labels=labels("Accuracy of every cell", "accuracy.csv"),
        ),
        markdown=PATHS.table("accuracy.md"),
    log:
        PATHS.log("make_tables"),
    conda:
        "../environment.yml"
    resources:
        **light(),
    params:
        job=digest.code_of("make_tables"),
    message:
        "Making tables"
    script:
        "../workflow_scripts/make_tables.py"


if TARGETS.paper_tables:

    rule make_paper_tables:
        input:
            unpack(INPUTS.nas_table),
            runs=PATHS.table("runs.csv"),
            costs=TARGETS.costs,
            printed=PRINTED,
            config=PATHS(layout.CONFIG),
        output:
            csv=[
                report(
                    path,
                    caption="captions/paper_table.rst",
                    category="Tables",
                    labels=labels(
                        f"Table {number}: {paper_names.TABLES[number]}",
                        Path(path).name,
                    ),
                )
                for number, path in zip(
                    TARGETS.paper_tables, TARGETS.paper_table_files("csv")
                )
            ],
            markdown=TARGETS.paper_table_files("md"),
            latex=TARGETS.paper_table_files("tex"),
        log:
            PATHS.log("make_paper_tables"),
        conda:
            "../environment.yml"
        resources:
            **light(),
        params:
            numbers=TARGETS.paper_tables,
            job=digest.code_of("make_paper_tables"),
        message:
            "Making the paper's tables"
        script:
            "../workflow_scripts/make_paper_tables.py"


if CONFIG.evaluation.corruptions:

    rule make_robustness:
        input:
            records=TARGETS.records,
            runs=PATHS.table("runs.csv"),
        output:
            csv=report(
                PATHS.table("robustness.csv"),
                caption="captions/robustness.rst",
                category="Tables",
                labels=labels("Accuracy under corruptions", "robustness.csv"),
            ),
        log:
            PATHS.log("make_robustness"),
        conda:
            "../environment.yml"
        resources:
            **light(),
        params:
            job=digest.code_of("make_robustness"),
        message:
            "Making the table of accuracies under corruptions"
        script:
            "../workflow_scripts/make_robustness.py"


rule compare_methods:
    input:
        runs=PATHS.table("runs.csv"),
        config=PATHS(layout.CONFIG),
    output:
        ranking=PATHS.table("ranking.json"),
        gains=report(
            PATHS.table("gains.csv"),
            caption="captions/statistics.rst",
            category="Tables",
            labels=labels("Gain over random selection", "gains.csv"),
        ),
        scores=report(
            PATHS.table("scores.csv"),
            caption="captions/statistics.rst",
            category="Tables",
            labels=labels("Scores of DD-Ranking", "scores.csv"),
        ),
        transfer=report(
            PATHS.table("transfer.csv"),
            caption="captions/statistics.rst",
            category="Tables",
            labels=labels("Transfer to other architectures", "transfer.csv"),
        ),
        comparisons=report(
            PATHS.table("comparisons.csv"),
            caption="captions/statistics.rst",
            category="Tables",
            labels=labels("Paired comparisons of methods", "comparisons.csv"),
        ),
        variance=report(
            PATHS.table("variance.csv"),
            caption="captions/statistics.rst",
            category="Tables",
            labels=labels("Variance of sets and of networks", "variance.csv"),
        ),
        equivalence=report(
            PATHS.table("equivalence.csv"),
            caption="captions/statistics.rst",
            category="Tables",
            labels=labels("Equivalence with random selection", "equivalence.csv"),
        ),
        markdown=PATHS.table("statistics.md"),
    log:
        PATHS.log("compare_methods"),
    conda:
        "../environment.yml"
    resources:
        **light(),
    params:
        job=digest.code_of("compare_methods"),
    message:
        "Comparing methods"
    script:
        "../workflow_scripts/compare_methods.py"
