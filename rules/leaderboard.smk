# Makes <results>/leaderboard/index.html, one page that works from disk, and <results>/provenance.json,
# from tables, records and condensed sets.


rule make_leaderboard:
    input:
        unpack(INPUTS.all_sets),
        table=PATHS.table("accuracy.csv"),
        config=PATHS(layout.CONFIG),
        records=TARGETS.records,
        costs=TARGETS.costs,
        datasets=TARGETS.datasets,
    output:
        page=report(
            TARGETS.leaderboard,
            caption="captions/leaderboard.rst",
            category="Leaderboard",
            labels=labels("Every method in every cell", "index.html"),
        ),
    log:
        PATHS.log("make_leaderboard"),
    benchmark:
        PATHS.benchmark("make_leaderboard")
    conda:
        "../environment.yml"
    resources:
        **light(4000, 30),
    params:
        job=jobs.make_leaderboard(),
    message:
        "Making the leaderboard"
    script:
        "../workflow_scripts/make_leaderboard.py"


rule write_provenance:
    input:
        TARGETS.tables,
        TARGETS.figures,
        TARGETS.leaderboard,
        config=PATHS(layout.CONFIG),
        costs=TARGETS.costs,
        datasets=TARGETS.datasets,
    output:
        provenance=report(
            TARGETS.provenance,
            caption="captions/provenance.rst",
            category="Provenance",
            labels=labels(
                "What made the results, and how long it took", "provenance.json"
            ),
        ),
    log:
        PATHS.log("write_provenance"),
    localrule: True
    conda:
        "../environment.yml"
    resources:
        **light(1000),
    params:
        job=digest.code_of("write_provenance"),
    message:
        "Writing the provenance"
    script:
        "../workflow_scripts/write_provenance.py"
