# Takes tables, condensed sets and their costs; leaves <figures>/figure1 to figure8, cost_accuracy,
# critical_difference and condensed_<dataset>, each as PNG and PDF. What each one shows is planned
# in condensation/workflow/figure_plan.py.


rule plot_accuracy:
    input:
        table=f"{RESULTS}/tables/accuracy.csv",
    output:
        png=report(
            f"{PICTURES}/{{figure}}.png",
            caption="captions/figure_accuracy.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        pdf=f"{PICTURES}/{{figure}}.pdf",
    log:
        f"{RESULTS}/logs/plot_accuracy/{{figure}}.log",
    wildcard_constraints:
        figure=any_of(ACCURACY_FIGURES),
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(2000),
        runtime=doubling(10),
    params:
        plan=lambda wildcards: ACCURACY_FIGURES[wildcards.figure],
        methods=figure_plan.methods(CONFIG),
        source=digest.source_digest(digest.ROOT / "plot_accuracy.py"),
    message:
        "Plotting {wildcards.figure}: accuracy"
    script:
        "../workflow_scripts/plot_accuracy.py"


rule train_embedder:
    input:
        unpack(lambda wildcards: whitening_file(wildcards.dataset, wildcards.view)),
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
    output:
        network=f"{RESULTS}/{{dataset}}/features/{{features}}/{{view}}_network.safetensors",
    log:
        f"{RESULTS}/logs/train_embedder/{{dataset}}/{{features}}/{{view}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_embedder/{{dataset}}/{{features}}/{{view}}.tsv"
    wildcard_constraints:
        view=r"standardize|zca|zca_kip",
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=memory_of("train_embedder"),
        runtime=minutes_of("train_embedder"),
    params:
        job=lambda wildcards: jobs.train_embedder(CONFIG, wildcards.features),
        compile=CONFIG.compute.compile,
        precision=FLOAT32,
        device=DEVICE,
    message:
        "Training the network of features {wildcards.features} on {wildcards.dataset}, {wildcards.view}"
    script:
        "../workflow_scripts/train_embedder.py"


rule embed_class:
    input:
        unpack(embedding_inputs),
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
    output:
        map=f"{RESULTS}/{{dataset}}/features/{{features}}/map_ipc{{ipc}}.safetensors",
    log:
        f"{RESULTS}/logs/embed_class/{{dataset}}/{{features}}/ipc{{ipc}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/embed_class/{{dataset}}/{{features}}/ipc{{ipc}}.tsv"
    conda:
        "../environment.yml"
    resources:
        gpu=GPU,
        mem_mb=memory_of("embed_class"),
        runtime=minutes_of("embed_class"),
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
        maps=EMBEDDED,
    output:
        png=report(
            f"{PICTURES}/figure7.png",
            caption="captions/figure_embedding.rst",
            category="Figures",
            labels={"figure": "figure7"},
        ),
        pdf=f"{PICTURES}/figure7.pdf",
    log:
        f"{RESULTS}/logs/plot_embedding.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(2000),
        runtime=doubling(10),
    params:
        methods=figure_plan.methods(CONFIG),
        shown=CONFIG.figure7 and CONFIG.figure7.methods,
        label=CONFIG.figure7 and CONFIG.figure7.label,
        architecture=CONFIG.figure7
        and CONFIG.features[CONFIG.figure7.features].architecture,
        source=digest.source_digest(digest.ROOT / "plot_embedding.py"),
    message:
        "Plotting figure7: features of a class"
    script:
        "../workflow_scripts/plot_embedding.py"


rule draw_condensed:
    input:
        unpack(pictured_files),
    output:
        png=report(
            f"{PICTURES}/{{picture}}.png",
            caption="captions/figure_condensed.rst",
            category="Figures",
            labels={"figure": "{picture}"},
        ),
        pdf=f"{PICTURES}/{{picture}}.pdf",
    log:
        f"{RESULTS}/logs/draw_condensed/{{picture}}.log",
    wildcard_constraints:
        picture=any_of(PICTURED),
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(4000),
        runtime=doubling(10),
    params:
        ipcs=lambda wildcards: [
            grid.pictured_ipc(GRID, dataset) for dataset in PICTURED[wildcards.picture]
        ],
        source=digest.source_digest(digest.ROOT / "draw_condensed.py"),
    message:
        "Drawing {wildcards.picture}: condensed images"
    script:
        "../workflow_scripts/draw_condensed.py"


rule plot_cost:
    input:
        table=f"{RESULTS}/tables/accuracy.csv",
        costs=[
            f"{RESULTS}/{folder}/cost.json"
            for panel in COST_PANELS
            for _, folder in panel["sets"]
        ],
    output:
        png=report(
            f"{PICTURES}/cost_accuracy.png",
            caption="captions/figure_cost.rst",
            category="Figures",
            labels={"figure": "cost_accuracy"},
        ),
        pdf=f"{PICTURES}/cost_accuracy.pdf",
    log:
        f"{RESULTS}/logs/plot_cost.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(2000),
        runtime=doubling(10),
    params:
        panels=COST_PANELS,
        methods=figure_plan.methods(CONFIG),
        source=digest.source_digest(digest.ROOT / "plot_cost.py"),
    message:
        "Plotting accuracy against cost"
    script:
        "../workflow_scripts/plot_cost.py"


rule plot_ranking:
    input:
        ranking=f"{RESULTS}/tables/ranking.json",
    output:
        png=report(
            f"{PICTURES}/critical_difference.png",
            caption="captions/figure_ranking.rst",
            category="Figures",
            labels={"figure": "critical_difference"},
        ),
        pdf=f"{PICTURES}/critical_difference.pdf",
    log:
        f"{RESULTS}/logs/plot_ranking.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(2000),
        runtime=doubling(10),
    params:
        methods=figure_plan.methods(CONFIG),
        source=digest.source_digest(digest.ROOT / "plot_ranking.py"),
    message:
        "Plotting the ranks of the methods"
    script:
        "../workflow_scripts/plot_ranking.py"
