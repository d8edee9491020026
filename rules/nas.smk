# Makes the ranking of architectures, if the config has a section `nas`: the sample, records of trained
# architectures, the tables nas.csv, nas.md and nas_architectures.csv, and the figure nas_<dataset>.


rule sample_architectures:
    input:
        unpack(INPUTS.architectures_table),
    output:
        architectures=PATHS(layout.ARCHITECTURES, dataset=CONFIG.nas.dataset),
    log:
        PATHS.log("sample_architectures", dataset=CONFIG.nas.dataset),
    conda:
        "../environment.yml"
    resources:
        **light(),
    params:
        job=jobs.sample_architectures(CONFIG),
    message:
        "Sampling {CONFIG.nas.architectures} architectures"
    script:
        "../workflow_scripts/sample_architectures.py"


rule train_architectures:
    input:
        unpack(INPUTS.ranked),
        dataset=PATHS(layout.DATASET),
        architectures=rules.sample_architectures.output.architectures,
    output:
        record=PATHS(layout.RANKING),
        cost=PATHS(layout.RANKING_COST),
    log:
        PATHS.log("train_architectures"),
    benchmark:
        PATHS.benchmark("train_architectures")
    group:
        "architectures_{dataset}_{ranked}"
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        **estimated("train_architectures"),
        gpu=GPU,
        turn=in_turns,
    params:
        job=lambda wildcards: jobs.train_architectures(
            CONFIG, INPUTS.ranked_by(wildcards)
        ),
        stack=CONFIG.compute.stack,
        precision=FLOAT32,
        device=DEVICE,
    message:
        "Training architectures {wildcards.first}-{wildcards.last} on {wildcards.dataset}: {wildcards.ranked}"
    script:
        "../workflow_scripts/train_architectures.py"


rule rank_architectures:
    input:
        architectures=rules.sample_architectures.output.architectures,
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
