# Makes what architectures are ranked by, if the config has a section `nas`: the sample, and records of
# trained architectures.


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
