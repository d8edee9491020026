# Takes condensed sets and the dataset, where the config has a section `nas`; leaves
# <results>/<dataset>/nas/architectures.json (the draw), records of trained architectures
# (<set>/nas/architectures<first>-<last>.json; of real images <dataset>/nas/<reference>/...),
# <results>/tables/nas.csv, nas.md and nas_architectures.csv, and <figures>/nas_<dataset>.png.


rule sample_architectures:
    input:
        unpack(architectures_table),
    output:
        architectures=SAMPLE,
    log:
        f"{RESULTS}/logs/sample_architectures/{CONFIG.nas.dataset}.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(2000),
        runtime=doubling(10),
    params:
        job=jobs.sample_architectures(CONFIG),
    message:
        "Sampling {CONFIG.nas.architectures} architectures"
    script:
        "../workflow_scripts/sample_architectures.py"


rule train_architectures:
    input:
        unpack(condensed_of_ranked),
        unpack(whitening_of_ranked),
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
        architectures=SAMPLE,
    output:
        record=f"{RESULTS}/{{dataset}}/{{ranked}}/architectures{{first}}-{{last}}.json",
        cost=f"{RESULTS}/{{dataset}}/{{ranked}}/architectures{{first}}-{{last}}.cost.json",
    log:
        f"{RESULTS}/logs/train_architectures/{{dataset}}/{{ranked}}/architectures{{first}}-{{last}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_architectures/{{dataset}}/{{ranked}}/architectures{{first}}-{{last}}.tsv"
    group:
        "architectures_{dataset}_{ranked}"
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=memory_of("train_architectures"),
        runtime=minutes_of("train_architectures"),
        turn=in_turns,
    params:
        job=train_architectures_job,
        stack=CONFIG.compute.stack,
        precision=FLOAT32,
        device=DEVICE,
    message:
        "Trying architectures {wildcards.first}-{wildcards.last} on {wildcards.dataset}: {wildcards.ranked}"
    script:
        "../workflow_scripts/train_architectures.py"


rule rank_architectures:
    input:
        architectures=SAMPLE,
        records=RANKINGS,
    output:
        csv=f"{RESULTS}/tables/nas.csv",
        markdown=f"{RESULTS}/tables/nas.md",
        architectures=f"{RESULTS}/tables/nas_architectures.csv",
    log:
        f"{RESULTS}/logs/rank_architectures.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(4000),
        runtime=doubling(20),
    params:
        job=jobs.rank_architectures(CONFIG),
        missing=NOT_RANKED,
    message:
        "Ranking architectures"
    script:
        "../workflow_scripts/rank_architectures.py"


rule plot_architectures:
    input:
        ranking=f"{RESULTS}/tables/nas.csv",
        architectures=f"{RESULTS}/tables/nas_architectures.csv",
    output:
        png=report(
            f"{PICTURES}/nas_{CONFIG.nas.dataset}.png",
            caption="captions/figure_architectures.rst",
            category="Figures",
            labels={"figure": "nas"},
        ),
        pdf=f"{PICTURES}/nas_{CONFIG.nas.dataset}.pdf",
    log:
        f"{RESULTS}/logs/plot_architectures.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(2000),
        runtime=doubling(10),
    params:
        job=jobs.rank_architectures(CONFIG),
        methods=figure_plan.methods(CONFIG),
        source=digest.source_digest(digest.ROOT / "plot_architectures.py"),
    message:
        "Plotting the ranking of architectures"
    script:
        "../workflow_scripts/plot_architectures.py"
