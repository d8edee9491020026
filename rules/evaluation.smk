# Makes a record per job, with a row per evaluation seed, and its cost, from condensed sets.


rule evaluate:
    input:
        unpack(INPUTS.evaluation),
        dataset=PATHS(layout.DATASET),
        condensed=PATHS(layout.CONDENSED),
    output:
        record=PATHS(layout.RECORD),
        cost=PATHS(layout.RECORD_COST),
    log:
        PATHS.log("evaluate"),
    benchmark:
        PATHS.benchmark("evaluate")
    group:
        "evaluate_{dataset}_{method}_ipc{ipc}_set{condensation_seed}"
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        **estimated("evaluate"),
        gpu=GPU,
        turn=in_turns,
    params:
        job=lambda wildcards: jobs.evaluate(
            CONFIG,
            wildcards.architecture,
            wildcards.augmentation,
            wildcards.optimizer,
            layout.labels(wildcards.labels),
        ),
        compile=CONFIG.compute.compile,
        stack=CONFIG.compute.stack,
        precision=FLOAT32,
        device=DEVICE,
    message:
        "Evaluating {wildcards.method} on {wildcards.dataset}, IPC {wildcards.ipc}, set {wildcards.condensation_seed}{wildcards.snapshot}: {wildcards.architecture}, {wildcards.augmentation}, {wildcards.optimizer}{wildcards.labels}, seeds {wildcards.first}-{wildcards.last}"
    script:
        "../workflow_scripts/evaluate.py"
