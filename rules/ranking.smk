# Makes the ranking of architectures, if the config has a section `nas`: the tables nas.csv, nas.md and
# nas_architectures.csv, and the figure nas_<dataset>.


rule rank_architectures:
    input:
        architectures=TARGETS.architectures,
        records=TARGETS.rankings,
    output:
        csv=PATHS.table("nas.csv"),
        markdown=PATHS.table("nas.md"),
        architectures=PATHS.table("nas_architectures.csv"),
    log:
        PATHS.log("rank_architectures"),
    conda:
        "../environment.yml"
    resources:
        **light(4000, 20),
    params:
        job=jobs.rank_architectures(CONFIG),
        missing=TARGETS.unranked,
    message:
        "Ranking architectures"
    script:
        "../workflow_scripts/rank_architectures.py"


rule plot_architectures:
    input:
        ranking=PATHS.table("nas.csv"),
        architectures=PATHS.table("nas_architectures.csv"),
    output:
        png=report(
            PATHS.figure(f"nas_{CONFIG.nas.dataset}", "png"),
            caption="captions/figure_architectures.rst",
            category="Figures",
            labels=figure_labels(f"nas_{CONFIG.nas.dataset}"),
        ),
        pdf=PATHS.figure(f"nas_{CONFIG.nas.dataset}", "pdf"),
    log:
        PATHS.log("plot_architectures"),
    conda:
        "../environment.yml"
    resources:
        **light(),
    params:
        options=jobs.rank_architectures(CONFIG)["options"],
        methods=figure_plan.methods(CONFIG),
        job=digest.code_of("plot_architectures"),
    message:
        "Plotting the ranking of architectures"
    script:
        "../workflow_scripts/plot_architectures.py"
