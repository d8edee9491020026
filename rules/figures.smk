# Makes figure1 to figure8, cost_accuracy, critical_difference and condensed_<dataset>, each as PNG and
# PDF, from tables, condensed sets and their costs. condensation/workflow/figure_plan.py plans what
# they show.


rule plot_accuracy:
    input:
        table=PATHS.table("accuracy.csv"),
    output:
        png=report(
            PATHS.figure("{figure}", "png"),
            caption="captions/figure_accuracy.rst",
            category="Figures",
            labels=lambda wildcards: figure_labels(wildcards.figure),
        ),
        pdf=PATHS.figure("{figure}", "pdf"),
    log:
        PATHS.log("plot_accuracy"),
    conda:
        "../environment.yml"
    resources:
        **light(),
    params:
        plan=lambda wildcards: TARGETS.accuracy_figures[wildcards.figure],
        methods=figure_plan.methods(CONFIG),
        job=digest.code_of("plot_accuracy"),
    message:
        "Plotting {wildcards.figure}: accuracy"
    script:
        "../workflow_scripts/plot_accuracy.py"


rule embed_class:
    input:
        unpack(INPUTS.embedding),
        dataset=PATHS(layout.DATASET),
    output:
        map=PATHS(layout.MAP),
    log:
        PATHS.log("embed_class"),
    benchmark:
        PATHS.benchmark("embed_class")
    conda:
        "../environment.yml"
    resources:
        **estimated("embed_class"),
        gpu=GPU,
    params:
        job=lambda wildcards: jobs.embed_class(CONFIG, wildcards.features),
        precision=FLOAT32,
        device=DEVICE,
    message:
        "Embedding a class of {wildcards.dataset}, IPC {wildcards.ipc}, by {wildcards.features}"
    script:
        "../workflow_scripts/embed_class.py"


rule plot_embedding:
    input:
        maps=TARGETS.maps,
    output:
        png=report(
            PATHS.figure("figure7", "png"),
            caption="captions/figure_embedding.rst",
            category="Figures",
            labels=figure_labels("figure7"),
        ),
        pdf=PATHS.figure("figure7", "pdf"),
    log:
        PATHS.log("plot_embedding"),
    conda:
        "../environment.yml"
    resources:
        **light(),
    params:
        methods=figure_plan.methods(CONFIG),
        shown=CONFIG.figure7 and CONFIG.figure7.methods,
        label=CONFIG.figure7 and CONFIG.figure7.label,
        architecture=CONFIG.figure7
        and CONFIG.features[CONFIG.figure7.features].architecture,
        job=digest.code_of("plot_embedding"),
    message:
        "Plotting figure7: features of a class"
    script:
        "../workflow_scripts/plot_embedding.py"


rule draw_condensed:
    input:
        unpack(INPUTS.pictures),
    output:
        png=report(
            PATHS.figure("{picture}", "png"),
            caption="captions/figure_condensed.rst",
            category="Figures",
            labels=lambda wildcards: figure_labels(wildcards.picture),
        ),
        pdf=PATHS.figure("{picture}", "pdf"),
    log:
        PATHS.log("draw_condensed"),
    conda:
        "../environment.yml"
    resources:
        **light(4000),
    params:
        ipcs=lambda wildcards: [
            grid.pictured_ipc(GRID, dataset)
            for dataset in TARGETS.pictures[wildcards.picture]
        ],
        job=digest.code_of("draw_condensed"),
    message:
        "Drawing {wildcards.picture}: condensed images"
    script:
        "../workflow_scripts/draw_condensed.py"


rule plot_cost:
    input:
        table=PATHS.table("accuracy.csv"),
        costs=TARGETS.panel_costs,
    output:
        png=report(
            PATHS.figure("cost_accuracy", "png"),
            caption="captions/figure_cost.rst",
            category="Figures",
            labels=figure_labels("cost_accuracy"),
        ),
        pdf=PATHS.figure("cost_accuracy", "pdf"),
    log:
        PATHS.log("plot_cost"),
    conda:
        "../environment.yml"
    resources:
        **light(),
    params:
        panels=TARGETS.cost_panels,
        methods=figure_plan.methods(CONFIG),
        job=digest.code_of("plot_cost"),
    message:
        "Plotting accuracy against cost"
    script:
        "../workflow_scripts/plot_cost.py"


rule plot_ranking:
    input:
        ranking=PATHS.table("ranking.json"),
    output:
        png=report(
            PATHS.figure("critical_difference", "png"),
            caption="captions/figure_ranking.rst",
            category="Figures",
            labels=figure_labels("critical_difference"),
        ),
        pdf=PATHS.figure("critical_difference", "pdf"),
    log:
        PATHS.log("plot_ranking"),
    conda:
        "../environment.yml"
    resources:
        **light(),
    params:
        methods=figure_plan.methods(CONFIG),
        job=digest.code_of("plot_ranking"),
    message:
        "Plotting the ranks of the methods"
    script:
        "../workflow_scripts/plot_ranking.py"
